#!/usr/bin/env bash
# A dialogue as a script has it, on a tiny model: what is asked, edited, taken back and saved; and
# oedit locate: its table, heat maps, and hyper-parameters that oedit edit takes.
set -euo pipefail

person=$PWD/tests/kit/person.py
oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work TMPDIR=$work TERM=xterm
unset XDG_STATE_HOME NO_COLOR
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

# ---- a person at a terminal ----
# talks CODE SCRIPT OPTIONS...: [[wait for, type], ...]; out.txt: what the terminal got.
talks() {
    local code=$1 got=0
    # What is typed before the first prompt would be seen twice; the hints behind it have a "> ", too.
    [[ " $* " == *" -q "* ]] && printf %s "$2" > script.json ||
        printf %s "${2/\[/[[\"help, quit\", \"\"], }" > script.json
    shift 2
    python3 "$person" out.txt -s script.json "$oedit" try -m base.gguf --text text.txt \
        --contexts 0 --steps 4 "$@" 2> err.txt || got=$?
    mv out.txt.screen screen.txt
    [ "$got" = "$code" ] || wrong "at a terminal: exit code $got, wanted $code: $(cat script.json)"
    ls oedit-* 2> /dev/null && wrong "at a terminal: the temporary journal stayed"
    return 0
}
long=$(printf 'a%.0s' $(seq 9000))
long_dumb=$(printf 'a%.0s' $(seq 3000)) # a terminal's own lines end at 4095 bytes
edit='["> ", "edit '${facts[0]}'\n"], ["kept 1.00", ""]'
bad='["> ", "caf\u00e9 \udcff\udcfe x\n"], ["error: try: the line is not UTF-8", ""]'
stop='["> ", "abc\u0003"], ["\n", ""]'
bye='["> ", "\u0004"]'

# Plain lines serve a dumb terminal, and a build without libedit.
TERM=dumb talks 0 "[$edit, [\"> \", \"\\n\"], $stop, [\"> \", \"$long_dumb\\u0003\"], $bad,
    [\"> \", \"undo\\n\"], [\"took edit 1 back\", \"\"], [\"> \", \"undo\\n\"],
    [\"error: undo: there is no edit\", \"\"], $bye]"
grep -q $'\033' out.txt && wrong "TERM=dumb: escapes"
[ ! -e .local/state/oedit/try_history ] || wrong "TERM=dumb: there is no history, but its file"
TERM=dumb talks 0 "[[\"> \", \"quit\\n\"]]" -q
grep -q 'undo ' out.txt && wrong "try -q: told what can be said"

# Ctrl-C stops an edit, and the dialogue goes on with the model as it was.
slow="[[\"> \", \"$prompt\\n\"], [\"> \", \"edit ${facts[0]}\\n\"], [\"editing\", \"\"],
    [\"\", \"\\u0003\"], [\"error: stopped by Ctrl-C\", \"\"], [\"> \", \"list\\n\"],
    [\"> \", \"$prompt\\n\"], $bye]"
talks 0 "$slow" --steps 10000 --contexts 3
[ "$(grep -c "^$prompt" screen.txt)" = 2 ] || wrong "a stopped edit: wanted two answers"
[ "$(grep "^$prompt" screen.txt | sort -u | wc -l)" = 1 ] || wrong "a stopped edit left something"
grep -q "^1\. " screen.txt && wrong "a stopped edit is listed"

# SIGTERM and the end of its terminal end it in order.
mkfifo pipe
for signal in TERM HUP; do
    "$oedit" try -m base.gguf < pipe > out.txt 2> err.txt &
    id=$!
    exec 3> pipe
    echo "ask $prompt" >&3
    for _ in $(seq 300); do
        grep -q . out.txt && break
        sleep 0.1
    done
    sleep 0.3
    kill -$signal $id
    got=0
    wait $id || got=$?
    exec 3>&-
    [ "$got" = 130 ] || wrong "SIG$signal: exit code $got, wanted 130"
    ls oedit-* 2> /dev/null && wrong "SIG$signal: the temporary journal stayed"
done

# With libedit: history, kept between dialogues, and completion.
history=.local/state/oedit/try_history
if [ -e $history ]; then
    [ "$(stat -c %a $history)" = 600 ] || wrong "the history can be read by others"
    rm $history
    subject=$(sed -E 's/.*\[(.*)\].*/\1/' <<< "${facts[0]}")
    talks 0 "[$edit, [\"> \", \"ask ${subject:0:${#subject}-1}\\t and\\n\"],
        [\"$subject and\", \"\"], [\"> \", \"\\n\"], $stop, $bad, [\"> \", \"un\\t\\n\"],
        [\"took edit 1 back\", \"\"], [\"> \", \"z\\t\\u0015l\\t\\n\"],
        [\"> \", \"$long\\n\"], [\"error: try: a line of 9000 bytes, wanted 8191\", \"\"], $bye]"
    python3 - $history << 'P' || wrong "the history is another"
import re, sys
lines = open(sys.argv[1]).read().splitlines()[1:]
lines = [re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line) for line in lines]
assert len(lines) == 4 and lines[0].startswith("edit ") and lines[1].endswith(" and"), lines
assert lines[2:] == ["undo", "list"], lines
P
    # Two lines up: what was said the last time.
    talks 0 "[[\"> \", \"\\u001b[A\\u001b[A\\n\"], [\"error: undo: there is no edit\", \"\"], $bye]"
    NO_COLOR=1 talks 0 "[[\"> \", \"help\\n\"], [\"quit\", \"\"], [\"> \", \"quit\\n\"]]"
    grep -q $'\033\[[0-9;]*m' out.txt && wrong "NO_COLOR: colours"
    LC_ALL=C talks 0 "[[\"> \", \"ask caf\\u00e9\\n\"], [\"\\ncaf\\u00e9\", \"\"], $bye]"
    # No folder to keep it in is no reason not to talk.
    HOME=/proc/none talks 0 "[[\"> \", \"help\\n\"], $bye]"
else
    echo "skipped: history and completion: the program was built without libedit"
fi

"$oedit" locate -m base.gguf -r facts.json* -n 1 --samples 1 --window 1 --trials 1 --steps 2 \
    --contexts 0 --text text.txt --chart heat -o layer.json \
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

# Trial edits: what locate says of a layer is what oedit edit and oedit eval say, record by record.
"$oedit" locate -m demo -n 1 --samples 1 --trials 3 --layers 0,3 --contexts 2 --json --chart tried \
    -o tried.json > trials.json 2> err.txt || wrong "locate --trials"
[ "$(head -c 4 tried-trials.png | tail -c 3)" = PNG ] || wrong "tried-trials.png is no PNG"
for i in 0 1 2; do
    "$oedit" edit -m demo -r demo -n 1 --skip $i --layer 3 --contexts 2 -o by-hand-$i.gguf --json \
        > by-hand-$i.json 2> err.txt || wrong "edit $i by hand"
    "$oedit" eval -m by-hand-$i.gguf --base demo -r demo -n 1 --skip $i --json \
        > eval-$i.json 2> err.txt || wrong "eval $i by hand"
done
python3 - > out.txt 2>&1 << 'P' || wrong "trial figures are not those by hand"
import json
whole = json.load(open('trials.json'))
layers = {l['layer']: l for l in whole['trials']['layers']}
assert sorted(layers) == [0, 3], layers
for i, tried in enumerate(layers[3]['records']):
    edit = json.load(open(f'by-hand-{i}.json'))['edits'][0]
    scores = json.load(open(f'eval-{i}.json'))['records'][0]
    assert tried['id'] == scores['id'], (tried, scores)
    for name in ('rel', 'gen', 'loc'):
        assert tried[name] == scores[name], (i, name, tried, scores)
    dw = edit['dw']
    assert abs(tried['dw'] - dw) < 1e-5 * dw, (i, tried, dw)
assert len(layers[3]['records']) == 3
# The rule: near the best mean, the one that tracing puts first.
means = {n: l['mean'] for n, l in layers.items()}
near = [n for n in whole['rank'] if n in means and means[n] > max(means.values()) - 0.05]
assert whole['layer'] == near[0], (whole['layer'], near)
assert json.load(open('tried.json'))['values']['layer']['value'] == near[0]
assert means[0] > means[3] + 0.05, means
P
"$oedit" locate -m base.gguf --trials 2 > out.txt 2> err.txt && wrong "--trials without --requests"
says "--trials: got 2, wanted --requests" err.txt
for setting in "--layers 99" "--hparams none.json" "--text none.txt"; do
    # shellcheck disable=SC2086
    "$oedit" locate -m base.gguf -r facts.json* -n 1 $setting > out.txt 2> err.txt && wrong "$setting"
    says "${setting#* }" err.txt
    [ ! -s out.txt ] || wrong "$setting: traced before it was refused"
done
"$oedit" locate -m base.gguf -r facts.json* -n 1 --samples 1 --trials 0 --json > out.txt 2> err.txt ||
    wrong "--trials 0"
grep -q '"trials"' out.txt && wrong "--trials 0 made trials"

# Ctrl-C in the trials: what is there is printed, and the exit code says so.
"$oedit" locate -m demo -n 1 --samples 1 --trials 500 --layers 0 --contexts 2 > out.txt 2> err.txt &
for _ in $(seq 300); do
    grep -q "trial edits" err.txt && break
    sleep 0.2
done
sleep 5
kill -TERM $!
got=0
wait $! || got=$?
[ "$got" = 130 ] || wrong "locate stopped: exit code $got, wanted 130"
says "layer 0: of those within" out.txt
[ "$failed" = 0 ] && echo "try: all right"
exit "$failed"
