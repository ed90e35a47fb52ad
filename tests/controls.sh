#!/usr/bin/env bash
# Controls and ablations as a user calls them, on a tiny model: an interrupted run goes on with the
# same bits, apply makes the same model, a missing or wrong knob is one line.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
cd "$work"
failed=0

wrong() {
    echo "FAILED: $*"
    cat out.txt err.txt
    failed=1
}

# refused CODE WORDS COMMAND...: the exit code is CODE, stderr's last line has WORDS.
refused() {
    local code=$1 words=$2 got=0
    shift 2
    "$@" > out.txt 2> err.txt || got=$?
    [ "$got" = "$code" ] && tail -1 err.txt | grep -qF -- "$words" ||
        wrong "$*: exit code $got, wanted $code with '$words'"
}

right() {
    "$@" > out.txt 2> err.txt || wrong "$*"
}

says() { # WORDS FILE
    grep -qF -- "$1" "$2" || wrong "$2 lacks '$1'"
}

same() {
    cmp "$1" "$2" || wrong "$1 and $2 differ"
}

edit() {
    "$oedit" edit -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01 "$@"
}

"$maker" . f32
edit -n 6 -o plain.gguf > out.txt 2> err.txt || wrong "no guard"

# ---- going on, and apply ----
for options in "zero --knob 0.25" "fewer-steps --knob 4" "random" "random --knob 1.5" \
    "scale --knob 0.5" "oedit-plus --ablate grad" "oedit-plus --ablate edits --projector exact" \
    "oedit-plus --ablate eq26" "oedit --ablate grad" "oedit --ablate edits" "oedit --ablate eq26"; do
    rm -f a.gguf* b.gguf* c.gguf
    # shellcheck disable=SC2206
    guard=(--guard $options)
    right edit "${guard[@]}" -n 6 -o a.gguf
    right edit "${guard[@]}" -n 2 -o b.gguf
    right edit "${guard[@]}" -n 6 -o b.gguf --resume
    same a.gguf b.gguf
    same a.gguf.journal b.gguf.journal
    right "$oedit" apply a.gguf.journal -m base.gguf -o c.gguf
    same a.gguf c.gguf
    ! cmp -s a.gguf plain.gguf || wrong "$options changes nothing"
done
right edit --guard fewer-steps --knob 4 -n 6 -o a4.gguf
right edit --steps 4 -n 6 -o b4.gguf
right "$oedit" diff a4.gguf b4.gguf
says "no difference in any tensor" out.txt

# ---- a mask is its seed's; edits that it changed are no pairs ----
right edit --guard zero --knob 0.25 -n 6 -o zero.gguf
right edit --guard zero --knob 0.25 -n 6 -o zero1.gguf --seed 1 --journal zero1.journal
! cmp -s zero.gguf zero1.gguf || wrong "the mask does not depend on the seed"
refused 2 "not of low rank" "$oedit" diff zero.gguf.journal zero1.journal
refused 2 "not of low rank" "$oedit" apply zero.gguf.journal -m base.gguf --lora zero.lora
right "$oedit" verify zero.gguf --base base.gguf
right "$oedit" revert zero.gguf.journal 2 -m base.gguf -o without.gguf
refused 2 "knob was 0.25, now 0.5" edit --guard zero --knob 0.5 -n 6 -o zero.gguf --resume

# ---- what is no knob ----
refused 2 "guard none has none" edit --knob 0.5 -o x.gguf
refused 2 "guard oedit has none" edit --guard oedit --knob 1 -o x.gguf
refused 2 "the share of dW's values that is not written: got 0" edit --guard zero -o x.gguf
refused 2 "number over 0 and under 1" edit --guard zero --knob 1 -o x.gguf
refused 2 "got 2, wanted a number over 0 up to 1" edit --guard scale --knob 2 -o x.gguf
refused 2 "wanted a whole number over 0 up to 10000" edit --guard fewer-steps --knob 2.5 -o x.gguf
refused 2 "wanted a number from" edit --guard scale --knob nan -o x.gguf
refused 2 "guard none has nothing to leave out" edit --ablate grad -o x.gguf
refused 2 "guard scale has nothing to leave out" edit --guard scale --knob 0.5 --ablate eq26 -o x.gguf
refused 2 "ablate" edit --guard oedit --ablate everything -o x.gguf
[ ! -e x.gguf.journal ] || wrong "a refused run left a journal"

# Only dW_total: no gradient is made at all.
rm -rf cache
right edit --guard oedit-plus --ablate grad -n 2 -o only.gguf
! grep -q "grad G of layer" err.txt || wrong "--ablate grad makes grad G"
says "ablate" only.gguf.journal

[ $failed = 0 ] && echo "controls: all as it should be"
exit $failed
