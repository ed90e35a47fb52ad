#!/usr/bin/env bash
# More than one worker, on a tiny model in strict numbers: `oedit experiment`, `stats`, `grad` and `eval`
# with several devices, a worker and a parent killed on the way, two devices of different drivers; and
# tools/cluster/Snakefile with two jobs, all of it killed once and started again. Every result must
# be that of one undivided call, byte for byte.
set -euo pipefail

root=$PWD
drivers=${OEDIT_DRIVERS:-${OEDIT_BUILD:-$PWD/build}/drivers}
[ -d "$drivers" ] || drivers=$PWD/build/drivers
# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh
failed() {
    echo "FAILED: $*" >&2
    [ ! -s err.txt ] || tail -20 err.txt >&2
    exit 1
}
"$maker" . f32
cat > tiny.json << 'END_OF_FILE'
{"title": "A tiny experiment", "data": "facts.jsonl", "checkpoints": [4, 1000],
 "measures": ["rel", "gen"], "settings": {"ridge": 0.01, "steps": 8},
 "runs": [
   {"name": "memit", "label": "MEMIT"},
   {"name": "scaled", "guard": "scale", "match": "plus"},
   {"name": "plus", "label": "+O-Edit+", "guard": "oedit-plus"}],
 "charts": [{"kind": "checkpoints"}, {"kind": "cosines", "edits": 6}]}
END_OF_FILE
# Fewer tokens for grad G than for C.
echo '{"values": {"grad_tokens": {"value": 1000}}}' > hparams.json
options=(-m base.gguf --text text.txt --tokens 1500 --hparams hparams.json --precision strict)
run=("$oedit" experiment tiny.json "${options[@]}")
"${run[@]}" -q -o whole
edits=$(wc -l < whole/times.jsonl)
killed=0 # workers at most, as said before `undivided`

# undivided FOLDER [EXCEPT...]: as the undivided call's, but for its times. A worker that is killed
# between an edit's line and its time leaves one time out.
undivided() {
    local folder=$1 except=(-x times.jsonl) times
    shift
    for name in "$@"; do except+=(-x "$name"); done
    diff -r "${except[@]}" whole "$folder" > diff.txt || { head -20 diff.txt; failed "$folder is another"; }
    times=$(wc -l < "$folder/times.jsonl")
    [ "$times" -le "$edits" ] && [ "$times" -ge $((edits - killed)) ] ||
        failed "$folder/times.jsonl has $times of $edits edits, $killed workers were killed"
}
# The processes that PROCESS has started.
workers_of() {
    awk -v parent="$1" '$4 == parent { print $1 }' /proc/[0-9]*/stat 2> /dev/null || true
}
# until_edits FOLDER...: one of the runs there has two edits.
until_edits() {
    local tries
    for ((tries = 0; tries < 4000; tries++)); do
        for file in "$@"; do
            [ "$(wc -l 2> /dev/null < "$file" || echo 0)" -lt 3 ] || return 0
        done
        sleep 0.05
    done
    failed "no edits in $*"
}

# ---- two workers on one device: the parent makes nothing of it twice ----
rm -rf cache
"${run[@]}" -o two --device 0,0 > out.txt 2> err.txt || failed "two workers"
undivided two
grep -q "scaled.seed0 is done" err.txt || failed "no progress"
sed -n '/plus.seed0 is done/,$p' err.txt | grep -q "scaled.seed0 on device 0" || failed "before what it matches"
grep -q '^| MEMIT' out.txt || failed "no table"
[ -z "$(find cache -name '*.lock')" ] || failed "a lock is left"

# ---- a worker is killed: its run goes on in another ----
"${run[@]}" -o killed --device 0,0 > out.txt 2> err.txt &
parent=$!
until_edits killed/memit.seed0.jsonl killed/plus.seed0.jsonl
victim=$(workers_of $parent | head -1)
[ -n "$victim" ] && kill -9 "$victim" || failed "no worker to kill"
wait $parent || failed "exit code $? after a worker was killed"
grep -q "killed by signal 9; it is tried again" err.txt || failed "nothing said of the kill"
killed=1 undivided killed

# ---- the parent is asked to stop: exit code 130, and nobody is left; it goes on ----
"${run[@]}" -o stopped --device 0,0 > out.txt 2> err.txt &
parent=$!
until_edits stopped/memit.seed0.jsonl stopped/plus.seed0.jsonl
kill -TERM $parent
code=0
wait $parent || code=$?
[ $code = 130 ] || failed "exit code $code of a stopped parent, wanted 130"
[ -z "$(workers_of $parent)" ] || failed "workers outlive their parent"
"${run[@]}" -q -o stopped --device 0,0 2> err.txt || failed "going on"
undivided stopped

# ---- the parent is killed: its workers end with it, and the same call goes on at once ----
"${run[@]}" -o orphans --device 0,0 > out.txt 2> err.txt &
parent=$!
until_edits orphans/memit.seed0.jsonl orphans/plus.seed0.jsonl
kill -9 $parent
wait $parent 2> /dev/null || true
"${run[@]}" -q -o orphans --device 0,0 2> err.txt || failed "going on behind a killed parent"
grep -q "in use" err.txt && failed "workers outlive a killed parent"
killed=2 undivided orphans

# ---- statistics and eval: shards ----
for command in stats grad; do
    rm -rf cache
    "$oedit" $command "${options[@]}" -q --json -o one.f32 > one.json
    mv cache kept
    "$oedit" $command "${options[@]}" -q --json -o several.f32 --device 0,0 > several.json 2> err.txt ||
        failed "$command on two workers"
    cmp one.f32 several.f32 || failed "$command: other bits"
    diff <(grep -v '"out"' one.json) <(grep -v '"out"' several.json) || failed "$command says another thing"
    diff -r cache kept || failed "$command: the cache"
    rm -r kept
done
"$oedit" eval -m base.gguf -r facts.jsonl --precision strict -q --json > one.json
"$oedit" eval -m base.gguf -r facts.jsonl --precision strict -q --json --device 0,0 > several.json 2> err.txt ||
    failed "eval on two workers"
cmp one.json several.json || failed "eval says another thing"

# ---- two processes and one empty cache: one of them makes C ----
rm -rf cache
"$oedit" stats "${options[@]}" > /dev/null 2> first.txt &
"$oedit" stats "${options[@]}" > /dev/null 2> err.txt || failed "stats beside another"
wait $! || failed "stats beside another"
[ "$(cat first.txt err.txt | grep -c '^C of layer')" = 1 ] || failed "C was made twice"

# ---- what is refused ----
bad() { # CODE WORDS FLAGS...
    local code=$1 words=$2 got=0
    shift 2
    "${run[@]}" -o none "$@" > out.txt 2> err.txt || got=$?
    [ $got = "$code" ] && tail -1 err.txt | grep -qF -- "$words" || failed "$*: exit code $got, wanted $code, '$words'"
    [ ! -e none ] || failed "$*: a folder is left"
}
bad 3 "--device 99: wanted 0 to" --device 0,99
bad 3 "--device nobody: no device" --device 0,nobody
bad 2 "wanted devices as in 0,1" --device 0,
bad 2 "--trace is of one process" --device 0,0 --trace trace.jsonl
bad 2 "--stage: wanted one device" --device 0,0 --stage runs
bad 2 "--steps: got 'x'" --device 0,0 --set steps=x
bad 2 "there is none, wanted the folder of an experiment" --stage after
"$oedit" stats "${options[@]}" --shard 1/2 --device 0,0 > out.txt 2> err.txt && failed "--shard on two devices"
grep -q "wanted one device, got 2" err.txt || failed "--shard on two devices"

# ---- two devices of different drivers ----
if [ -f "$drivers/icd/lavapipe-backports.json" ] && [ -f "$drivers/icd/swiftshader.json" ]; then
    (
        # shellcheck source=/dev/null
        . "$drivers/env/lavapipe-backports.sh"
        export VK_DRIVER_FILES=$drivers/icd/lavapipe-backports.json:$drivers/icd/swiftshader.json
        export VK_ICD_FILENAMES=$VK_DRIVER_FILES
        [ "$("$oedit" devices | grep -c '^[0-9]')" = 2 ] || failed "not two devices"
        "${run[@]}" -o drivers --device llvmpipe,swiftshader > out.txt 2> err.txt || failed "two drivers"
        # The manifest and the table's head name the device of what came before the runs.
        sed -i '/^Model /d' whole/table.md drivers/table.md
        undivided drivers manifest.json
        [ "$(grep -c ' is done, .* on device' err.txt)" = 4 ] || failed "not all runs told"
    )
    "${run[@]}" -q --stage after -o whole # its table's head again
    two="two drivers"
else
    two="without $drivers: one driver only"
fi

# ---- Snakemake: two jobs, killed and started again ----
if ! command -v snakemake > /dev/null; then
    echo "cluster: workers on several devices, $two; skipped: snakemake is not installed"
    exit 0
fi
snake=(snakemake -s "$root/tools/cluster/Snakefile" --cores 2 --rerun-incomplete --config
    experiment=tiny.json model=base.gguf data=facts.jsonl text=text.txt tokens=1500 precision=strict
    hparams=hparams.json shards=2 out=snake "oedit=$oedit")
unset XDG_CACHE_HOME
setsid "${snake[@]}" > snake.txt 2>&1 &
group=$!
until_edits snake.work/memit.seed0/memit.seed0.jsonl snake.work/plus.seed0/plus.seed0.jsonl
kill -9 -- -$group
wait $group 2> /dev/null || true
[ ! -e snake/report.html ] || failed "it was killed too late"
lines=$(cat snake.work/*/*.jsonl | wc -l)
"${snake[@]}" --unlock > err.txt 2>&1 || failed "--unlock"
"${snake[@]}" > err.txt 2>&1 || failed "snakemake once more"
killed=2 undivided snake report.html
[ -s snake/report.html ] || failed "no report"
grep -Eq "^(C|grad G) of layer 0 from [0-9]+ tokens" snake.txt err.txt &&
    failed "a run made again what shards had made"
[ "$(find snake.work/cache -name '*.f32' | wc -l)" = 2 ] || failed "not C and grad G only"
"${snake[@]}" > err.txt 2>&1 && grep -q "Nothing to be done" err.txt || failed "done twice"
echo "cluster: workers on several devices, $two; Snakemake killed with $lines lines of runs, and" \
    "started again: all as one undivided call"
