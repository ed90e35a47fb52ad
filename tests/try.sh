#!/usr/bin/env bash
# A dialogue as a script has it, on a tiny model: what is asked, edited, taken back and saved; and
# oedit locate: its table, heat maps, and hyper-parameters that oedit edit takes.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work TMPDIR=$work
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
cd "$work"
failed=0
"$maker" .

wrong() {
    echo "FAILED: $*"
    cat out.txt err.txt
    failed=1
}

# says WORDS FILE
says() {
    grep -qF -- "$1" "$2" || wrong "$2 lacks '$1'"
}

# dialogue CODE LINES: exit code CODE
dialogue() {
    local got=0
    printf "$2" | "$oedit" try -m base.gguf --text text.txt --contexts 0 --steps 4 --solver memit \
        > out.txt 2> err.txt || got=$?
    [ "$got" = "$1" ] || wrong "exit code $got, wanted $1: $2"
}

mapfile -t facts < <(python3 - << 'P'
import json
text = open('facts.jsonl' if __import__('os').path.exists('facts.jsonl') else 'facts.json').read()
rows = json.loads(text) if text.lstrip().startswith('[') else [json.loads(l) for l in text.splitlines() if l]
for r in rows[:2]:
    at = r['prompt'].index(r['subject'])
    end = at + len(r['subject'])
    print(f"{r['prompt'][:at]}[{r['subject']}]{r['prompt'][end:]} -> {r['target_new']}")
P
)
prompt=$(printf %s "${facts[0]% -> *}" | tr -d '[]')

# Undo is exact: what is saved behind it is what is saved without the edit; answers are the old ones.
dialogue 0 "$prompt\nedit ${facts[0]}\nlist\nsave one.gguf\nedit ${facts[1]}\n$prompt\nsave two.gguf\nundo\nlist\nsave again.gguf\nundo\n$prompt\nlist\nquit\nsave never.gguf\n"
says "1. $prompt -> ${facts[0]##* -> }" out.txt
says "took edit 2 back" out.txt
says "took edit 1 back" out.txt
[ "$(grep -cF "1. $prompt -> " out.txt)" = 2 ] || wrong "list: wanted edit 1 twice"
[ "$(head -1 out.txt)" = "$(tail -1 out.txt)" ] || wrong "the answer behind the last undo is not the first one"
"$oedit" diff one.gguf again.gguf --json > diff.txt 2>> err.txt || wrong diff
"$oedit" diff one.gguf two.gguf --json > other.txt 2>> err.txt || wrong diff
[ "$(cat diff.txt)" = "[]" ] || wrong "undo left something: $(cat diff.txt)"
[ "$(cat other.txt)" != "[]" ] || wrong "two edits are like one"
for name in one two again; do
    "$oedit" verify $name.gguf --base base.gguf > verify.txt 2>> err.txt || wrong "verify $name"
done
[ ! -e never.gguf ] || wrong "went on behind quit"
ls oedit-* 2> /dev/null && wrong "the temporary journal stayed"

cp one.gguf.journal kept
dialogue 2 "edit ${facts[0]}\nsave one.gguf\n"
says "one.gguf.journal is there already" err.txt
cmp kept one.gguf.journal || wrong "a journal was written over"
dialogue 0 "edit ${facts[0]}\nsave more.gguf\nundo\nsave more.gguf\nask $prompt\n"

dialogue 0 ""
dialogue 0 "help\n"
says "undo" out.txt
dialogue 2 "undo\n"
says "undo: there is no edit" err.txt
dialogue 2 "edit no subject -> x\n"
says "wanted a prompt with its [subject]" err.txt
dialogue 2 "edit ${facts[0]% -> *} ->\n"
says "no answer behind" err.txt
dialogue 2 "save x.gguf\n"
says "save: there is no edit" err.txt
dialogue 2 "edit ${facts[0]}\nsave base.gguf\n"
ls oedit-* 2> /dev/null && wrong "the temporary journal stayed"

"$oedit" locate -m base.gguf -r facts.json* -n 1 --samples 1 --window 1 --chart heat -o layer.json \
    > out.txt 2> err.txt || wrong locate
says "mlp, last subject" out.txt
for kind in hidden mlp attn; do
    [ "$(head -c 4 heat-$kind.png | tail -c 3)" = PNG ] || wrong "heat-$kind.png is no PNG"
done
"$oedit" edit -m base.gguf -r facts.json* -n 1 --text text.txt --contexts 0 --steps 2 \
    --hparams layer.json -o located.gguf > out.txt 2> err.txt || wrong "edit --hparams layer.json"
layer=$(python3 -c "import json; print(json.load(open('layer.json'))['values']['layer']['value'])")
"$oedit" show located.gguf.journal 1 --json > out.txt 2> err.txt || wrong show
says "\"layer\":	$layer" out.txt
got=0
"$oedit" locate -m base.gguf -r facts.json* -n 1 --window 999 > out.txt 2> err.txt || got=$?
[ "$got" = 2 ] || wrong "--window 999: exit code $got"
says "--window: got 999" err.txt
[ "$failed" = 0 ] && echo "try: all right"
exit "$failed"
