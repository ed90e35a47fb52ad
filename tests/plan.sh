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
"$maker" .

# within PERCENT MODEL FLAGS...: the plan's peak is so near to that of a run without a cache.
within() {
    local percent=$1 model=$2
    shift 2
    rm -rf cache
    if ! "$oedit" plan -m "$model" -r facts.jsonl "$@" --json > plan.json 2> err.txt ||
        ! XDG_CACHE_HOME=$work/cache "$oedit" edit -m "$model" -r facts.jsonl "$@" --verbose \
            -o out.gguf > out.txt 2> err.txt; then
        echo "FAILED: $model $*"
        tail -3 err.txt
        failed=1
        return
    fi
    rm -f out.gguf*
    python3 - "$percent" "$model $*" << 'P' || failed=1
import json, re, sys
plan = json.load(open("plan.json"))
said = re.search(r"device memory at most: [0-9.]+ MiB .(\d+) bytes", open("err.txt").read())
took = int(said.group(1))
ratio = plan["device_bytes"] / took
line = f"{sys.argv[2]}: planned {plan['device_bytes']} in phase {plan['peak']}, took {took}: {ratio:.3f}"
print(line)
assert abs(ratio - 1) * 100 <= float(sys.argv[1]), "FAILED: " + line
P
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
exit "$failed"
