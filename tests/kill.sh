#!/usr/bin/env bash
# kill -9 at random moments of a sequence of edits on a tiny model, resumed until it ends: the
# journal and the model must be those of an undisturbed run, byte for byte, and nothing else may be left.
# Now and then the journal's tail is cut, too, as by a power cut.
# OEDIT_KILLS: how many [12]; OEDIT_SEED: of the moments [the process id].
set -euo pipefail

# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh
kills=${OEDIT_KILLS:-12} seed=${OEDIT_SEED:-$$}
RANDOM=$seed
"$maker" . f32

# An array and not a function: what is killed must be the program itself.
edit=("$oedit" edit -q -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01
      --resume -o)

# Guards whose state is rebuilt in different ways.
guards=("--guard oedit-plus --projector paper" "--guard oedit" "--guard none"
        "--guard oedit-plus --projector exact")
for i in "${!guards[@]}"; do
    # shellcheck disable=SC2086
    "${edit[@]}" "whole$i.gguf" ${guards[i]} > /dev/null
done
# A second run has the caches that killed ones have: its length is what moments are taken from.
started=$(date +%s%N)
rm -f whole0.gguf*
# shellcheck disable=SC2086
"${edit[@]}" whole0.gguf ${guards[0]} > /dev/null
length=$(($(date +%s%N) - started))

killed=0 runs=0 torn=0 begun=0
while [ $killed -lt "$kills" ]; do
    i=$((runs++ % ${#guards[@]}))
    rm -f cut.gguf*
    while :; do
        # shellcheck disable=SC2086
        "${edit[@]}" cut.gguf ${guards[i]} > out.txt 2> err.txt &
        id=$!
        if [ $killed -lt "$kills" ]; then
            sleep "$(awk -v l=$length -v r=$((RANDOM * 32768 + RANDOM)) \
                'BEGIN { printf "%.6f", l / 1e9 * 1.1 * r / 1073741824 }')"
            kill -9 $id 2> /dev/null || true
        fi
        code=0
        wait $id 2> /dev/null || code=$?
        grep -q "is torn" err.txt && torn=$((torn + 1))
        [ $code = 137 ] || break
        killed=$((killed + 1))
        [ -s cut.gguf.journal ] && begun=$((begun + 1))
        # A power cut may also take bytes that were not yet on the disk.
        size=$(stat -c %s cut.gguf.journal 2> /dev/null || echo 0)
        [ $((RANDOM % 3)) = 0 ] && [ "$size" -gt 0 ] &&
            truncate -s $((size - 1 - RANDOM % (size < 2000 ? size : 2000))) cut.gguf.journal
    done
    if [ $code != 0 ]; then
        echo "FAILED: exit code $code after $killed kills (seed $seed)"
        cat err.txt
        exit 1
    fi
    for file in gguf gguf.journal; do
        cmp "whole$i.$file" "cut.$file" || {
            echo "FAILED: ${guards[i]}: other bytes after $killed kills (seed $seed)"
            exit 1
        }
    done
    rm cut.gguf cut.gguf.journal
    if left=$(compgen -G 'cut*'); then
        echo "FAILED: left behind: $left"
        exit 1
    fi
done
echo "kill: $killed kills in $runs runs, $begun of them with a journal begun, $torn torn records" \
    "left out; every journal and model as undisturbed (seed $seed)"
