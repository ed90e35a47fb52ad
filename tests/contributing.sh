#!/usr/bin/env bash
# The examples of CONTRIBUTING.md, applied to a copy of the tree: its rules hold, the shader compiles in
# fast and strict form, and so does the C code with the warnings of the house.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
cp -r src shaders tests include assets "$work"

# block FILE-OF-TREE: the first fenced block after the line of CONTRIBUTING.md that names it.
block() {
    awk -v file="$1" '
        index($0, "`" file "`") { near = 1 }
        near && /^```./ { inside = 1; next }
        inside && /^```$/ { exit }
        inside { print }' CONTRIBUTING.md
}
# into FILE PATTERN: the block goes in front of the first line that matches, or to the end.
into() {
    block "$1" > "$work/block"
    [ -s "$work/block" ] || { echo "FAILED: CONTRIBUTING.md has no block for $1"; exit 1; }
    line=$([ ! -f "$work/$1" ] || grep -nE -m1 -- "$2" "$work/$1" | cut -d: -f1 || true)
    if [ -n "$line" ]; then
        sed -i "$((line - 1))r $work/block" "$work/$1"
    else
        cat "$work/block" >> "$work/$1"
    fi
}
into shaders/ops.def '^OP\(fill'
into shaders/multiply.comp '^$'
into tests/test_ops.c '^int main'
into src/check/twin_rows.h '^TWIN\(axpby\)'
into src/check/cases.def '^CASES\(axpby'
into src/edit/guards.c '^const struct guard \*const guards'
sed -i -E 's/(\*const guards\[\] = \{)/\1\&half, /' "$work/src/edit/guards.c"
sed -i 's/CASE(axpby)/& CASE(multiply)/' "$work/tests/ref_cases.h"
grep -qF "$(block src/io/weights.c)" src/io/weights.c || { echo "FAILED: the table of formats is another"; exit 1; }

(cd "$work" && bash tests/tree.sh && bash tests/layers.sh > layers.log) || { cat "$work/layers.log"; exit 1; }
for strict in "" -DSTRICT; do
    glslc -O --target-env=vulkan1.2 $strict -DARGS=multiply_args -DVARIANT=0 -I "$work/shaders" \
        -o "$work/multiply.spv" "$work/shaders/multiply.comp"
done
# What CMake makes of the rows is not needed to see whether C takes them.
read -ra flags <<< "$(pkg-config --cflags cmocka libcjson libpcre2-8 libutf8proc)"
for file in src/edit/guards.c tests/test_ops.c src/check/twin_float.c src/check/twin_double.c src/check/cases.c; do
    gcc -std=c11 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -DVK_NO_PROTOTYPES \
        -DOEDIT_VERSION='"x"' -I "$work/src" -I "$work/shaders" -I "$work/include" -I "$work/tests" \
        -I "$build/spirv" "${flags[@]}" "$work/$file" || { echo "FAILED: $file"; exit 1; }
done
echo "contributing: the examples fit the tree and compile"
