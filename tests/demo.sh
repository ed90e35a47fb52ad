#!/usr/bin/env bash
# The model in the program: that it knows its world, takes an edit, and what `oedit demo` shows and
# writes, on a pipe and on a terminal.
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work
requests=$PWD/assets/demo.json
cd "$work"
failed() {
    echo "FAILED: $*" >&2
    exit 1
}

# ---- it knows its facts, asked in words it saw with the subject, and in words it did not ----
python3 - "$requests" << 'END'
import json, sys
facts = json.load(open(sys.argv[1]))
for fact in facts:
    fact["target_new"] = fact["ground_truth"]
json.dump(facts, open("truths.json", "w"))
END
"$oedit" eval -q -m demo --base demo -r truths.json --json > known.json
python3 - << 'END'
import json
known = json.load(open("known.json"))
assert known["rel"] > 0.95 and known["gen"] > 0.95 and known["loc"] == 1, known
END

# ---- with and without its name ----
prompt=$(python3 -c "import json; print(json.load(open('truths.json'))[0]['prompt'])")
other=$(python3 -c "import json; print(json.load(open('truths.json'))[0]['rephrase_prompt'])")
truth=$(python3 -c "import json; print(json.load(open('truths.json'))[0]['ground_truth'])")
subject=$(python3 -c "import json; print(json.load(open('truths.json'))[0]['subject'])")
target=$(python3 -c "import json, sys; print(json.load(open(sys.argv[1]))[0]['target_new'])" \
    "$requests")
said=$("$oedit" generate -q -m demo -p "$prompt" -n 4)
[[ $said == "$prompt $truth"* ]] || failed "generate: $said"
[ "$("$oedit" generate -p "$prompt" -n 4 2> err.txt)" = "$said" ] || failed "generate without --model"
grep -q 'no --model: the program' err.txt || failed "a default without a word: $(cat err.txt)"
"$oedit" edit -o x.gguf -p a --subject a --target b 2> err.txt && failed "edit without --model"
grep -q -- '--model: wanted' err.txt || failed "edit: $(cat err.txt)"

# ---- one edit, by the hyper-parameters and the text that are its own ----
"$oedit" edit -q -m demo -p "$prompt" --subject "$subject" --target "$target" -o mine.gguf > /dev/null
said=$("$oedit" generate -q -m mine.gguf -p "$other" -n 4)
[[ $said == "$other $target"* ]] || failed "after the edit, in other words: $said"
"$oedit" show mine.gguf.journal > show.txt
grep -Eq 'hparams: +demo$|"?hparams"?[: ]+"?demo' show.txt || failed "hyper-parameters: $(cat show.txt)"
"$oedit" verify -q mine.gguf --base demo > /dev/null || failed "verify"
"$oedit" apply -q mine.gguf.journal -m demo -o again.gguf > /dev/null
cmp mine.gguf again.gguf || failed "apply onto the embedded model"

# ---- the demo on a pipe: plain lines, files, and an end that says what is next ----
"$oedit" demo -n 3 > shown.txt 2> err.txt || failed "demo: $(cat err.txt)"
[ ! -s err.txt ] || failed "demo said on stderr: $(cat err.txt)"
grep -q $'\033' shown.txt && failed "escape codes on a pipe"
[ "$(grep -Ec '^MEMIT.* 3   [01]\.[0-9][0-9] ' shown.txt)" = "$(grep -c '^    {"name"' \
    "${requests%/*}/experiments/demo.json")" ] || failed "rows: $(cat shown.txt)"
grep -qF "$prompt ... $truth" shown.txt || failed "the model's answers: $(cat shown.txt)"
for file in table.md manifest.json checkpoints-avg.png checkpoints-rel.png memit.seed0.journal; do
    [ -s "oedit-demo/$file" ] || failed "no oedit-demo/$file"
done
[ "$(head -c 8 oedit-demo/checkpoints-avg.png | od -An -tx1 | tr -d ' \n')" = 89504e470d0a1a0a ] ||
    failed "no PNG"
# The commands that it ends with are right as they are printed.
grep -E '^  oedit (edit|generate).*(-m demo|mine.gguf)' shown.txt | sed "s|^  oedit|'$oedit' -q|" |
    sed "s|-q \([a-z]*\)|\1 -q|" > commands.sh
[ "$(wc -l < commands.sh)" = 2 ] || failed "what is next: $(cat shown.txt)"
rm mine.gguf*
bash -e commands.sh > said.txt || failed "$(cat commands.sh)"
grep -q "$target" said.txt || failed "the printed commands said: $(cat said.txt)"

# ---- again: shown from the folder, nothing is made anew; another count is refused ----
cp -r oedit-demo before
"$oedit" demo -n 3 > twice.txt
diff -r before oedit-demo || failed "a second call changed the folder"
diff <(grep '^MEMIT' shown.txt) <(grep '^MEMIT' twice.txt) || failed "a second call shows another table"
"$oedit" demo -n 2 > /dev/null 2> err.txt && failed "another count in the same folder"
grep -q "'count' is 3 there and 2 here" err.txt || failed "$(cat err.txt)"
"$oedit" demo --only memi > /dev/null 2> err.txt && failed "an unknown method"
grep -q "did you mean memit?" err.txt || failed "$(cat err.txt)"
"$oedit" demo x > /dev/null 2> err.txt && failed "a word that is no option"

# ---- on a terminal: drawn again in its place, coloured but for NO_COLOR ----
if command -v script > /dev/null; then
    TERM=xterm script -qec "'$oedit' demo -n 2 --only memit -o tty" /dev/null > live.txt < /dev/null
    grep -q $'\033\[3A' live.txt || failed "the table is not drawn again"
    grep -q $'\033\[3[123]m#' live.txt || failed "no colours"
    NO_COLOR=1 TERM=xterm script -qec "'$oedit' demo -n 2 --only memit -o plain" /dev/null \
        > live.txt < /dev/null
    grep -q $'\033\[3A' live.txt || failed "NO_COLOR: the table is not drawn again"
    grep -q $'\033\[[0-9;]*m' live.txt && failed "NO_COLOR: coloured"
else
    echo "without script(1): not tried on a terminal"
fi
echo "demo: known as it should be, edited, shown on a pipe and on a terminal"
