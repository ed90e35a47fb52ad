#!/usr/bin/env bash
# The commands round a journal on a tiny model, as a user calls them: an interrupted run goes on
# with the same bits; edits are listed, applied, taken back, compared, verified; refusals are one
# line.
set -euo pipefail

# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh
leave() {
    umount "$work/full" 2> /dev/null || true
    rm -rf "$work"
}

edit() {
    "$oedit" edit -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01 "$@"
}

"$maker" . f32
plus=(--guard oedit-plus)
right edit "${plus[@]}" -o whole.gguf
[ -f whole.gguf.journal ] || wrong "no journal beside the model"

# ---- the model's file is cut while a run reads it ----
cp base.gguf cut.gguf
mkfifo log
edit -m cut.gguf "${plus[@]}" --log log -o never.gguf > out.txt 2> err.txt &
run=$!
exec 3< log
read -r _ <&3 # an edit is done
: > cut.gguf
cat <&3 > /dev/null
exec 3<&-
code=0
wait $run || code=$?
[ $code = 5 ] && tail -1 err.txt | grep -q "shorter while it was read: $work/cut.gguf" ||
    wrong "a model cut short: exit code $code"
[ ! -e never.gguf ] || wrong "a model cut short was written"
right "$oedit" log never.gguf.journal

# ---- going on ----
refused 2 "--resume goes on" edit "${plus[@]}" -o whole.gguf
mkdir quantised # its numbers are wild: an edit without effect is among them
"$maker" quantised q4_1
for folder in . quantised; do
    for guard in "oedit-plus --projector exact" "oedit-plus" "oedit" "r-edit" "wilke --layers 0-2" \
        "oedit --layers 1,0" "prune --layers 0-1" "none --key-memory 100" \
        "oedit --key-memory 10 --layers 0-1" "oedit-plus --solver alphaedit --null-threshold 0.05"; do
        rm -f a.gguf* b.gguf*
        # shellcheck disable=SC2206
        options=(-m $folder/base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01
                 --guard $guard)
        right "$oedit" edit "${options[@]}" -o a.gguf
        for n in 1 4 11 12; do
            right "$oedit" edit "${options[@]}" -o b.gguf --resume -n $n
        done
        same a.gguf b.gguf
        same a.gguf.journal b.gguf.journal
    done
done
refused 2 "remembers keys by itself" edit --solver alphaedit --key-memory 1 -o x.gguf
refused 2 "none is under it" edit --solver alphaedit --null-threshold 1e-9 -o x.gguf
refused 2 "is added to C, which solver ft has not" edit --solver ft --key-memory 1 -o x.gguf
right edit "${plus[@]}" -n 5 -o part.gguf --log log.jsonl
refused 2 "lambda was 64, now 63" edit "${plus[@]}" --resume -o part.gguf --lambda 63
refused 2 "guard was oedit-plus, now none" edit --resume -o part.gguf
refused 2 "seed was 0, now 1" edit "${plus[@]}" --resume -o part.gguf --seed 1
refused 2 "text was" edit "${plus[@]}" --resume -o part.gguf --tokens 1400
refused 2 "request 1 of this run is" edit "${plus[@]}" --resume -o part.gguf --skip 1
refused 2 "it has 5 edits, this run 3" edit "${plus[@]}" --resume -o part.gguf -n 3
cp base.gguf other.gguf
size=$(stat -c %s other.gguf)
printf '\x01' | dd of=other.gguf bs=1 seek=$((size - 4)) conv=notrunc 2> /dev/null
refused 2 "model was" "$oedit" edit -m other.gguf -r facts.jsonl --text text.txt --tokens 1500 \
    --ridge 0.01 "${plus[@]}" --resume -o part.gguf
size=$(stat -c %s part.gguf.journal)
truncate -s $((size - 3)) part.gguf.journal
right edit "${plus[@]}" -o part.gguf --resume --log log.jsonl
says "is torn and left out" err.txt
says "goes on behind edit 4" err.txt
same whole.gguf part.gguf
same whole.gguf.journal part.gguf.journal
[ "$(wc -l < log.jsonl)" = 14 ] || wrong "the log wants the run, 5 edits and 8 more"
right edit "${plus[@]}" -o new.gguf --resume --journal elsewhere.journal
same whole.gguf.journal elsewhere.journal
[ ! -e new.gguf.journal ] || wrong "--journal was given, and another was made"
echo "my diary" > diary.txt
refused 5 "diary.txt is no journal" edit -o x.gguf --journal diary.txt
[ "$(cat diary.txt)" = "my diary" ] || wrong "a file that is no journal was changed"
# A journal that was refused before it began is not left behind.
refused 2 "the model has layers" edit -o x.gguf --layer 99
[ ! -e x.gguf.journal ] || wrong "an empty journal is left"

# ---- one run at a time ----
flock -o whole.gguf.journal sleep 60 &
holder=$!
sleep 0.5
refused 1 "in use by another run" edit "${plus[@]}" -o whole.gguf --resume
refused 1 "in use by another run" "$oedit" revert whole.gguf.journal 1
right "$oedit" log whole.gguf.journal
kill $holder
wait $holder 2> /dev/null || true

# ---- signals ----
for signal in INT TERM; do
    rm -f stop.gguf*
    # Long edits; background jobs of a script ignore Ctrl-C unless told otherwise.
    slow=("$oedit" edit -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01
          --steps 300 --stop 0 -o stop.gguf)
    env --default-signal=INT "${slow[@]}" > out.txt 2> err.txt &
    id=$!
    for _ in $(seq 900); do
        "$oedit" log stop.gguf.journal 2> /dev/null | grep -q . && break
        sleep 0.1
    done
    kill -$signal $id
    code=0
    wait $id || code=$?
    [ $code = 130 ] || wrong "SIG$signal: exit code $code, wanted 130"
    says "stopped by" err.txt
    says "with --resume goes on" err.txt
    [ ! -e stop.gguf ] || wrong "a stopped run wrote its model"
    right "$oedit" log stop.gguf.journal
done

# ---- a full disk, first for the journal and then for the model ----
mkdir full
if mount -t tmpfs -o size=8k none full 2> /dev/null; then
    refused 1 "cannot write full/a.gguf.journal: No space left" edit "${plus[@]}" -o full/a.gguf
    says "with --resume goes on" err.txt
    right "$oedit" log full/a.gguf.journal
    [ ! -s err.txt ] || wrong "a full disk left a torn record"
    [ "$(ls -A full)" = a.gguf.journal ] || wrong "a full disk left $(ls -A full)"
    mount -o remount,size=64k full
    refused 1 "cannot write full/a.gguf: No space left" edit "${plus[@]}" -o full/a.gguf --resume
    same whole.gguf.journal full/a.gguf.journal
    [ "$(ls -A full)" = a.gguf.journal ] || wrong "a full disk left $(ls -A full)"
    mount -o remount,size=1m full
    right edit "${plus[@]}" -o full/a.gguf --resume
    same whole.gguf full/a.gguf
    umount full
else
    echo "skipped: no mount for the full disk"
fi

# ---- looking ----
right "$oedit" log whole.gguf.journal
[ "$(wc -l < out.txt)" = 12 ] || wrong "log wants 12 lines"
right "$oedit" log whole.gguf.journal --filter 3-5
[ "$(wc -l < out.txt)" = 3 ] || wrong "log --filter 3-5 wants 3 lines"
right "$oedit" log whole.gguf.journal --filter subject=CAT
says "the cat" out.txt
refused 2 "--filter: got '0'" "$oedit" log whole.gguf.journal --filter 0
right "$oedit" log whole.gguf.journal --json
python3 -c 'import json; d = json.load(open("out.txt")); assert d["remaining"] == 12, d
assert len(d["edits"]) == 12 and d["run"]["lambda"] == 64 and not d["torn"]'
right "$oedit" show whole.gguf.journal
says "blk.0.ffn_down.weight" out.txt
right "$oedit" show whole.gguf.journal 2
says "taken" out.txt
refused 2 "has the edits 1 to 12" "$oedit" show whole.gguf.journal 13
refused 2 "has the edits 1 to 12" "$oedit" show whole.gguf.journal two
refused 5 "is no journal" "$oedit" show base.gguf
refused 5 "cannot open none" "$oedit" log none

# ---- onto the original, and back; for a quantised tensor, too ----
right "$oedit" edit -m quantised/base.gguf -r facts.jsonl --text text.txt --tokens 1500 \
    --ridge 0.01 -o quantised/whole.gguf
for folder in . quantised; do
    base=$folder/base.gguf whole=$folder/whole.gguf journal=$folder/back.journal
    cp "$whole.journal" "$journal"
    right "$oedit" apply "$journal" -m "$base" -o "$folder/applied.gguf"
    same "$whole" "$folder/applied.gguf"
    right "$oedit" verify "$whole"
    right "$oedit" verify "$whole" "$journal" --base "$base"
    says "give the same bits" out.txt
    right "$oedit" apply "$journal" -m "$base" -o "$folder/half.gguf" --out-type f16
    right "$oedit" verify "$folder/half.gguf" "$journal" --base "$base"
    right "$oedit" revert "$journal" 7 2 -m "$base" -o "$folder/less.gguf"
    right "$oedit" verify "$folder/less.gguf" "$journal" --base "$base"
    right "$oedit" verify "$whole" "$journal" --base "$base" # as it was before the revert
    says "went on since" out.txt
    right "$oedit" diff "$whole" "$folder/less.gguf"
    says "rank 2," out.txt
    right "$oedit" diff "$whole.journal" "$journal"
    says "rank 2," out.txt
    refused 2 "edit 2 of $journal is reverted already" "$oedit" revert "$journal" 2
    right "$oedit" revert "$journal" --all -m "$base" -o "$folder/none.gguf"
    same "$base" "$folder/none.gguf"
    right "$oedit" diff "$base" "$folder/none.gguf"
    says "no difference" out.txt
done
right "$oedit" diff base.gguf whole.gguf --json
python3 -c 'import json; d = json.load(open("out.txt"))
assert [t["tensor"] for t in d] == ["blk.0.ffn_down.weight"] and d[0]["rank"] <= 12, d'
# Taking back and making again: the rest is base + what remains, whoever adds it up.
right edit "${plus[@]}" -n 4 -o first.gguf
right "$oedit" revert first.gguf.journal 2
right edit "${plus[@]}" -n 6 --resume -o first.gguf
right "$oedit" apply first.gguf.journal -m base.gguf -o second.gguf
same first.gguf second.gguf
right edit "${plus[@]}" -n 4 -o third.gguf
right "$oedit" revert third.gguf.journal 2
right edit "${plus[@]}" -n 5 --resume -o third.gguf
right edit "${plus[@]}" -n 6 --resume -o third.gguf
same first.gguf third.gguf
same first.gguf.journal third.gguf.journal
right "$oedit" verify first.gguf --base base.gguf

# ---- adapters ----
right "$oedit" apply whole.gguf.journal -m base.gguf --lora facts.gguf --peft facts --rank 2
says "is left out" err.txt
for file in facts.gguf facts/adapter_config.json facts/adapter_model.safetensors; do
    [ -s "$file" ] || wrong "$file is not there"
done
cp facts.gguf once.gguf
right "$oedit" apply whole.gguf.journal -m base.gguf --lora facts.gguf --rank 2
same once.gguf facts.gguf
refused 2 "--rank: got" "$oedit" apply whole.gguf.journal -m base.gguf --lora facts.gguf --rank 0
refused 2 "--rank" "$oedit" apply whole.gguf.journal -m base.gguf -o x.gguf --rank 2
# ---- several layers, and weights that a guard finishes: onto the original and back ----
several() { # NAME OPTIONS...
    local name=$1
    shift
    right edit "$@" -o "$name.gguf"
    right "$oedit" apply "$name.gguf.journal" -m base.gguf -o applied.gguf
    same "$name.gguf" applied.gguf
    right "$oedit" verify "$name.gguf" --base base.gguf
    says "give the same bits" out.txt
    right "$oedit" apply "$name.gguf.journal" -m base.gguf -o half.gguf --out-type f16
    right "$oedit" verify half.gguf "$name.gguf.journal" --base base.gguf
    cp "$name.gguf.journal" back.journal
    right "$oedit" revert back.journal 9 3 -m base.gguf -o less.gguf
    right "$oedit" verify less.gguf back.journal --base base.gguf
    cmp -s less.gguf "$name.gguf" && wrong "$name: a revert changed nothing"
    right "$oedit" diff "$name.gguf.journal" back.journal -m base.gguf
    right "$oedit" revert back.journal --all -m base.gguf -o none.gguf
    same base.gguf none.gguf
}
several wilke --guard wilke --layers 0-2
right "$oedit" diff base.gguf wilke.gguf --json
python3 -c 'import json; d = json.load(open("out.txt"))
assert [t["tensor"] for t in d] == ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"], d
assert sum(t["rank"] for t in d) == 12, d'
right "$oedit" verify wilke.gguf
says "tensors blk.0.ffn_down.weight blk.1.ffn_down.weight are as they were written" out.txt
right "$oedit" show wilke.gguf.journal 3
says "of layer" out.txt
right "$oedit" log wilke.gguf.journal --json
python3 -c 'import json; d = json.load(open("out.txt"))
assert d["run"]["layers"] == "0,1,2" and len(d["run"]["tensors"]) == 3, d["run"]
for e in d["edits"]:
    c = e["candidates"]
    assert [x["layer"] for x in c] == [0, 1, 2] and c[2]["score"] is None, c
    scored = [x for x in c if x["score"] is not None]
    assert e["layer"] == min(scored, key=lambda x: x["score"])["layer"], e
    for x in scored:
        want = (x["delta"] * x["frobenius"] / x["k"]) ** 2
        assert abs(x["score"] / want - 1) < 1e-9, x'
refused 2 "layers was 0,1,2, now" edit --guard wilke --layers 0-1 --resume -o wilke.gguf
refused 2 "seed was 0, now 1" edit --guard wilke --layers 0-2 --resume -o wilke.gguf --seed 1
right "$oedit" apply wilke.gguf.journal -m base.gguf --lora both.lora --peft both
python3 -c 'import json; d = json.load(open("both/adapter_config.json"))
assert d["layers_to_transform"] == [0, 1] and d["r"] == d["lora_alpha"], d'
several prune --guard prune
right edit --guard none -o plain.gguf
cmp -s plain.gguf prune.gguf && wrong "PRUNE changed nothing"
# Their pairs are the same; what is written of them is not.
refused 2 "depends on the model, wanted -m MODEL" "$oedit" diff plain.gguf.journal prune.gguf.journal
refused 2 "got two models" "$oedit" diff plain.gguf prune.gguf -m base.gguf
for pair in "plain prune" "prune plain" "prune wilke"; do
    read -r a b <<< "$pair"
    right "$oedit" diff $a.gguf.journal $b.gguf.journal -m base.gguf --json
    cp out.txt journals.json
    right "$oedit" diff $a.gguf $b.gguf --json
    python3 - "$pair" << 'END' || wrong "diff of $pair: journals and models differ otherwise"
import json, sys
journals, models = json.load(open("journals.json")), json.load(open("out.txt"))
name = lambda row: row["tensor"]
assert models and sorted(map(name, journals)) == sorted(map(name, models)), (journals, models)
for j, m in zip(sorted(journals, key=name), sorted(models, key=name)):
    for key in ("frobenius", "spectral"):
        assert abs(j[key] / m[key] - 1) < 1e-3, (key, j, m)
END
done
right "$oedit" diff prune.gguf.journal prune.gguf.journal -m base.gguf
grep -q "no difference" out.txt || wrong "a pruned journal differs from itself"
right "$oedit" apply prune.gguf.journal -m base.gguf --lora prune.lora --rank 3
several both --guard prune --layers 2,0-1
refused 2 "--guard wilke: got one layer, wanted several" edit --guard wilke -o x.gguf
refused 2 "--guard wilke: got one layer, wanted several" edit --guard wilke --layers 1 -o x.gguf
refused 2 "got --layer and --layers" edit --layer 1 --layers 0-1 -o x.gguf
refused 2 "got 2-0, wanted the lower layer first" edit --guard wilke --layers 2-0 -o x.gguf
refused 2 "got 3 in '0-3', the model has layers 0 to 2" edit --guard wilke --layers 0-3 -o x.gguf
refused 2 "got 1 twice" edit --guard wilke --layers 0-1,1 -o x.gguf
[ ! -e x.gguf.journal ] || wrong "a refused edit left its journal"
# ---- edits of several pairs, and dense ones ----
for solver in "ultraedit --contexts 2" "ultraedit --contexts 1 --guard oedit-plus" \
    "ultraedit --contexts 1 --guard prune" "ft" "ft-l"; do
    rm -f form.gguf* again.gguf* back.gguf form.lora
    # shellcheck disable=SC2206
    options=(-m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --solver $solver)
    right "$oedit" edit "${options[@]}" -n 6 -o form.gguf
    for n in 1 2 5 6; do
        right "$oedit" edit "${options[@]}" -o again.gguf --resume -n $n
    done
    same form.gguf again.gguf
    same form.gguf.journal again.gguf.journal
    right "$oedit" apply form.gguf.journal -m base.gguf -o back.gguf --lora form.lora
    same form.gguf back.gguf
    says "of |dW|" err.txt
    [ -s form.lora ] || wrong "$solver: no adapter"
    right "$oedit" verify form.gguf --base base.gguf
    right "$oedit" show form.gguf.journal 3
    case $solver in
        ft*) says "dense" out.txt ;;
        *) says "pairs" out.txt ;;
    esac
    right "$oedit" revert form.gguf.journal 2 -m base.gguf -o less.gguf
    right "$oedit" verify less.gguf form.gguf.journal --base base.gguf
    right "$oedit" diff form.gguf.journal again.gguf.journal -m base.gguf
    says "pairs" out.txt
    right "$oedit" revert form.gguf.journal --all -m base.gguf -o none.gguf
    same base.gguf none.gguf
done
refused 2 "the updates of solver ft are dense" edit --solver ft --guard oedit-plus -o x.gguf
refused 2 "which solver ultraedit has not" edit --solver ultraedit --guard oedit -o x.gguf

# ---- what does not belong together ----
refused 2 "wanted both --model and --out" "$oedit" revert whole.gguf.journal 1 -o x.gguf
refused 2 "revert: wanted a journal and numbers" "$oedit" revert whole.gguf.journal
refused 2 "revert: got 'x'" "$oedit" revert whole.gguf.journal x
refused 2 "revert: got edit 3 twice" "$oedit" revert whole.gguf.journal 3 3
refused 2 "is the model itself" "$oedit" apply whole.gguf.journal -m base.gguf -o base.gguf
refused 2 "is the journal of another model" "$oedit" apply whole.gguf.journal -m other.gguf \
    -o x.gguf
refused 2 "wanted two of a kind" "$oedit" diff base.gguf whole.gguf.journal
refused 2 "edit different models" "$oedit" diff whole.gguf.journal quantised/back.journal
refused 1 "has no oedit.journal" "$oedit" verify base.gguf whole.gguf.journal
refused 1 "edits the model" "$oedit" verify whole.gguf quantised/back.journal
refused 1 "is another" "$oedit" verify first.gguf whole.gguf.journal
cp whole.gguf touched.gguf
right "$oedit" verify touched.gguf whole.gguf.journal
python3 - << 'PYTHON'
# One bit of the edited tensor and one of another: found by the bytes, as no library is wanted here.
whole, base = open("whole.gguf", "rb").read(), open("base.gguf", "rb").read()
longer = len(whole) - len(base)
edited = next(i for i in range(len(whole) - 1, longer, -1) if whole[i] != base[i - longer])
for name, at in (("touched.gguf", edited), ("elsewhere.gguf", len(whole) - 40)):
    data = bytearray(whole)
    data[at] ^= 1
    open(name, "wb").write(data)
PYTHON
refused 1 "is not what was written" "$oedit" verify touched.gguf whole.gguf.journal
refused 1 "is not the base's" "$oedit" verify elsewhere.gguf whole.gguf.journal --base base.gguf
printf '\xff' | dd of=whole.gguf.journal bs=1 seek=3000 conv=notrunc 2> /dev/null
refused 5 "is damaged" "$oedit" apply whole.gguf.journal -m base.gguf -o x.gguf
refused 5 "record" edit "${plus[@]}" -o whole.gguf --resume
[ ! -e x.gguf ] || wrong "a refused command left its output"
left=$(compgen -G '*.gguf.[0-9]*' || true)
[ -z "$left" ] || wrong "left behind: $left"
[ $failed = 0 ] && echo "journal: all commands did what they should"
exit $failed
