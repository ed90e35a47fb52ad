#!/usr/bin/env bash
# Builds build/windows/oedit.exe with mingw-w64. cJSON, PCRE2 and utf8proc come from the distribution's source
# packages, headers from its -dev packages. Not tried on Windows itself; see tests/windows.sh.
# usage: tools/windows.sh [CMAKE-OPTIONS...]       exit code 77: something it needs cannot be had
set -euo pipefail

cd "$(dirname "$0")/.."
here=$PWD
out=${OEDIT_WINDOWS:-$here/build/windows}
# shellcheck source=tools/apt_private.sh
. tools/apt_private.sh

lacking() {
    echo "windows: $*" >&2
    exit 77
}
compiler=$(command -v x86_64-w64-mingw32-gcc-posix) || lacking "no mingw-w64: apt-get install gcc-mingw-w64-x86-64-posix"
command -v dpkg-source > /dev/null || lacking "no dpkg-source: apt-get install dpkg-dev"
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

# source_of PACKAGE: its source, patched, in $out/source/PACKAGE. dpkg-source checks what the .dsc
# names, apt the .dsc. Where the newest version is not to be had, the release's own is.
source_of() {
    local work=$out/source/$1.part version
    [ ! -d "$out/source/$1" ] || return 0
    for version in "$1" "$1/$release"; do
        rm -rf "$work"
        mkdir -p "$work"
        apt_private_open "$work/apt" source || continue
        (cd "$work" && apt_private source --download-only "$version") > "$work/log" 2>&1 || continue
        dpkg-source --no-copy -x "$work"/*.dsc "$work/tree" > "$work/log" 2>&1 || continue
        mv "$work/tree" "$out/source/$1"
        rm -rf "$work"
        return 0
    done
    lacking "no source package of $1: $(grep -m1 '^E:' "$work/log")"
}
source_of cjson
source_of pcre2
source_of utf8proc

# Headers that are the same on every system, without the rest of /usr/include.
rm -rf "$out/include"
mkdir -p "$out/include" "$out/cjson/cjson"
for header in vulkan vk_video volk.c volk.h xxhash.h stb; do
    [ -e "/usr/include/$header" ] || lacking "no /usr/include/$header: tools/setup.sh"
    ln -s "/usr/include/$header" "$out/include/"
done
cp "$out"/source/cjson/cJSON.[ch] "$out/cjson/cjson/"

cross=(-G Ninja -DCMAKE_SYSTEM_NAME=Windows -DCMAKE_SYSTEM_PROCESSOR=x86_64 "-DCMAKE_C_COMPILER=$compiler")
cmake -S "$out/source/pcre2" -B "$out/pcre2" "${cross[@]}" -DCMAKE_BUILD_TYPE=Release \
    -DPCRE2_BUILD_PCRE2GREP=OFF -DPCRE2_BUILD_TESTS=OFF -DBUILD_SHARED_LIBS=OFF
cmake --build "$out/pcre2"
cmake -S "$out/source/utf8proc" -B "$out/utf8proc" "${cross[@]}" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF
cmake --build "$out/utf8proc"
ln -s "$out/pcre2/pcre2.h" "$out/source/utf8proc/utf8proc.h" "$out/include/"
cmake -S . -B "$out" "${cross[@]}" -DOEDIT_TESTS=OFF -DOEDIT_CJSON_SOURCE="$out/cjson" \
    -DVOLK_INCLUDE="$out/include" -DSTB_INCLUDE="$out/include/stb" \
    -DPCRE2_STATIC="$out/pcre2/libpcre2-8.a" -DUTF8PROC_STATIC="$out/utf8proc/libutf8proc.a" "$@"
cmake --build "$out"
x86_64-w64-mingw32-strip -o "$out/oedit.stripped.exe" "$out/oedit.exe"
mv "$out/oedit.stripped.exe" "$out/oedit.exe"
echo "windows: $(stat -c '%s bytes' "$out/oedit.exe") $out/oedit.exe; it loads:" \
    "$(x86_64-w64-mingw32-objdump -p "$out/oedit.exe" | sed -nE 's/^\s*DLL Name: //p' | sort -u | tr '\n' ' ')"
