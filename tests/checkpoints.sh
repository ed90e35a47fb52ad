#!/usr/bin/env bash
# Checkpoints that transformers makes, through oedit and back into transformers. Only where these are
# installed:
#   pip install torch transformers tokenizers safetensors gguf
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
oedit=${OEDIT_BIN:-$root/build/oedit}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! python3 -c 'import gguf, numpy, safetensors, tokenizers, torch, transformers' 2> "$work/lacks"; then
    echo "skipped: $(tail -1 "$work/lacks")"
    exit 77
fi
cat "$root"/README.md "$root"/docs/*.md > "$work/text.txt"
export XDG_CACHE_HOME=$work/cache
python3 "$root/tools/check_checkpoints.py" "$oedit" "$work/text.txt" 2> "$work/said" ||
    { cat "$work/said"; exit 1; }
