#!/usr/bin/env bash
# What a person at a terminal sees of each command, and what a pipe gets: bars with rate and time
# left that go away, a line an edit, no escapes where none belong, errors that name what was meant.
set -euo pipefail

person=$PWD/tests/kit/person.py
# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh
export TERM=xterm
unset NO_COLOR
"$maker" .
head -4 facts.jsonl > few.jsonl
seq 40 | sed 's/.*/{"text": "the cat plays & in on the red"}/' > lambada.jsonl

# sees COMMAND...: on a terminal of 80 letters a line; out.txt: what the terminal got, err.txt: what
# stands on it in the end.
sees() {
    python3 "$person" out.txt -c 80 "$@" 2> person.txt || wrong "$*: $(cat person.txt)"
    mv out.txt.screen err.txt
}

escapes() { # FILE
    ! LC_ALL=C grep -q -e $'\033' -e $'\r' "$1" || wrong "$1 has escapes or carriage returns"
}

# drawn LABEL UNIT WHAT: out.txt has a bar, and whatever was drawn of it behind the beginning, of which
# a quick command has nothing, tells rate and time left.
rates=0
drawn() {
    local rate="^$1 \\[#*\\.*\\] +[0-9]+%  [0-9.e+]+ $2/s  ([0-9]+ h )?([0-9]+ min )?([0-9]+ s )?left"
    tr '\r' '\n' < out.txt | grep -E "^$1 \\[[#.]+\\]" > bars.txt || wrong "$3: no bar of $1"
    ! grep -vE "$rate|^$1 \\[\\.+\\] +0%" bars.txt || wrong "$3: a bar of $1 without $2/s and time left"
    rates=$((rates + $(grep -cE "$rate" bars.txt || true)))
}

# bar LABEL UNIT COMMAND...: a bar came, told rate and time left, and is gone.
bar() {
    local label=$1 unit=$2
    shift 2
    sees "$oedit" "$@"
    drawn "$label" "$unit" "$*"
    ! grep -qE '\[[#.]{8}|left$' err.txt || wrong "$*: the bar of $label stayed"
    # Off a terminal there is none.
    "$oedit" "$@" > piped.txt 2> said.txt < /dev/null || wrong "$* into a pipe"
    escapes piped.txt
    escapes said.txt
    ! grep -q ' left' piped.txt said.txt || wrong "$*: a bar in a pipe"
    "$oedit" "$@" -q > piped.txt 2> said.txt < /dev/null || wrong "$* -q"
    ! grep -v '^warning: ' said.txt || wrong "$* -q: said more than warnings"
}

# ---- bars, and quiet ----
stats=(--text text.txt --tokens 1500 --ridge 0.01)
bar 'statistics C' token stats -m base.gguf --text text.txt --seed 1
bar 'gradient G' token grad -m base.gguf --text text.txt
bar perplexity token eval -m base.gguf --text text.txt
bar tracing run locate -m base.gguf -r few.jsonl
bar generating token generate -m base.gguf -p the -n 40
bar lambada item task lambada.jsonl -m base.gguf
right "$oedit" edit -m base.gguf -r few.jsonl "${stats[@]}" -o once.gguf
bar measuring edit eval -m base.gguf --journal once.gguf.journal

right "$oedit" eval -m once.gguf -r few.jsonl
matches '^Rel [0-9.]+  Gen [0-9.]+  Loc -' out.txt
! grep -q nan out.txt || wrong "eval without --base: nan"

# ---- the line of an edit ----
line='^[0-9]/4  .* loss [0-9.e+-]+ to [0-9.e+-]+ in [0-9]+ steps?, realised [0-9.]+, kept [0-9.]+, '
line+='[0-9.]+ s, (not )?ok$'
edit=("$oedit" edit -m base.gguf -r few.jsonl "${stats[@]}")
right "${edit[@]}" -o a.gguf
[ "$(grep -cE "$line" out.txt)" = 4 ] || wrong "wanted four lines of edits"
escapes out.txt
escapes err.txt
# One step teaches nothing; a hundred do.
right "${edit[@]}" -n 1 --steps 1 -o b.gguf
matches ', not ok$' out.txt
# Without --clamp's bound on the value, the answer comes; with all of the update it is ok.
right "${edit[@]}" -n 1 --steps 100 --rate 0.3 --clamp 100 --lambda 1 --contexts 0 -o c.gguf
matches 'realised (1|0\.[5-9]).*, ok$' out.txt
sees "${edit[@]}" -o d.gguf
drawn editing edit edit
[ $rates -gt 2 ] || wrong "only $rates bars of all these commands told a rate"
# The bar steps aside: the lines stand alone.
sees "${edit[@]}" -o d2.gguf --steps 3
[ "$(tr -d '\n' < err.txt | grep -oE ' s, (not )?ok' | wc -l)" = 4 ] || wrong "edit: lines are lost"
! grep -qE '\[[#.]{8}' err.txt || wrong "edit: its bar stands among the lines"
right "${edit[@]}" -q -o e.gguf
[ ! -s out.txt ] || wrong "edit -q said something"
! grep -v '^warning: ' err.txt || wrong "edit -q said more than warnings"
right "${edit[@]}" -v -o f.gguf
[ "$(wc -l < err.txt)" -gt 2 ] || wrong "edit -v said nothing more"
right "${edit[@]}" --json -o g.gguf
python3 -c 'import json; assert len(json.load(open("out.txt"))["edits"]) == 4' || wrong "edit --json"

# ---- widths, dumb terminals, no colours ----
for columns in 30 50 200; do
    python3 "$person" out.txt -c $columns "$oedit" stats -m base.gguf --text text.txt --seed $columns \
        || wrong "stats on $columns columns"
    mv out.txt.screen err.txt
    ! grep -q 'statistics C \|left$' err.txt || wrong "$columns columns: the bar wrapped, and stays"
done
TERM=dumb sees "$oedit" stats -m base.gguf --text text.txt --seed 2
! grep -q $'\033' out.txt || wrong "TERM=dumb: escapes"
sees "$oedit" demo -n 2 --only memit -o demo
grep -q $'\033\[32m' out.txt || wrong "demo: no colours on a terminal"
tr '\r' '\n' < out.txt | grep -qE '[0-9]+ of 2 edits, [0-9.]+ a second, .* left' ||
    wrong "demo: no rate and time left"
[ "$(grep -c '^ *edits   Rel' err.txt)" = 1 ] || wrong "demo: its table is not redrawn in place"
! grep -q ' left$' err.txt || wrong "demo: the line of time left stays"
NO_COLOR=1 sees "$oedit" demo -n 2 --only memit -o demo1
! grep -q $'\033\[[0-9;]*m' out.txt || wrong "NO_COLOR: demo is coloured"
TERM=dumb sees "$oedit" demo -n 2 --only memit -o demo2
! grep -q $'\033' out.txt || wrong "TERM=dumb: demo has escapes"
right "$oedit" demo -n 2 --only memit -o demo3
escapes out.txt
escapes err.txt
right "$oedit" demo -n 2 --only memit -o demo4 -q
[ "$(wc -l < out.txt)" = 2 ] || wrong "demo -q: wanted its table alone"
sees "$oedit" experiment demo -m demo -n 2 --only memit -o runs
tr '\r' '\n' < out.txt | grep -qE '^editing .* edit/s .* left' || wrong "experiment: no bar"
matches 'run 1 of 1' err.txt
right "$oedit" experiment demo -m demo -n 2 --only memit -o runs2 -q
! grep -v '^warning: ' err.txt || wrong "experiment -q said more than warnings"
for command in devices selftest bench report; do
    right "$oedit" $command --help
    escapes out.txt
done

# ---- errors name what was got, wanted and meant ----
meant() { # WORD COMMAND...
    local word=$1
    shift
    refused 2 "did you mean $word?" "$oedit" "$@"
    [ "$(grep -c . err.txt)" -le 2 ] || wrong "$*: more than the error and its device"
    escapes err.txt
}
meant edit edti
meant generate help genrate
meant --solver edit --sovler memit
meant memit edit --solver memot
meant strict generate --precision stirct
meant fish completion fihs
meant csqa task cqsa -m demo
meant gen eval -m base.gguf -r few.jsonl --measures rel,gne
meant table1 experiment tabel1 -m demo -o x
meant memit experiment demo --only memti -m demo -o x
meant --solver experiment demo --set solvr=memit -m demo -o x
meant growth bench grwoth
meant tiny bench --shapes tinny
refused 2 "--steps: got 'abc', wanted a whole number from 1 to 10000" "$oedit" edit --steps abc
refused 2 "-n: got 'abc', wanted a whole number from 0" "$oedit" edit -n abc
refused 2 "--rate: got '1e9', wanted a number from 0 to 100" "$oedit" edit --rate 1e9
refused 2 "--steps: wanted N after it" "$oedit" edit --steps
refused 2 "--prompt: got the option --subject, wanted TEXT after it" "$oedit" edit -p --subject x
refused 2 "--quiet takes no value, got 'yes'" "$oedit" edit --quiet=yes
right "$oedit" generate -m base.gguf -p --no-option -n 1 # a text like any other
right "$oedit" log a.gguf.journal --filter sbject=x
says "none of the 4 edits of a.gguf.journal is one of --filter sbject=x" err.txt

# ---- alone ----
refused 2 "oedit COMMAND --help" "$oedit"
says "oedit demo" err.txt
says "oedit try" err.txt
escapes err.txt

[ "$failed" = 0 ] && echo "terminal: all right"
exit "$failed"
