#!/usr/bin/env bash
# Damaged Hugging Face folders, requests and texts, through oedit edit: one line, exit code 5, and
# nothing is written. What the files' readers refuse besides: test_safetensors, test_config,
# test_hf_tokenizer.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work TMPDIR=$work XDG_CACHE_HOME=$work/cache
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
cd "$work"
failed=0

fresh() {
    rm -rf model out*
    mkdir model
    "$maker" model hf
    echo '{"prompt": "the the", "subject": "the", "target_new": "th"}' > facts.jsonl
    printf 'the the th the\n' > text.txt
}

edit() {
    "$oedit" edit -m model -r facts.jsonl --solver ft --contexts 0 --steps 1 --layer 0 \
        --text text.txt "$@" -o out > said.txt 2> err.txt
}

# refused WORDS FLAGS...: of what now stands in model/ and beside it.
refused() {
    local got=0 words=$1
    shift
    edit -q "$@" || got=$?
    if [ "$got" != 5 ] || [ "$(wc -l < err.txt)" != 1 ] || ! grep -q "$words" err.txt ||
        compgen -G 'out*' > left.txt; then
        echo "FAILED: exit code $got, wanted 5 and one line with: $words; written: $(cat left.txt)"
        head -3 err.txt
        failed=1
    fi
    fresh
}

# change FILE FROM TO: bytes, as Python writes them.
change() {
    python3 - "$@" << 'P'
import ast, sys
path, old, new = sys.argv[1], *(ast.literal_eval("b'%s'" % word) for word in sys.argv[2:])
data = open(path, "rb").read()
assert old in data, old
open(path, "wb").write(data.replace(old, new, 1))
P
}

# header FROM TO: within a shard's header, whose length follows.
header() {
    python3 - "$@" << 'P'
import struct, sys
path = "model/model.safetensors"
data = open(path, "rb").read()
size = struct.unpack("<Q", data[:8])[0]
text = data[8:8 + size].decode()
assert sys.argv[1] in text, text[:300]
text = text.replace(sys.argv[1], sys.argv[2], 1).encode()
open(path, "wb").write(struct.pack("<Q", len(text)) + text + data[8 + size:])
P
}

# index FILE: one that says all tensors lie there.
index() {
    python3 - "$1" << 'P'
import json, struct, sys
data = open("model/model.safetensors", "rb").read()
names = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
names.pop("__metadata__")
with open("model/model.safetensors.index.json", "w") as file:
    json.dump({"weight_map": {name: sys.argv[1] for name in names}}, file)
P
    mv model/model.safetensors model/part.safetensors
}

fresh
if ! edit; then
    echo "FAILED: the folder as it is"
    tail -2 err.txt
    failed=1
fi
fresh
index part.safetensors
if ! edit; then
    echo "FAILED: the folder in shards"
    tail -2 err.txt
    failed=1
fi
fresh
index other.safetensors
refused "other.safetensors"
index ../part.safetensors
refused "wanted a file of the same folder"
index part.safetensors
change model/model.safetensors.index.json 'model.norm.weight' 'model.norms.weight'
refused "model.norm.weight"
change model/model.safetensors '{"__' '{"\xff_'
refused "not UTF-8"
python3 -c 'import struct; open("model/model.safetensors", "wb").write(struct.pack("<Q", 1 << 60))'
refused "a header of 1152921504606846976 bytes"
header "[0, 8384]" "[0, 99999999]"
refused "cut short or corrupted"
header "[8384, 8416]" "[8352, 8384]"
refused "overlap"
header '"F32", "shape": [262, 8]' '"I32", "shape": [262, 8]'
refused "type I32"
header '"shape": [12, 8]' '"shape": [8, 12]'
refused "has the shape"
change model/config.json '"intermediate_size": 12' '"intermediate_size": 16'
refused "wanted \["
change model/config.json '"rms_norm_eps"' '"rms_norm"'
refused "rms_norm_eps is missing"
change model/config.json '"llama"' '"\xc3\x28"'
refused "not UTF-8"
change model/config.json '"LlamaForCausalLM"' '"GemmaForCausalLM"'
refused "GemmaForCausalLM"
change model/config.json '{' '['
refused "config.json"
rm model/config.json
refused "config.json"
rm model/tokenizer.json
refused "tokenizer.json"
change model/tokenizer.json '"t h"' '"t \xd0\xb6"'
refused "is no token"
change model/tokenizer.json '"t h"' '"\xff h"'
refused "not UTF-8"
change facts.jsonl 'the the' 'the \xff the'
refused "UTF-8"
change text.txt 'the' 'th\xe9'
refused "not UTF-8" --solver memit
echo '{"eos_token_id": "x"}' > model/generation_config.json
refused "eos_token_id is no token"
exit "$failed"
