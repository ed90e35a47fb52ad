#!/usr/bin/env bash
# Random tokenizer.json files against the tokenizers library. Only where it is installed:
#   pip install tokenizers
# More of them: tools/fuzz_tokenizer.py --forms 1000.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
oedit=${OEDIT_BIN:-$root/build/oedit}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! python3 -c 'import tokenizers' 2> "$work/lacks"; then
    echo "skipped: $(tail -1 "$work/lacks")"
    exit 77
fi
cat "$root"/README.md "$root"/docs/*.md > "$work/text.txt"
RUST_BACKTRACE=0 python3 "$root/tools/fuzz_tokenizer.py" "$oedit" "$work/text.txt" --forms 60 \
    --texts 60 --keep "$work/model" 2> "$work/said" || { tail -5 "$work/said"; exit 1; }
