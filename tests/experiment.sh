#!/usr/bin/env bash
# `oedit experiment` on a tiny model: its table against `oedit edit` and `oedit eval` of the same run,
# kill -9 at random moments (the folder must be that of an undisturbed experiment, byte for byte, but
# for its times), runs added later, and bad files.
# OEDIT_KILLS: how many [6]; OEDIT_SEED: of the moments [the process id].
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
kills=${OEDIT_KILLS:-6} seed=${OEDIT_SEED:-$$}
RANDOM=$seed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
failed() {
    echo "FAILED: $*" >&2
    exit 1
}
cd "$work"
"$maker" . f32
# What should stay: another request's prompt.
awk 'NR == FNR { match($0, /"prompt": "[^"]*"/); p[FNR] = substr($0, RSTART + 11, RLENGTH - 12); n = FNR; next }
    { sub(/}$/, ", \"locality_prompt\": \"" p[FNR % n + 1] "\", \"locality_ground_truth\": \"red\"}"); print }' \
    facts.jsonl facts.jsonl > data.jsonl
cat > tiny.json << 'END'
{"title": "A tiny experiment", "data": "data.jsonl", "checkpoints": [4, 8, 1000],
 "measures": ["rel", "gen", "loc"], "settings": {"ridge": 0.01, "steps": 10},
 "runs": [
   {"name": "memit", "label": "MEMIT"},
   {"name": "oedit", "label": "+O-Edit", "guard": "oedit", "lambda1": 10},
   {"name": "exact", "label": "+O-Edit+ | exact", "guard": "oedit-plus", "projector": "exact"}],
 "charts": [{"kind": "checkpoints"}, {"kind": "retention", "measures": ["rel"]},
   {"kind": "sweep", "knob": "lambda1", "measures": ["norm"]}, {"kind": "cosines", "edits": 6},
   {"kind": "activation"}]}
END
run=("$oedit" experiment tiny.json -q -m base.gguf --text text.txt --tokens 1500)
"${run[@]}" -o whole --seeds 0,1

# ---- what is there, and right ----
for file in manifest.json unedited.json table.md table.csv times.jsonl checkpoints-rel.png \
    checkpoints-norm.png retention-rel.png sweep-norm.png cosines-memit.png cosines-exact.png \
    activation-own.png activation-unrelated.png {memit,oedit,exact}.seed{0,1}.{journal,jsonl,keys}; do
    [ -s "whole/$file" ] || failed "no $file"
done
for file in whole/*.png; do
    [ "$(head -c 8 "$file" | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] || failed "$file is no PNG"
done
grep -q '"steps":	10' whole/manifest.json || failed "manifest without the run's steps"
grep -q '^| +O-Edit+ \\| exact | ' whole/table.md || failed "a label breaks the table"
# Every row of a table has as many cells as its head.
awk -F'[^\\\\]?[|]' '/^\|/ { if (!n) n = NF; if (NF != n) exit 1; next } { n = 0 }' \
    <(sed 's/\\|//g' whole/table.md) || failed "rows of different lengths"
# The same run by hand: the same edits, and so the same scores.
"$oedit" edit -q -m base.gguf -r data.jsonl --text text.txt --tokens 1500 --ridge 0.01 --steps 10 \
    --guard oedit --lambda1 10 --seed 1 -o hand.gguf > /dev/null
"$oedit" eval -q -m hand.gguf --base base.gguf -r data.jsonl --json > hand.json
python3 - << 'END'
import csv, json
rows = list(csv.DictReader(open("whole/table.csv")))
hand = json.load(open("hand.json"))
lines = [json.loads(l) for l in open("whole/oedit.seed1.jsonl")]
assert len(lines) == 13 and [l["edit"] for l in lines[1:]] == list(range(1, 13))
assert [l["edit"] for l in lines[1:] if "checkpoint" in l] == [4, 8, 12]
assert all("ms" not in l for l in lines), "times among results"
last = lines[-1]["checkpoint"]
for name in ("rel", "gen", "loc", "avg"):
    assert abs(last[name] - hand[name]) < 1e-12, (name, last[name], hand[name])
both = [json.loads(list(open(f"whole/oedit.seed{s}.jsonl"))[-1])["checkpoint"] for s in (0, 1)]
for name in ("rel", "loc", "norm"):
    row, = [r for r in rows if (r["run"], r["edits"], r["measure"]) == ("oedit", "12", name)]
    mean = (both[0][name] + both[1][name]) / 2
    spread = abs(both[0][name] - both[1][name]) / 2 ** 0.5
    assert row["seeds"] == "2" and row["label"] == "+O-Edit", row
    assert abs(float(row["mean"]) - mean) < 1e-5 * (1 + mean), (row, mean)
    assert abs(float(row["deviation"]) - spread) < 1e-5 * (1 + spread), (row, spread)
before = {(r["edits"], r["measure"]): r["mean"] for r in rows if r["run"] == "unedited"}
assert before["12", "loc"] == "1" and before["4", "rel"] != "", before
END

# ---- what runs share changes nothing: each by itself gives the same lines ----
for name in memit oedit exact; do
    "${run[@]}" -o alone --seeds 1 --only $name
    for file in jsonl journal keys; do
        cmp "whole/$name.seed1.$file" "alone/$name.seed1.$file" || failed "$name alone differs"
    done
done

# ---- again: nothing is done anew; another thing is refused ----
cp -r whole twice
"${run[@]}" -o twice --seeds 0,1
diff -r whole twice || failed "a second call changed something"
said=$("${run[@]}" -o twice -n 5 2>&1) && failed "other count accepted"
grep -q "'count' is 12 there and 5 here" <<< "$said" || failed "$said"
said=$("${run[@]}" -o twice --set steps=9 2>&1) && failed "other steps accepted"
grep -q "'memit.seed0: steps' is 10 there and 9 here" <<< "$said" || failed "$said"

# ---- run by run, in another order ----
"${run[@]}" -o parts --seeds 1 --only exact
"${run[@]}" -o parts --seeds 0,1 --only oedit,memit
"${run[@]}" -o parts --seeds 0 --only exact
diff -r -x times.jsonl whole parts || failed "runs one by one gave another folder"

# ---- killed ----
started=$(date +%s%N)
"${run[@]}" -o timed --seeds 0,1
length=$(($(date +%s%N) - started))
rm -r timed
killed=0 rounds=0
while [ $killed -lt "$kills" ]; do
    rm -rf cut
    rounds=$((rounds + 1))
    while :; do
        "${run[@]}" -o cut --seeds 0,1 > out.txt 2> err.txt &
        id=$!
        if [ $killed -lt "$kills" ]; then
            sleep "$(awk -v l="$length" -v r=$((RANDOM * 32768 + RANDOM)) \
                'BEGIN { printf "%.6f", l / 1e9 * 0.9 * r / 1073741824 }')"
            kill -9 $id 2> /dev/null || true
        fi
        code=0
        wait $id 2> /dev/null || code=$?
        [ $code = 137 ] || break
        killed=$((killed + 1))
        # A power cut may also take bytes that were not yet on the disk, of any file.
        for file in cut/*.journal cut/*.jsonl cut/*.keys; do
            [ $((RANDOM % 4)) = 0 ] && size=$(stat -c %s "$file" 2> /dev/null) && [ "$size" -gt 0 ] &&
                truncate -s $((size - 1 - RANDOM % (size < 3000 ? size : 3000))) "$file"
        done
    done
    [ $code = 0 ] || { cat err.txt; failed "exit code $code after $killed kills (seed $seed)"; }
    diff -r -x times.jsonl whole cut || failed "other bytes after $killed kills (seed $seed)"
done

# ---- a knob that is found: |dW_total| as another run's, killed in the search and behind it ----
cat > match.json << 'END'
{"data": "data.jsonl", "measures": ["rel"], "settings": {"ridge": 0.01, "steps": 8},
 "runs": [
   {"name": "scaled", "guard": "scale", "match": "plus"},
   {"name": "fewer", "guard": "fewer-steps", "match": "plus"},
   {"name": "plus", "guard": "oedit-plus"}]}
END
match=("$oedit" experiment match.json -q -m base.gguf --text text.txt --tokens 1500 -n 6)
"${match[@]}" -o found 2> err.txt || { cat err.txt; failed "runs that match another"; }
python3 - << 'END'
import json
def last(run): return json.loads(list(open(f"found/{run}.seed0.jsonl"))[-1])["checkpoint"]["norm"]
def lines(run): return [json.loads(l) for l in open(f"found/{run}.seed0.match.jsonl")]
for run in ("scaled", "fewer"):
    first, *trials = lines(run)
    assert first["match"] == "plus.seed0" and trials, first
    assert abs(first["norm"] / last("plus") - 1) < 1e-3, (first, last("plus"))
    knob = json.loads(open(f"found/{run}.seed0.jsonl").readline())["settings"]["knob"]
    best = min(trials, key=lambda t: abs(t["norm"] / first["norm"] - 1))
    assert knob == best["knob"] and abs(best["norm"] / last(run) - 1) < 1e-3, (knob, best)
assert abs(last("scaled") / last("plus") - 1) < 0.055, (last("scaled"), last("plus"))
runs = json.load(open("found/manifest.json"))["runs"]
assert [r["name"] for r in runs] == ["scaled", "fewer", "plus"]
assert runs[0]["settings"]["match"] == "plus" and "knob" not in runs[0]["settings"]
assert runs[1]["settings"]["steps"] == 8
END
"${match[@]}" -o wanted --only scaled # and what it matches
for file in jsonl journal match.jsonl; do
    cmp "found/scaled.seed0.$file" "wanted/scaled.seed0.$file" || failed "scaled alone differs"
done
cmp found/plus.seed0.journal wanted/plus.seed0.journal || failed "plus was left out"
for lines in 1 2; do # in the search, its last line torn, and whole
    rm -rf cut
    cp -r wanted cut
    rm cut/scaled.seed0.j* cut/table.* cut/scaled.seed0.keys 2> /dev/null || true
    head -n $lines wanted/scaled.seed0.match.jsonl > cut/scaled.seed0.match.jsonl
    [ $lines = 2 ] || printf '{"knob":0.' >> cut/scaled.seed0.match.jsonl
    "${match[@]}" -o cut --only scaled
    diff -r -x times.jsonl wanted cut || failed "other bytes after a search that was cut"
done
rm -rf cut
cp -r wanted cut # behind the search
truncate -s -9 cut/scaled.seed0.journal
"${match[@]}" -o cut --only scaled
diff -r -x times.jsonl wanted cut || failed "other bytes behind a search"
sed -i 's/"knob":[0-9.]*/"knob":0.123/' cut/scaled.seed0.match.jsonl
rm cut/scaled.seed0.j*
said=$("${match[@]}" -o cut --only scaled 2>&1) && failed "another run's search accepted"
grep -q "not of this run" <<< "$said" || failed "$said"
bad_match() { # WORDS SED
    sed "$2" match.json > bad.json
    said=$("$oedit" experiment bad.json -m base.gguf --text text.txt -o bad 2>&1) && failed "$2"
    grep -qF -- "$1" <<< "$said" || failed "'$said' lacks '$1'"
}
bad_match "'match' is 'minus', wanted the name of another run" 's/"match": "plus"/"match": "minus"/'
bad_match "'match' is 'scaled', wanted the name of another run" '4s/"match": "plus"/"match": "scaled"/'
bad_match "'match' is 'no text'" '3s/"match": "plus"/"match": 3/'
bad_match "has a 'knob' and a 'match'" '3s/"match"/"knob": 0.5, "match"/'
bad_match "guard oedit has no knob" '3s/"scale"/"oedit"/'
bad_match "compares dW_total of one layer" '3s/"match"/"layers": "0-1", "match"/'

# ---- several layers, finished weights, edits of other forms; stored in few bits ----
mkdir few
"$maker" few q4_1
sed 's/"runs": *\[/"runs": [{"name": "wilke", "guard": "wilke", "layers": "0-2"},\
    {"name": "prune", "guard": "prune"}, {"name": "ft", "solver": "ft"},\
    {"name": "zero", "guard": "zero", "knob": 0.4},\
    {"name": "known", "guard": "oedit-plus", "grad-source": "locality"},\
    {"name": "ultra", "solver": "ultraedit", "guard": "prune"},/' tiny.json > forms.json
few=("$oedit" experiment forms.json -q -m few/base.gguf --text text.txt --tokens 1500 -n 6
    --measures rel,loc,ppl --ppl-text text.txt --ppl-tokens 300)
"${few[@]}" -o forms
for name in wilke prune ft ultra zero known exact; do
    # Whatever was done before, the bits are those of the run alone.
    "${few[@]}" -o lone --only $name
    for file in forms/$name.seed0.*; do
        cmp "$file" "lone/${file#*/}" || failed "$name alone differs in ${file#*/}"
    done
    [ -s forms/cosines-$name.png ] && has=yes || has=no
    case $name in
        ft | ultra) [ $has = no ] && [ ! -e forms/$name.seed0.keys ] || failed "cosines of $name" ;;
        zero) [ $has = no ] || failed "cosines of $name" ;;
        *) [ $has = yes ] || failed "no cosines of $name" ;;
    esac
done
for flags in "wilke --guard wilke --layers 0-2" "prune --guard prune" "ft --solver ft" \
    "ultra --solver ultraedit --guard prune" "zero --guard zero --knob 0.4" \
    "known --guard oedit-plus --grad-source locality"; do
    # shellcheck disable=SC2086
    "$oedit" edit -q -m few/base.gguf -r data.jsonl --text text.txt --tokens 1500 -n 6 --ridge 0.01 \
        --steps 10 ${flags#* } --measures rel,loc,ppl --ppl-text text.txt --ppl-tokens 300 \
        --checkpoints 4 --json -o form.gguf > form.json
    cmp form.gguf.journal "forms/${flags%% *}.seed0.journal" || failed "$flags: not oedit edit's journal"
    python3 - "${flags%% *}" << 'END'
import json, sys
hand = [s for s in json.load(open("form.json"))["measures"]["checkpoints"]]
mine = [l["checkpoint"] for l in map(json.loads, open(f"forms/{sys.argv[1]}.seed0.jsonl"))
        if "checkpoint" in l]
assert [s["edits"] for s in hand] == [s["edits"] for s in mine] == [4, 6]
for a, b in zip(hand, mine):
    for name in ("rel", "loc", "ppl"):
        assert a[name] == b[name], (sys.argv[1], name, a[name], b[name])
END
    rm -f form.gguf form.gguf.journal
done
# The knowledge of a later version is refused where it is asked for only.
sed 's/"runs": *\[/"runs": [{"name": "later", "solver": "later-edit"},/' tiny.json > later.json
"$oedit" experiment later.json -q -m base.gguf --text text.txt --tokens 1500 -n 1 --only memit -o early
said=$("$oedit" experiment later.json -q -m base.gguf -n 1 -o never 2>&1) && failed "later-edit is known"
grep -q "run 'later': --solver: got 'later-edit'" <<< "$said" || failed "$said"

# ---- downstream tasks, from the folder of the requests ----
sed 's/.*/{"text": "the cat plays in red"}/' <(seq 5) > lambada_test.jsonl
sed 's/"data"/"tasks": ["lambada"], "data"/; s/"measures": \["norm"\]/"measures": ["lambada"]/' \
    tiny.json > tasks.json
"$oedit" experiment tasks.json -q -m base.gguf --text text.txt --tokens 1500 --only memit -n 4 \
    --limit 3 -o tasks
grep -q '"lambada":' tasks/unedited.json || failed "no task before the edits"
grep -q '"items":	3' tasks/manifest.json || failed "--limit is not kept"
grep -q 'LAMBADA' tasks/table.md && grep -q '^memit,"MEMIT",4,lambada,' tasks/table.csv ||
    failed "no task in the tables"

# ---- bad files, each one line that says where ----
bad() { # WHAT-IT-MUST-SAY FILE-TEXT [FLAGS...]
    local want=$1 said code=0
    printf '%s' "$2" > bad.json
    shift 2
    said=$("$oedit" experiment bad.json -q -m base.gguf -o none "$@" 2>&1) || code=$?
    [ $code = 5 ] || [ $code = 2 ] || failed "exit code $code for '$want': $said"
    [ "$(wc -l <<< "$said")" = 1 ] && grep -qF -- "$want" <<< "$said" || failed "wanted '$want', got: $said"
    [ ! -e none ] || failed "a folder is left of a refused experiment"
}
data='"data": "data.jsonl"'
bad "bad.json: not a JSON object" '{"runs": ['
bad "bad.json: wanted 'runs'" "{$data}"
bad "the experiment has a key 'run'; did you mean runs?" "{$data, \"run\": []}"
bad "run 1: wanted an object with a 'name'" "{$data, \"runs\": [{\"guard\": \"oedit\"}]}"
bad "run 'a/b': wanted a name of" "{$data, \"runs\": [{\"name\": \"a/b\"}]}"
bad "two runs have the name 'a'" "{$data, \"runs\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}"
bad "bad.json: run 'a': --guard: got 'oedti', wanted one of" "{$data, \"runs\": [{\"name\": \"a\", \"guard\": \"oedti\"}]}"
bad "did you mean oedit?" "{$data, \"runs\": [{\"name\": \"a\", \"guard\": \"oedti\"}]}"
bad "bad.json: run 'a': --solver: got 'memti'" "{$data, \"runs\": [{\"name\": \"a\", \"solver\": \"memti\"}]}"
bad "bad.json: run 'a': unknown option --lambda9; did you mean --lambda" "{$data, \"runs\": [{\"name\": \"a\", \"lambda9\": 1}]}"
bad "bad.json: run 'a': --lambda1: got '-1', wanted a number" "{$data, \"runs\": [{\"name\": \"a\", \"lambda1\": -1}]}"
bad "bad.json: settings: --steps: got '0'" "{$data, \"settings\": {\"steps\": 0}, \"runs\": [{\"name\": \"a\"}]}"
bad "bad.json: run 'a': 'steps' wants a word" "{$data, \"runs\": [{\"name\": \"a\", \"steps\": [3]}]}"
bad "bad.json: run 'a': --out is the experiment's to say" "{$data, \"runs\": [{\"name\": \"a\", \"out\": \"x\"}]}"
bad "bad.json: run 'a': --layer: got 9, the model has layers 0 to 2" "{$data, \"runs\": [{\"name\": \"a\", \"layer\": 9}]}"
bad "'count' wants a number" "{$data, \"count\": 0, \"runs\": [{\"name\": \"a\"}]}"
bad "gone.jsonl is not there" '{"data": "gone.jsonl", "runs": [{"name": "a"}]}'
bad "names no data" '{"runs": [{"name": "a"}]}'
bad "did you mean memit?" "$(cat tiny.json)" --only memti
bad "--set: got 'steps', wanted NAME=VALUE" "$(cat tiny.json)" --set steps
bad "--seeds: got '0,x'" "$(cat tiny.json)" --seeds 0,x
bad "--checkpoints: got 13, there are 12 requests" "$(cat tiny.json)" --checkpoints 13
bad "a chart of the kind 'retentoin'; did you mean retention?" \
    "{$data, \"runs\": [{\"name\": \"a\"}], \"charts\": [{\"kind\": \"retentoin\"}]}"
bad "a chart 'sweep' wants 'knob'" "{$data, \"runs\": [{\"name\": \"a\"}], \"charts\": [{\"kind\": \"sweep\"}]}"
bad "there is no task 'siqq'; did you mean siqa?" "{$data, \"tasks\": [\"siqq\"], \"runs\": [{\"name\": \"a\"}]}"
bad "task siqa wants the file siqa_dev.jsonl" "{$data, \"tasks\": [\"siqa\"], \"runs\": [{\"name\": \"a\"}]}"
said=$("$oedit" experiment tabel1 -m base.gguf -o none 2>&1) && failed "tabel1 is known"
grep -q "did you mean table1?" <<< "$said" || failed "$said"

# ---- the embedded ones can be read ----
"$oedit" experiment --list > list.txt
"$oedit" experiment --list --json | python3 -c '
import json, sys
names = {x["name"] for x in json.load(sys.stdin)}
wanted = {"table1", "table2", "table3", "table4", "table5", "table6", "table7", "table9", "table10",
          "figure3", "figure4", "figure5", "beyond"}
assert wanted <= names, wanted - names'
"$oedit" experiment --list table1 | grep -q 'memit+oedit-plus' || failed "table1 without O-Edit+"
echo "experiment: $(wc -l < list.txt) embedded; $killed kills in $rounds rounds, every folder as" \
    "undisturbed (seed $seed)"
