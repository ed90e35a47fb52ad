#!/usr/bin/env bash
# Measuring from the command line, on a tiny model: what `edit` measures while it edits is what `eval`
# finds in the journal and in the written model; tasks; refusals are one line.
set -euo pipefail

# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh

"$maker" . f32
# Records have all there is to measure, and edits that hold.
sed -i 's/}$/, "ground_truth": "rome", "locality_prompt": "the king of"}/' facts.jsonl
edit=("$oedit" edit -q -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01
      --lambda 1 --clamp 60 --rate 2 --steps 40 --contexts 1)
count=$(wc -l < facts.jsonl)

# ---- states of a run ----
right "${edit[@]}" --checkpoints 0,2,5 --measures all --ppl-text text.txt --ppl-tokens 300 \
    --log log.jsonl -o a.gguf
cp out.txt live.txt
[ "$(grep -c '"by_age"' log.jsonl)" = 3 ] || wrong "the log wants the states after 2, 5 and all edits"
right "$oedit" eval -q -m base.gguf --journal a.gguf.journal --checkpoints 0,2,5 --measures all \
    --text text.txt --tokens 300
same out.txt live.txt
for row in "right after" 0 2 5 "$count"; do matches "^$row .* [0-9.]+$|^$row .* -$" live.txt; done
right "${edit[@]}" -o b.gguf # measuring changes nothing
same a.gguf b.gguf
same a.gguf.journal b.gguf.journal
# The written model has the last state.
right "$oedit" eval -q -m a.gguf --base base.gguf -r facts.jsonl --measures all
read -ra line <<< "$(sed -E 's/[A-Za-z.]+ //g' out.txt | tr '[:upper:]' '[:lower:]')"
read -ra last <<< "$(grep "^$count " live.txt)"
for i in "${!line[@]}"; do
    [ "${line[i]/nan/-}" = "${last[i + 1]}" ] || wrong "the written model scores ${line[*]}, live ${last[*]}"
done
# A run that went on measures what was left to do, and says so.
right "${edit[@]}" -n 4 -o c.gguf
"${edit[@]/-q/-v}" --resume --checkpoints 2 -o c.gguf > out.txt 2> err.txt || wrong "resume"
matches "4 edits are not measured again" err.txt
matches "^$count " out.txt
[ "$(grep -c "^2 " out.txt)" = 0 ] || wrong "a state that was not measured is in the table"
same a.gguf c.gguf
# Checkpoints are of the weights that would be written, whatever changed them.
for how in "--guard wilke --layers 0-2" "--guard prune" "--guard prune --layers 0-1" \
    "--solver ultraedit --guard prune" "--solver ft" "--guard zero --knob 0.4"; do
    rm -f e.gguf* f.gguf* log.jsonl
    # shellcheck disable=SC2206
    other=("$oedit" edit -q -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01
           --contexts 1 $how --ppl-text text.txt --ppl-tokens 300)
    right "${other[@]}" --measures all --checkpoints 3 -o e.gguf
    cp out.txt live.txt
    right "$oedit" eval -q -m base.gguf --journal e.gguf.journal --checkpoints 3 --measures all \
        --text text.txt --tokens 300
    same out.txt live.txt
    # A checkpoint disturbs no later edit, and has the perplexity of what a run up to it writes.
    right "$oedit" apply e.gguf.journal -m base.gguf -o f.gguf
    same e.gguf f.gguf
    right "${other[@]}" -n 3 --measures all -o f.gguf
    diff <(grep "^3 " live.txt) <(grep "^3 " out.txt) || wrong "$how: two states after 3 edits"
    right "$oedit" eval -q -m f.gguf --base base.gguf -n 3 -r facts.jsonl --text text.txt \
        --tokens 300 --measures all
    read -ra line <<< "$(sed -E 's/[A-Za-z.]+ //g' out.txt | tr '[:upper:]' '[:lower:]')"
    read -ra last <<< "$(grep "^3 " live.txt)"
    [ "${line[*]//nan/-}" = "${last[*]:1:${#line[@]}}" ] ||
        wrong "$how: the written model scores ${line[*]}, live ${last[*]}"
done
# Without an edit that was taken back.
right "$oedit" revert c.gguf.journal 1 2
right "$oedit" eval -q --json -m base.gguf --journal c.gguf.journal --measures rel
matches "\"edits\":[[:space:]]*$((count - 2))" out.txt

refused 2 "--checkpoints: got 99, there are" "${edit[@]}" --checkpoints 99 -o d.gguf
refused 2 "wanted numbers of edits" "${edit[@]}" --checkpoints 1,x -o d.gguf
refused 2 "--measures: got 'rell', wanted of rel,gen" "${edit[@]}" --measures rell -o d.gguf
refused 2 "ppl wants a text" "${edit[@]}" --measures ppl -o d.gguf
[ ! -e d.gguf ] && [ ! -e d.gguf.journal ] || wrong "a refused run left files"
refused 2 "wanted --journal FILE" "$oedit" eval -m base.gguf -r facts.jsonl --checkpoints 2
refused 2 "got --requests" "$oedit" eval -m base.gguf -r facts.jsonl --journal a.gguf.journal
refused 2 "got --base" "$oedit" eval -m base.gguf --base a.gguf --journal a.gguf.journal
refused 2 "--checkpoints: got 99" "$oedit" eval -m base.gguf --journal a.gguf.journal --checkpoints 99
refused 5 "is no journal" "$oedit" eval -m base.gguf --journal facts.jsonl
refused 2 "is the journal of another model" "$oedit" eval -m a.gguf --journal a.gguf.journal

# ---- tasks ----
printf '{"text": "the cat lives in paris"}\n{"text": "the old man"}\n' > words.jsonl
right "$oedit" task words.jsonl -q -m base.gguf
matches "^LAMBADA  [0-9.]+% \+- [0-9.]+  \([0-2] of 2 right\)$" out.txt
right "$oedit" task words.jsonl -q -m base.gguf --choose generate -n 2 --limit 1 --json
matches '"said":' out.txt
matches '"n":[[:space:]]*1,' out.txt
mkdir files
cp words.jsonl files/lambada_test.jsonl
right "$oedit" task lambada -q -m base.gguf --data files -p "{sentence}"
refused 5 "cannot open ./siqa_dev.jsonl" "$oedit" task siqa -m base.gguf
refused 2 "got 'squad', wanted siqa, lambada, csqa, gsm8k or a file" "$oedit" task squad -m base.gguf
refused 2 "wanted one of siqa" "$oedit" task -m base.gguf
refused 2 "--model: wanted" "$oedit" task words.jsonl
refused 2 "the prompt wants {question}" "$oedit" task words.jsonl -m base.gguf -p "{question}"
refused 5 "record 1: no task's record" "$oedit" task facts.jsonl -m base.gguf
# The model's context is 256 tokens: what is written ends there, what is asked has to fit.
printf '{"text": "the%s"}\n' "$(printf ' cat%.0s' {1..240})" > long.jsonl
right "$oedit" task long.jsonl -q -m base.gguf --choose generate -n 100
printf '{"text": "the%s"}\n' "$(printf ' cat%.0s' {1..260})" >> long.jsonl
for choose in likelihood generate; do
    refused 5 "wanted at most 256, the model's context" \
        "$oedit" task long.jsonl -m base.gguf --choose $choose
done
[ $failed = 0 ] && echo "measures: states, journals and models agree"
exit $failed
