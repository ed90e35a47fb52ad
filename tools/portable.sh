#!/usr/bin/env bash
# Builds build/portable/oedit, which needs the C library and a Vulkan driver and nothing else:
# cJSON, of which Debian has no static library, is compiled from the distribution's source package.
# Where that cannot be had, libcjson.so.1 is laid beside the binary, which finds it there.
# usage: tools/portable.sh [CMAKE-OPTIONS...]
set -euo pipefail

cd "$(dirname "$0")/.."
here=$PWD
out=${OEDIT_PORTABLE:-$here/build/portable}
options=("$@")
# shellcheck source=tools/apt_private.sh
. tools/apt_private.sh

# Of upstream's archive in Debian 12; Debian's patches are vouched for by apt's signed lists.
orig_sha256=5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2

# Fetches and unpacks the source package of cJSON into $out/cjson/cjson/, so that
# <cjson/cJSON.h> is found. Not exact about errors: the caller has another way.
cjson_source() {
    local work=$out/cjson.part got
    if [ -f "$out/cjson/cjson/cJSON.c" ]; then
        return 0
    fi
    rm -rf "$work" "$out/cjson"
    mkdir -p "$work"
    # dpkg-source unpacks the package and applies Debian's patches.
    command -v dpkg-source > /dev/null || tools/setup.sh dpkg-dev || return 1
    apt_private_open "$work/apt" source || return 1
    (cd "$work" && apt_private source --download-only cjson) > "$work/log" 2>&1 || {
        echo "portable: $(grep -m1 '^E:' "$work/log")" >&2
        return 1
    }
    got=$(sha256sum "$work"/cjson_*.orig.tar.gz | cut -d ' ' -f 1)
    [ "$got" = "$orig_sha256" ] || {
        echo "portable: $(basename "$work"/cjson_*.orig.tar.gz): SHA-256 is $got, wanted $orig_sha256" >&2
        return 1
    }
    # This checks the hashes that the .dsc names.
    dpkg-source --no-copy -x "$work"/cjson_*.dsc "$work/tree" > "$work/log" 2>&1 || {
        tail -3 "$work/log" >&2
        return 1
    }
    mkdir -p "$out/cjson"
    mkdir "$work/cjson"
    cp "$work/tree"/cJSON.[ch] "$work/tree/LICENSE" "$work/cjson/"
    mv "$work/cjson" "$out/cjson/cjson"
    rm -rf "$work"
}

build() {
    cmake -S "$here" -B "$out" -G Ninja -DOEDIT_TESTS=OFF "${options[@]}" "$@"
    cmake --build "$out"
}

tools/setup.sh
tools/glslang.sh || echo "portable: no newer glslang; one operator is left out"
mkdir -p "$out"
if cjson_source; then
    echo "portable: cJSON from Debian's source package, linked statically"
    build -DOEDIT_CJSON_SOURCE="$out/cjson" -DCMAKE_BUILD_RPATH=
else
    rm -rf "$out/cjson.part"
    echo "portable: no source of cJSON; its library goes beside the binary"
    # shellcheck disable=SC2016 # $ORIGIN is for the run-time linker
    build -DOEDIT_CJSON_SOURCE= '-DCMAKE_BUILD_RPATH=$ORIGIN'
    library=$(ldd "$out/oedit" | sed -nE 's/^\s*libcjson\.so\.1 => (\S+).*/\1/p')
    [ "$library" -ef "$out/libcjson.so.1" ] || cp -L "$library" "$out/libcjson.so.1"
fi
echo "portable: $out/oedit needs:"
ldd "$out/oedit"
