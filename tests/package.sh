#!/usr/bin/env bash
# The Debian package and the archive, in folders that hold nothing else but the C library, Vulkan's
# loader and a driver: dpkg installs the one, tar unpacks the other, and both binaries run there.
set -euo pipefail

build=${OEDIT_BUILD:-$PWD/build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
lack() {
    echo "FAILED: $*"
    failed=1
}

for tool in cpack dpkg dpkg-deb dpkg-shlibdeps objdump; do
    command -v $tool > /dev/null || { echo "skipped: no $tool"; exit 77; }
done
# The shaders are ready: they are the same in every build.
OEDIT_PORTABLE=$build/portable tools/package.sh -DOEDIT_SPIRV="$build/spirv" > "$work/log" 2>&1 ||
    { tail -30 "$work/log"; exit 1; }
grep '^package: ' "$work/log"
deb=$(find "$build/portable/packages" -name '*.deb')
archive=$(find "$build/portable/packages" -name '*.tar.gz')
needed=$(objdump -p "$build/portable/oedit" | sed -nE 's/^ *NEEDED *//p' | sort | tr '\n' ' ')
if [[ $needed == *libcjson* ]]; then
    echo "skipped: no source package of cJSON here, so the binary is not portable"
    exit 77
fi
for library in $needed; do
    [[ $library =~ ^(libc|libm|libdl|libpthread|ld-linux-x86-64)\.so\. ]] || lack "the binary needs $library"
done

field() { dpkg-deb -f "$deb" "$1"; }
[ "$(field Package)" = oedit ] || lack "the package is called $(field Package)"
[ "$(field Version)" = "$("$build/portable/oedit" --version | sed -E 's/^oedit ([^ ,]*).*/\1/')-1" ] ||
    lack "the package's version is $(field Version)"
[[ $(field Depends) == *"libc6 (>="* && $(field Depends) == *libvulkan1* ]] || lack "the package depends on $(field Depends)"
[[ $(field Depends) != *cjson* ]] || lack "the package depends on $(field Depends)"
if command -v lintian > /dev/null; then
    # There is no mailbox to name; libtinfo, which libedit needs, is linked in: one binary for all.
    lintian --allow-root --fail-on error,warning "$deb" --suppress-tags "bogus-mail-host,embedded-library,\
bogus-mail-host-in-debian-changelog,initial-upload-closes-no-bugs,\
pkg-config-unavailable-for-cross-compilation" > "$work/lintian" 2>&1 ||
        { cat "$work/lintian"; lack "lintian"; }
else
    echo "skipped: no lintian"
fi

# bring ROOT FILE...: the files and the libraries they need, at the same places under ROOT.
bring() {
    local to=$1 file
    shift
    # shellcheck disable=SC2046 # one a line, without blanks
    for file in "$@" $(ldd "$@" | grep -oE '/[^ ():]+' | sort -u); do
        [[ $file != "$to"/* ]] || continue # is there
        mkdir -p "$to$(dirname "$file")"
        cp -L "$file" "$to$file"
    done
}
# The driver that the tests run under, or the machine's first one for the CPU.
driver=${VK_DRIVER_FILES:-$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' 2> /dev/null | head -1)}
library=
if [ -f "$driver" ]; then
    library=$(sed -nE 's/.*"library_path": *"([^"]*)".*/\1/p' "$driver")
    [[ $library == */* ]] || library=/usr/lib/x86_64-linux-gnu/$library
    [[ $library == /* ]] || library=$(dirname "$driver")/$library
fi
loader=$(ldconfig -p | sed -nE 's/.*libvulkan\.so\.1 .*=> //p' | head -1)
enter=(chroot)
[ "$(id -u)" = 0 ] || enter=(unshare -r chroot)
"$build/tests/tiny_model" "$work"

# runs ROOT BINARY: what the binary says where nothing else is.
runs() {
    local to=$1 oedit=$2 code=0
    bring "$to" "$to$oedit"
    if ! "${enter[@]}" "$to" "$oedit" --version > "$work/said" 2>&1; then
        cat "$work/said"
        lack "$oedit does not run in an empty root"
        return
    fi
    # Without Vulkan it says so.
    "${enter[@]}" "$to" "$oedit" devices > "$work/said" 2>&1 || code=$?
    [ $code = 3 ] || lack "$oedit devices without a loader: exit code $code: $(cat "$work/said")"
    if [ ! -f "$library" ] || [ ! -f "$loader" ]; then
        echo "skipped: no Vulkan driver to take into the empty root"
        return
    fi
    bring "$to" "$loader" "$library"
    mkdir -p "$to/etc/vulkan/icd.d" "$to/tmp" "$to/proc"
    sed -E "s,(\"library_path\": *\")[^\"]*,\1$library," "$driver" > "$to/etc/vulkan/icd.d/driver.json"
    cp "$work/base.gguf" "$to/tmp"
    # A driver of tools/drivers.sh brings libraries of its own.
    if ! env -i "LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-}" "$(command -v "${enter[0]}")" "${enter[@]:1}" "$to" "$oedit" logits -m /tmp/base.gguf \
        -p "the" --json > "$work/said" 2> "$work/err"; then
        cat "$work/said" "$work/err"
        lack "$oedit logits in an empty root"
        return
    fi
    grep -q '"logit"' "$work/said" || lack "no logits: $(cat "$work/said")"
    echo "ran in an empty root: $oedit, $(find "$to" -name '*.so*' | wc -l) libraries beside it"
}

# The package, by dpkg into a root of its own; what it depends on is brought by hand.
mkdir -p "$work"/deb/var/lib/dpkg/{updates,info}
touch "$work/deb/var/lib/dpkg/status"
if dpkg --root="$work/deb" --force-not-root --force-depends --log=/dev/null -i "$deb" > "$work/said" 2>&1; then
    grep -q '^Status: install ok installed' "$work/deb/var/lib/dpkg/status" || lack "dpkg did not install"
else
    cat "$work/said"
    lack "dpkg -i $deb"
fi
[ -s "$work/deb/usr/share/man/man1/oedit.1.gz" ] || lack "the package has no manual page"
[ -s "$work/deb/usr/share/zsh/vendor-completions/_oedit" ] || lack "the package has no completion for zsh"
runs "$work/deb" /usr/bin/oedit
mkdir "$work/tar"
tar -xzf "$archive" -C "$work/tar" --strip-components=1
runs "$work/tar" /bin/oedit
exit $failed
