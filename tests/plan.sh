#!/usr/bin/env bash
# oedit plan on a tiny model: what it says a run takes on the device is what the run then takes,
# for each solver and guard; what does not fit is refused before anything is loaded.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work TMPDIR=$work
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
cd "$work"
failed=0
"$maker" . q8_0
mv base.gguf q8.gguf
"$maker" .

# run FLAGS...: the edit; all it says in err.txt.
run() {
    XDG_CACHE_HOME=$work/cache "$oedit" edit "$@" --verbose -o out.gguf > out.txt 2> err.txt
}

# near PERCENT PHASES WHAT: the run's peak in err.txt is so near to that of plan.json without PHASES.
near() {
    python3 - "$@" << 'P' || failed=1
import json, re, sys
percent, left_out, what = float(sys.argv[1]), sys.argv[2].split(","), sys.argv[3]
sums = {p["phase"]: p["device_bytes"] for p in json.load(open("plan.json"))["phases"]}
phase = max((p for p in sums if p not in left_out), key=sums.get)
took = int(re.search(r"device memory at most: [0-9.]+ MiB .(\d+) bytes", open("err.txt").read())[1])
ratio = sums[phase] / took
line = f"{what}: planned {sums[phase]} in phase {phase}, took {took}: {ratio:.3f}"
print(line)
assert abs(ratio - 1) * 100 <= percent, "FAILED: " + line
P
}

# within PERCENT MODEL FLAGS...: the plan's peak is so near to that of a run without a cache; and,
# with what that run left in the cache, the peak of the phases that remain.
within() {
    local percent=$1 model=$2
    shift 2
    rm -rf cache out.gguf*
    if ! "$oedit" plan -m "$model" -r facts.jsonl "$@" --json > plan.json 2> err.txt ||
        ! run -m "$model" -r facts.jsonl "$@"; then
        echo "FAILED: $model $*"
        tail -3 err.txt
        failed=1
        return
    fi
    near "$percent" "" "$model $*"
    rm -f out.gguf*
    run -m "$model" -r facts.jsonl "$@"
    near "$percent" "own text,C,grad G,directions" "$model $*, again"
}

common="--text text.txt --contexts 3 --steps 3"
within 15 base.gguf $common -n 2
within 15 base.gguf $common -n 2 --optimizer gauss-newton
within 15 base.gguf $common -n 2 --solver rome --guard oedit
within 15 base.gguf $common -n 12 --guard oedit-plus --projector exact
within 15 base.gguf $common -n 2 --guard prune
within 15 base.gguf $common -n 2 --guard sphere
within 15 base.gguf $common -n 2 --guard wilke --layers 0-2
within 15 base.gguf $common -n 2 --solver ft
within 15 base.gguf $common -n 4 --solver ultraedit --rate 1e-3
within 15 base.gguf $common -n 2 --solver alphaedit --null-threshold 0.5
within 15 base.gguf --contexts 3 --steps 3 -n 2
within 15 q8.gguf $common -n 3 --out-type f16
within 15 base.gguf $common -n 12 --guard prune --contexts 0
within 15 base.gguf $common -n 3 --layer 2 --key-memory 1000
within 15 base.gguf $common -n 12 --guard random --knob 8
within 15 base.gguf $common -n 3 --guard zero --knob 0.5
within 15 base.gguf $common -n 2 --guard scale --knob 0.5
within 15 base.gguf $common -n 12 --solver ft --contexts 0 --answers

# What the device does not hold: exit code 4, the same sentence with figures of what fits, and that
# fits; one more does not.
contexts() {
    echo "{\"values\": {\"contexts\": {\"value\": $1}}}" > hparams.json
    "$oedit" plan -m base.gguf -r facts.jsonl -n 1 --hparams hparams.json > out.txt 2> err.txt
}
refused() {
    local got=0
    contexts "$1" || got=$?
    [ "$got" = 4 ] && return
    echo "FAILED: --contexts $1: exit code $got, wanted 4"
    tail -1 err.txt
    failed=1
}
refused 4000000
fits=$(sed -n 's/.*--contexts \([0-9]*\) fits.*/\1/p' err.txt)
[ -n "$fits" ] || { echo "FAILED: no number of contexts is named"; cat err.txt; failed=1; fits=1; }
contexts "$fits" ||
    { echo "FAILED: --contexts $fits does not fit"; cat err.txt; failed=1; }
refused $((fits + 1))
exit "$failed"
