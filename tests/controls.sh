#!/usr/bin/env bash
# Controls and ablations as a user calls them, on a tiny model: an interrupted run goes on with the
# same bits, apply makes the same model, a missing or wrong knob is one line.
set -euo pipefail

# shellcheck source=tests/kit/tiny.sh
. tests/kit/tiny.sh

edit() {
    "$oedit" edit -m base.gguf -r facts.jsonl --text text.txt --tokens 1500 --ridge 0.01 "$@"
}

"$maker" . f32
edit -n 6 -o plain.gguf > out.txt 2> err.txt || wrong "no guard"

# ---- going on, and apply ----
for options in "zero --knob 0.25" "fewer-steps --knob 4" "random" "random --knob 1.5" \
    "scale --knob 0.5" "oedit-plus --ablate grad" "oedit-plus --ablate edits --projector exact" \
    "oedit-plus --ablate eq26" "oedit-plus --grad-svd probes --q-max 4" "oedit --ablate grad" "oedit --ablate edits" \
    "oedit --ablate eq26" \
    "sphere" "sphere --solver ft --rate 0.01" "sphere --solver alphaedit --null-threshold 0.05"; do
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
refused 2 "wanted --q-max from 1" edit --guard oedit-plus --grad-svd probes -o x.gguf
refused 2 "guard none has nothing to leave out" edit --ablate grad -o x.gguf
refused 2 "guard scale has nothing to leave out" edit --guard scale --knob 0.5 --ablate eq26 -o x.gguf
refused 2 "ablate" edit --guard oedit --ablate everything -o x.gguf
[ ! -e x.gguf.journal ] || wrong "a refused run left a journal"

# ---- a knob that matches |dW_total| of another run ----
norm() { # JOURNAL
    "$oedit" geometry "$1" --json 2> /dev/null | sed -nE 's/^.*"norm":[[:space:]]*([0-9.e+-]+).*$/\1/p' | head -1
}
right edit --guard oedit-plus -n 6 -o plus.gguf
right "$oedit" geometry plus.gguf.journal -m base.gguf
says "W + dW_total" out.txt
says "activation" out.txt
wanted=$(norm plus.gguf.journal)
for guard in zero random scale fewer-steps; do
    rm -f m.gguf* k.gguf*
    right edit --guard $guard --match plus.gguf.journal -n 6 -o m.gguf
    says "match 1: knob" err.txt
    got=$(norm m.gguf.journal)
    awk -v a="$wanted" -v b="$got" 'BEGIN { exit !(a > 0 && b > 0 && b / a < 1.05 && a / b < 1.06) }' ||
        grep -q "the nearest knob" err.txt || wrong "$guard: |dW_total| is $got, wanted $wanted"
    knob=$("$oedit" show m.gguf.journal --json | sed -nE 's/^.*"knob":[[:space:]]*([0-9.e+-]+).*$/\1/p' | head -1)
    right edit --guard $guard --knob "$knob" -n 6 -o k.gguf
    same m.gguf k.gguf
    same m.gguf.journal k.gguf.journal
done
right edit --guard scale --match plus.gguf.journal -n 6 -o k.gguf --journal k2.journal
head -c $(($(stat -c %s k2.journal) - 5)) k2.journal > cut.journal # its last edit is torn
right edit --guard scale --match plus.gguf.journal -n 6 -o k2.gguf --journal cut.journal --resume
! grep -q "match 1" err.txt || wrong "a run that goes on looks for its knob again"
same k2.journal cut.journal
refused 2 "guard oedit has no knob" edit --guard oedit --match plus.gguf.journal -n 6 -o x.gguf
refused 2 "has 6 edits, this run 5 requests" edit --guard zero --match plus.gguf.journal -n 5 -o x.gguf
refused 5 "cannot open none.journal" edit --guard zero --match none.journal -n 5 -o x.gguf
right edit --guard scale --knob 1 --clamp 40 --lambda 1 -n 6 -o large.gguf
refused 1 "no knob of guard scale was found" \
    edit --guard scale --match large.gguf.journal -n 6 -o x.gguf
[ ! -e x.gguf.journal ] || wrong "a knob that was not found left a journal"
refused 2 "wanted one journal" "$oedit" geometry
refused 5 "is no journal" "$oedit" geometry text.txt
right "$oedit" geometry zero.gguf.journal -m base.gguf --json

# Only dW_total: no gradient is made at all.
rm -rf cache
right edit --guard oedit-plus --ablate grad -n 2 -o only.gguf
! grep -q "grad G of layer" err.txt || wrong "--ablate grad makes grad G"
says "ablate" only.gguf.journal

[ $failed = 0 ] && echo "controls: all as it should be"
exit $failed
