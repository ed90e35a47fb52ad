#!/usr/bin/env bash
# --vram: with so little device memory that layers are streamed, commands give the bytes that they
# give with all layers kept, and take no more than they were given.
set -euo pipefail

# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh

# The least that a command says it wants, in MiB, when it gets next to nothing.
least() {
    ! "$@" --vram 64K > out.txt 2> err.txt || wrong "$*: 64 KiB is enough"
    tail -1 err.txt | sed -nE 's/.*--vram: got 0.06 MiB, wanted ([0-9.]+)[,:].*/\1/p'
}

# within LIMIT COMMAND...: some layers are streamed, and the device's memory was enough.
within() {
    local limit=$1
    shift
    right "$@" -v --vram "${limit}M"
    matches "^[1-9][0-9]* of [0-9]+ layers are streamed$" err.txt
    most=$(sed -nE 's/^device memory at most: .*\(([0-9]+) bytes\)$/\1/p' err.txt)
    [ "${most:-0}" -gt 0 ] && awk "BEGIN {exit !($most <= $limit * 1048576)}" ||
        wrong "$*: took $most bytes of $limit MiB"
}

text=(--text text.txt --tokens 1500 --contexts 1)
"$maker" . f32
for precision in fast strict; do
    export XDG_CACHE_HOME=$work/kept-$precision
    numbers=(--precision $precision)
    rm -f ./*.gguf ./*.journal
    edit=("$oedit" edit -m demo -r demo -n 3 "${text[@]}" "${numbers[@]}")
    right "${edit[@]}" --guard oedit-plus -o kept.gguf
    right "${edit[@]}" --guard oedit --optimizer gauss-newton --layers 0,3 -o kept2.gguf
    right "$oedit" logits -m demo -p "The mother tongue of Carl Tramar is" --json "${numbers[@]}"
    grep -v '"seconds"' out.txt > kept.json
    right "$oedit" eval -m kept.gguf --base demo -r demo -n 6 --json "${numbers[@]}"
    grep -v '"seconds"' out.txt > kept-eval.json

    export XDG_CACHE_HOME=$work/streamed-$precision
    few=$(least "${edit[@]}" --guard oedit-plus -o few.gguf)
    within "$few" "${edit[@]}" --guard oedit-plus -o few.gguf
    same kept.gguf few.gguf
    same kept.gguf.journal few.gguf.journal
    # What the plan says of it; the plan's limit has an eighth of room.
    right "$oedit" plan "${edit[@]:2}" --guard oedit-plus --vram "${few}M" --json
    planned=$(sed -nE 's/^[[:space:]]*"device_bytes":[[:space:]]*([0-9]+),$/\1/p' out.txt | head -1)
    awk "BEGIN {exit !(0.85 * $most < $planned && $planned < 1.15 * $most)}" ||
        wrong "planned $planned bytes, took $most"
    few=$(least "${edit[@]}" --guard oedit --optimizer gauss-newton --layers 0,3 -o few2.gguf)
    within "$few" "${edit[@]}" --guard oedit --optimizer gauss-newton --layers 0,3 -o few2.gguf
    same kept2.gguf.journal few2.gguf.journal
    logits=("$oedit" logits -m demo -p "The mother tongue of Carl Tramar is" --json "${numbers[@]}")
    within "$(least "${logits[@]}")" "${logits[@]}"
    grep -v '"seconds"' out.txt | cmp - kept.json || wrong "logits differ ($precision)"
    grad=("$oedit" grad -m demo "${text[@]:0:4}" "${numbers[@]}")
    right "${grad[@]}" -o kept.f32
    within "$(least "${grad[@]}" -o few.f32)" "${grad[@]}" -o few.f32
    same kept.f32 few.f32
    measure=("$oedit" eval -m kept.gguf --base demo -r demo -n 6 --json "${numbers[@]}")
    # The edited model, which has a matrix in f32, wants more than its base.
    within "$(awk "BEGIN {print $(least "${measure[@]}") + 0.6}")" "${measure[@]}"
    grep -v '"seconds"' out.txt | cmp - kept-eval.json || wrong "measures differ ($precision)"
    # C and the directions of grad G, as the cache has them.
    for file in "$work/kept-$precision/oedit/"[cg]-*; do
        same "$file" "$work/streamed-$precision/oedit/${file##*/}"
    done
done

# A model in f32: its matrices have to be calmed (docs/numerics.md) whenever they are read.
for precision in fast strict; do
    rm -f ./*.gguf ./*.journal
    "$maker" . f32
    edit=("$oedit" edit -m base.gguf -r facts.jsonl "${text[@]}" --ridge 0.01 -n 3
          --precision $precision)
    right "${edit[@]}" -o kept.gguf
    within "$(least "${edit[@]}" -o few.gguf)" "${edit[@]}" -o few.gguf
    same kept.gguf few.gguf
    same kept.gguf.journal few.gguf.journal
done

refused 2 "wanted bytes, as in 6G" "$oedit" logits -m demo -p x --vram much
refused 2 "wanted bytes, as in 6G" "$oedit" logits -m demo -p x --vram 6T
refused 2 "wanted bytes, as in 6G" "$oedit" logits -m demo -p x --vram -1G
refused 2 "wanted bytes, as in 6G" "$oedit" logits -m demo -p x --vram 1000B
refused 4 "with all layers streamed" "$oedit" logits -m demo -p x --vram 1MiB
refused 4 "with all layers streamed" "${edit[@]}" -o x.gguf --vram 0.1M
[ ! -e x.gguf ] || wrong "a model of a run that found no room"
[ $failed = 0 ] && echo "vram: the same bytes from streamed layers"
exit $failed
