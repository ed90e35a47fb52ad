#!/usr/bin/env bash
# The command as a user calls it: what is refused, with which exit code and sentence, and that a
# refusal leaves no file behind; with the example model, one whole edit and its evaluation.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work/home
cd "$work"
failed=0

# refused CODE WORDS COMMAND...: the exit code is CODE, stderr's last line has WORDS.
refused() {
    local code=$1 words=$2 got=0
    shift 2
    "$@" > out.txt 2> err.txt || got=$?
    if [ "$got" != "$code" ] || ! tail -1 err.txt | grep -qF -- "$words"; then
        echo "FAILED: $*: exit code $got, wanted $code with '$words' on stderr; got:"
        cat out.txt err.txt
        failed=1
    fi
}

right() {
    if ! "$@" > out.txt 2> err.txt; then
        echo "FAILED: $*"
        cat out.txt err.txt
        failed=1
    fi
}

refused 2 "did you mean edit?" "$oedit" edti
refused 2 "did you mean --layer?" "$oedit" edit --layr 5
refused 2 "--model: wanted" "$oedit" edit
refused 2 "wanted one of memit|rome|ft|ft-l|ultraedit" "$oedit" edit --solver sgd
refused 2 "wanted a whole number" "$oedit" edit -m x --layer -1
refused 2 "wanted a number from" "$oedit" edit -m x --lambda nan
refused 2 "takes options only" "$oedit" edit model.gguf
refused 2 "--out: wanted a file" "$oedit" edit -m x -p "a b" --subject a --target c
refused 2 "wanted --requests FILE" "$oedit" edit -m x -o y
refused 2 "wanted --requests FILE" "$oedit" plan -m x
refused 2 "--model: wanted" "$oedit" plan
refused 2 "wanted --requests FILE" "$oedit" eval -m x
refused 2 "did you mean gemm?" "$oedit" bench gemn
refused 2 "bench: got 'speed', wanted of probe,gemm,ops" "$oedit" bench speed
refused 2 "bench edit: wanted a model file" "$oedit" bench gemm edit
refused 2 "--shapes: got 'smollm', wanted of smollm2," "$oedit" bench --shapes tiny,smollm
refused 2 "--shapes: got ''" "$oedit" bench --shapes ""
refused 2 "--rows: got '1,0'" "$oedit" bench --rows 1,0
refused 2 "--rows: got '5x'" "$oedit" bench --rows 5x
refused 2 "--dtype: got 'q3'" "$oedit" bench --dtype f32,q3
refused 2 "wanted one of markdown|json|csv" "$oedit" bench --format xml
refused 2 "--repeat: got '0', wanted a whole number from 1" "$oedit" bench --repeat 0
refused 2 "--least: got 'long'" "$oedit" bench --least long
refused 1 "cannot write no/such/folder/y" "$oedit" bench gemm -o no/such/folder/y
refused 5 "cannot open none.gguf" "$oedit" bench model -m none.gguf -o y
refused 3 "no such device" "$oedit" bench gemm --device "no such device" -o y
refused 2 "takes options only, got 'x'" "$oedit" selftest x
refused 2 "did you mean --device?" "$oedit" selftest --devic 0
refused 5 "cannot open none.json" "$oedit" selftest --compare none.json none.json
right "$oedit" --help
right "$oedit" --version
for command in demo edit plan eval task experiment report generate logits tokenize stats grad devices bench log show apply revert \
    diff verify geometry selftest merge; do
    right "$oedit" $command --help
    [ "$(wc -l < out.txt)" -le 78 ] || { echo "FAILED: $command --help is longer than a screen"; failed=1; }
done

echo '[{"prompt": "A b", "subject": "c", "target_new": "d"}]' > subject.json
echo '[{"prompt": "A b", "target_new": "d"}]' > key.json
printf '[{"prompt": "A b",\n "subject": oops}]' > bad.json
refused 5 "record 1" "$oedit" edit -m x -r subject.json -o y
refused 5 "subject" "$oedit" edit -m x -r key.json -o y
refused 5 "line 2" "$oedit" edit -m x -r bad.json -o y
refused 5 "cannot open none.json" "$oedit" edit -m x -r none.json -o y
refused 1 "cannot write no/such/folder/y" "$oedit" edit -m x -p "A b" --subject A --target c -o no/such/folder/y
refused 5 "cannot open none.gguf" "$oedit" logits -m none.gguf -p x
head -c 100 /dev/zero > zero.gguf
refused 5 "zero.gguf" "$oedit" logits -m zero.gguf -p x
refused 3 "no such device" "$oedit" logits -m zero.gguf -p x --device "no such device"
[ ! -e y ] || { echo "FAILED: a refused edit left its output"; failed=1; }

model=${OEDIT_MODEL:-}
if [ ! -f "$model" ]; then
    echo "skipped: no SmolLM2 model; the refusals were tested"
    [ $failed = 0 ] && exit 77
    exit 1
fi

# Prose of our own serves as text; so little of it needs a ridge.
cat "$OLDPWD"/README.md "$OLDPWD"/LICENSE > text.txt
small=(--text text.txt --tokens 1024 --ridge 0.05 --contexts 1)
fact=(-p "The capital of France is" --subject France --target Rome)
refused 2 "is the model itself" "$oedit" edit -m "$model" "${fact[@]}" -o "$model"
refused 5 "token boundary" "$oedit" edit -m "$model" "${small[@]}" -p "The capital of France is" \
    --subject Fran --target Rome -o y
refused 2 "the model has layers 0 to 29" "$oedit" edit -m "$model" "${small[@]}" "${fact[@]}" --layer 30 -o y
refused 5 "larger --ridge" "$oedit" edit -m "$model" "${fact[@]}" --text text.txt --tokens 64 --ridge 0 -o y
[ ! -e y ] || { echo "FAILED: a refused edit left its output"; failed=1; }

right "$oedit" edit -m "$model" "${small[@]}" "${fact[@]}" --guard oedit-plus --lambda 300 --log log.jsonl -o new.gguf
right "$oedit" logits -m new.gguf -p "The capital of France is" --top 1 --json
grep -q '" Rome"' out.txt || { echo "FAILED: the edited model does not say Rome"; cat out.txt; failed=1; }
[ "$(wc -l < log.jsonl)" = 2 ] || { echo "FAILED: the log wants the run and one edit"; failed=1; }
echo '[{"prompt": "The capital of France is", "subject": "France", "target_new": "Rome",
"locality_prompt": "Two plus two is", "locality_ground_truth": "four"}]' > fact.json
right "$oedit" eval -m new.gguf --base "$model" -r fact.json --json
grep -q '"rel":[[:space:]]*1' out.txt || { echo "FAILED: Rel is not 1"; cat out.txt; failed=1; }
# A disk that is full: one sentence, nothing half written, and the edit is kept.
mkdir full
if mount -t tmpfs -o size=1m none full 2> /dev/null; then
    refused 1 "No space left" "$oedit" edit -m "$model" "${small[@]}" "${fact[@]}" --steps 1 -q -o full/y
    [ "$(ls -A full)" = y.journal ] || { echo "FAILED: a full disk left $(ls -A full)"; failed=1; }
    umount full
else
    echo "skipped: no mount for the full disk"
fi
# The same seed gives the same bytes.
right "$oedit" edit -m "$model" "${small[@]}" "${fact[@]}" --guard oedit-plus --lambda 300 -o again.gguf
cmp new.gguf again.gguf || { echo "FAILED: the same edit gave other bytes"; failed=1; }
# All but the edited tensor stays: the file grows by that tensor's widening and the notes only.
if python3 -c "import gguf, numpy" 2> /dev/null; then
    python3 "$OLDPWD/tools/check_edited.py" new.gguf "$model" > out.txt || { cat out.txt; failed=1; }
    grep -q "changed: \['blk.5.ffn_down.weight'\]" out.txt || { cat out.txt; failed=1; }
fi
exit $failed
