#!/usr/bin/env bash
# Hostile input: libFuzzer on everything that reads a file from outside, under ASan and UBSan, from
# seeds that tests/fuzz/seeds.c makes and from what once went wrong (tests/fuzz/found/TARGET/).
# usage: tests/fuzz.sh [TARGET...]     FUZZ_SECONDS: for each [5]; FUZZ_RUNS: or so many runs
# AFL++ takes the same targets: CC=afl-clang-fast tests/fuzz.sh builds them with -fsanitize=fuzzer.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
build=${OEDIT_BUILD:-$root/build}
work=$build/fuzz
cc=${CC:-clang}
command -v "$cc" > /dev/null || { echo "skipped: no $cc; apt-get install clang libclang-rt-14-dev"; exit 77; }

targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for source in "$root"/tests/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        targets+=("${name#fuzz_}")
    done
fi
read -ra packages <<< "$(pkg-config --cflags --libs libcjson libpcre2-8 libutf8proc)"
flags=(-std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer "-I$root/src" "-I$root/tests/fuzz" "-I$root/tests" "-I$build/spirv"
    -DOEDIT_VERSION="\"fuzz\"" -DPCRE2_CODE_UNIT_WIDTH=8 -w
    -fsanitize=address,undefined -fno-sanitize-recover=undefined)
mkdir -p "$work"

# The library without the device, once.
objects=()
for source in "$root"/src/base/*.c "$root"/src/io/*.c "$root"/src/cli/{journal_list,edit_report}.c \
    "$root"/tests/{ref_made,ref_folder,fuzz/fuzz}.c; do
    [[ $source != *_windows.c ]] || continue
    object=$work/$(basename "$source" .c).o
    objects+=("$object")
    if [ "$source" -nt "$object" ] || [ -n "$(find "$root/src/base" "$root/src/io" -name '*.h' -newer "$object" -print -quit)" ]; then
        "$cc" "${flags[@]}" -fsanitize=fuzzer-no-link -c "$source" -o "$object" "${packages[@]}"
    fi
done
"$cc" "${flags[@]}" "$root/tests/fuzz/seeds.c" "${objects[@]}" \
    -o "$work/seeds_make" "${packages[@]}" -lcmocka -lm -lpthread
for target in "${targets[@]}"; do mkdir -p "$work/seeds/$target" "$work/corpus/$target" "$work/crash"; done
mkdir -p "$work"/seeds/{gguf,requests,journal,part,tasks,safetensors,config,tokenizer}
"$work/seeds_make" "$work/seeds"

limit=(-max_total_time="${FUZZ_SECONDS:-5}")
[ -z "${FUZZ_RUNS:-}" ] || limit=(-runs="$FUZZ_RUNS")
total=0
for target in "${targets[@]}"; do
    "$cc" "${flags[@]}" -fsanitize=fuzzer "$root/tests/fuzz/fuzz_$target.c" "${objects[@]}" \
        -o "$work/fuzz_$target" "${packages[@]}" -lm -lpthread
    found=("$root/tests/fuzz/found/$target"/*)
    [ -e "${found[0]}" ] || found=()
    # A target that cannot fail would prove nothing: what once went wrong runs first, by itself.
    [ ${#found[@]} = 0 ] || "$work/fuzz_$target" "${found[@]}" > "$work/$target.log" 2>&1 || {
        tail -40 "$work/$target.log"
        echo "fuzz: $target fails on an input of tests/fuzz/found" >&2
        exit 1
    }
    # Warnings of the library are no news here; reports of sanitizers come through all the same.
    "$work/fuzz_$target" "${limit[@]}" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -close_fd_mask=2 -print_final_stats=1 \
        -artifact_prefix="$work/crash/$target-" "$work/corpus/$target" "$work/seeds/$target" \
        > "$work/$target.log" 2>&1 || {
        tail -60 "$work/$target.log"
        echo "fuzz: $target: the input is in $work/crash" >&2
        exit 1
    }
    runs=$(sed -nE 's/^stat::number_of_executed_units: +//p' "$work/$target.log")
    cover=$(sed -nE 's/.* cov: ([0-9]+) .*/\1/p' "$work/$target.log" | tail -1)
    echo "fuzz: $target: $runs runs, $cover places reached, nothing found"
    total=$((total + runs))
done
echo "fuzz: $total runs in all"
