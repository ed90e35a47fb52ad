#!/usr/bin/env bash
# Builds the Debian package and the archive of the portable binary into build/portable/packages, and
# says how large they are and which glibc the binary needs.
# usage: tools/package.sh [CMAKE-OPTIONS...]
set -euo pipefail

cd "$(dirname "$0")/.."
out=${OEDIT_PORTABLE:-$PWD/build/portable}
tools/portable.sh -DOEDIT_ZSH=share/zsh/vendor-completions -DCMAKE_INSTALL_DOCDIR=share/doc/oedit "$@"
rm -rf "$out/packages"
umask 022 # else the packages' folders are as the umask of whoever builds
(cd "$out" && cpack -G "DEB;TGZ" -B "$out/packages" > "$out/cpack.log" 2>&1) || {
    tail -20 "$out/cpack.log" >&2
    exit 1
}
rm -rf "$out/packages/_CPack_Packages"
# The newest symbol of glibc that any reference names.
glibc=$(objdump -T "$out/oedit" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1)
echo "package: the binary needs ${glibc/_/ } or newer"
for file in "$out"/packages/*; do
    echo "package: $(stat -c '%s bytes' "$file") $file"
done
