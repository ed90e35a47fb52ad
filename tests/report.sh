#!/usr/bin/env bash
# `oedit report` on a tiny model's experiments: finished, unfinished, without charts, of one edit, of
# several seeds, of a journal; folders made by strangers; and, where there is Chromium, the pages
# tried in it (tools/check_report.py).
# OEDIT_PICTURES=FOLDER keeps pictures of them, to be looked at. OEDIT_ROUNDS: damaged folders [60].
set -euo pipefail

oedit=${OEDIT_BIN:-$PWD/build/oedit}
maker=${OEDIT_BUILD:-$PWD/build}/tests/tiny_model
tools=$PWD/tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache HOME=$work
if [ ! -x "$maker" ]; then
    echo "skipped: $maker is not built"
    exit 77
fi
failed() {
    echo "FAILED: $*" >&2
    exit 1
}
# refused CODE WORDS COMMAND...: it fails with that code and says the words.
refused() {
    local code=$1 words=$2 said got=0
    shift 2
    said=$("$@" 2>&1) || got=$?
    [ $got = "$code" ] || failed "$*: exit code $got, wanted $code: $said"
    grep -qF -- "$words" <<< "$said" || failed "$*: said '$said', wanted '$words'"
}
cd "$work"
"$maker" . f32
awk 'NR == FNR { match($0, /"prompt": "[^"]*"/); p[FNR] = substr($0, RSTART + 11, RLENGTH - 12); n = FNR; next }
    { sub(/}$/, ", \"locality_prompt\": \"" p[FNR % n + 1] "\", \"locality_ground_truth\": \"red\"}"); print }' \
    facts.jsonl facts.jsonl > data.jsonl
cat > tiny.json << 'END'
{"title": "A tiny experiment", "about": "On a model that was made for tests.", "data": "data.jsonl",
 "checkpoints": [4, 8, 1000], "measures": ["rel", "gen", "loc"], "settings": {"ridge": 0.01, "steps": 8},
 "runs": [
   {"name": "memit", "label": "MEMIT"},
   {"name": "oedit", "label": "+O-Edit", "guard": "oedit", "lambda1": 10},
   {"name": "exact", "label": "+O-Edit+ | exact", "guard": "oedit-plus", "projector": "exact"}],
 "charts": [{"kind": "checkpoints"}, {"kind": "retention", "measures": ["rel"]},
   {"kind": "sweep", "knob": "lambda1", "measures": ["norm"]}, {"kind": "cosines", "edits": 6},
   {"kind": "activation"}]}
END
sed '/"charts"/,$d' tiny.json | sed '$s/,$/}/' > bare.json
run=("$oedit" experiment -q -m base.gguf --text text.txt --tokens 1500)

# ---- an experiment's own page is that of `oedit report`, byte for byte ----
"${run[@]}" tiny.json -o whole --seeds 0,1,2 --answers --report
[ -s whole/report.html ] || failed "--report wrote no page"
"$oedit" report -q whole -o again.html
cmp whole/report.html again.html || failed "the same folder gave another page"
said=$("$oedit" report whole --json)
grep -q '"finished":[[:space:]]*9' <<< "$said" || failed "--json: $said"
# The answers are those that `oedit generate` gives of the unedited model.
python3 - "$oedit" << 'END'
import json, subprocess, sys
before = json.load(open("whole/answers.json"))["before"]
data = [json.loads(line) for line in open("data.jsonl")]
assert len(before) == len(data)
for answer, request in list(zip(before, data))[:3]:
    said = json.loads(subprocess.run([sys.argv[1], "generate", "-q", "-m", "base.gguf", "-p", request["prompt"], "-n", "6",
                      "--json"], check=True, capture_output=True, text=True).stdout)
    assert said["text"].split("\n")[0].endswith(answer), (said, answer)
last = json.loads(open("whole/memit.seed0.jsonl").readlines()[-1])
assert len(last["checkpoint"]["answers"]) == len(data)
END
# Without the flag such a folder is not gone on with: runs of one table would differ.
refused 2 "'answers' is true there and missing here" "${run[@]}" tiny.json -o whole --seeds 3

# ---- no charts asked for; one edit; unfinished; nothing yet ----
"${run[@]}" bare.json -o bare --only memit --report
"${run[@]}" bare.json -o single --only memit -n 1 --report
cp -r whole partly
head -n 6 whole/oedit.seed1.jsonl > partly/oedit.seed1.jsonl
printf '{"edit":6,"prompt":"torn' >> partly/oedit.seed1.jsonl
rm partly/exact.seed0.*
"$oedit" report -q partly
grep -q '2 of 9 runs are not finished' partly/report.html || failed "no word of unfinished runs"
mkdir early
cp whole/manifest.json early
"$oedit" report -q early
grep -q 'No run is finished yet' early/report.html || failed "an early folder"

# ---- a journal, alone and with what was measured ----
"$oedit" edit -q -m base.gguf -r data.jsonl --text text.txt --tokens 1500 --ridge 0.01 --steps 8 \
    --answers --checkpoints 0,4,8 --json -o edited.gguf > run.json
"$oedit" report -q edited.gguf.journal
"$oedit" report -q edited.gguf.journal run.json -o measured.html
"$oedit" eval -q -m base.gguf --journal edited.gguf.journal --checkpoints 4,8 --json > eval.json
"$oedit" report -q edited.gguf.journal eval.json -o evaluated.html
"$oedit" revert -q edited.gguf.journal 2 3 > /dev/null
"$oedit" report -q edited.gguf.journal -o reverted.html
grep -q 'reverted' reverted.html || failed "no word of reverted edits"

# ---- bad calls ----
refused 2 "wanted a folder" "$oedit" report
refused 5 "no manifest.json" "$oedit" report "$work"
refused 5 "cannot open nowhere" "$oedit" report nowhere
refused 2 "only with a journal" "$oedit" report whole run.json
refused 1 "/nowhere" "$oedit" report -q whole -o /nowhere/page.html
echo '{}' > early/manifest.json
refused 5 "no manifest of an experiment" "$oedit" report early

# ---- strangers' records ----
python3 - << 'END'
import json
BAD = ['</script><script>pwned=1</script>', '"><img src=x onerror=pwned=1>', "' onfocus='pwned=1' autofocus='",
       '<!--<script>', ']]>{{script}}{{', '\u202eabc\u2066def', 'שלום <b>עולם</b>', '\u0001\u001b[31m\u007f\u2028',
       '%s%n&lt;&amp;', '<svg/onload=pwned=1>', '\\u003cscript\\u003e', '\ufeff\ufffe', 'x' * 5000]
def bad(i): return BAD[i % len(BAD)]
n = len(BAD)
manifest = {"title": bad(0), "about": bad(1), "experiment": bad(2), "version": bad(3), "device": bad(4), "driver": bad(5),
            "precision": bad(0), "model": {"file": bad(1), "hash": bad(0)}, "data": {"file": bad(6), "hash": bad(2)},
            "text": {"file": bad(0), "hash": bad(9)}, "count": n, "checkpoints": [2, n], "measures": ["rel", "gen", "loc"],
            "tasks": [{"name": "lambada", "file": {"file": bad(0), "hash": bad(1)}}], "runs": [],
            "charts": [{"kind": "checkpoints"}, {"kind": "sweep", "knob": bad(0)}]}
import os
os.makedirs("strange")
for r in range(n):
    settings = {"solver": bad(r), "guard": bad(r + 1), "seed": 0, bad(r): bad(r + 2), "layer": r, bad(0): r,
                "contexts": [bad(r)], "tensors": [bad(r + 3)]}
    manifest["runs"].append({"id": f"run{r}", "name": f"run{r}", "label": bad(r), "group": bad(r % 3 + 4), "settings": settings})
    with open(f"strange/run{r}.jsonl", "wb") as f:
        f.write(json.dumps({"run": f"run{r}", "settings": settings}).encode() + b"\n")
        for i in range(n):
            line = {"edit": i + 1, "prompt": "before " + bad(i) + " after", "subject": bad(i), "target": bad(i + 1),
                    "layer": 1, "steps": 3, "chosen": 3, "loss": [3, 2, 1e-30], "kept": 1e300, "realised": None,
                    "dw": -1, "noop": i == 3, "right_after": {"rel": i % 2, "gen": 0.5, "loc": 1}}
            if i in (1, n - 1):
                line["checkpoint"] = {"edits": i + 1, "rel": 0.5, "gen": 0.05 * r, "loc": 1, "avg": 0.5, "norm": 3,
                                      "answers": [bad(k + r) for k in range(n)], "by_age": [{"from": 0, "to": 0, "rel": 1},
                                      {"from": 1, "to": n, "rel": 0.5}]}
            raw = json.dumps(line, ensure_ascii=False).encode()
            f.write(raw.replace(b"before ", b"before \xff\xc0\xaf\xed\xa0\x80 ") + b"\n")
json.dump(manifest, open("strange/manifest.json", "w"))
json.dump([{"edits": 2, "loc": 1}, {"edits": n, "loc": 1}], open("strange/unedited.json", "w"))
json.dump({"before": [bad(i + 5) for i in range(n)]}, open("strange/answers.json", "w"))
END
"$oedit" report -q strange
cat > page.py << 'END'
# What a page's parser sees: our elements and attributes only, JSON that can be read, UTF-8 without controls.
import json, re
from html.parser import HTMLParser
from pathlib import Path
KNOWN = set("""html head meta link title style body a header h1 h2 bdi fieldset legend label input p nav main section dl div dt dd
    table caption thead tbody tr th td small figure figcaption svg path text g details summary ul li script noscript form
    select option output button span mark code""".split())
class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.scripts, self.kind = [], [], None
    def handle_starttag(self, tag, attrs):
        assert tag in KNOWN, tag
        names = [name for name, _ in attrs]
        assert not any(name.startswith("on") for name in names) and len(set(names)) == len(names), (tag, attrs)
        for name, value in attrs:
            assert name not in ("src", "srcset") and (name != "href" or value.startswith(("#", "data:,"))), (tag, attrs)
        if tag not in ("meta", "link", "input"): self.open.append(tag)
        if tag == "script": self.kind = dict(attrs).get("type", "")
    def handle_startendtag(self, tag, attrs):
        assert tag in KNOWN, tag
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
    def handle_data(self, data):
        if self.open[-1:] == ["script"]: self.scripts.append((self.kind, data))
    def handle_comment(self, data):
        raise AssertionError(data)
def check(name):
    text = Path(name).read_bytes().decode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text), name
    page = Page()
    page.feed(text)
    page.close()
    assert not page.open, page.open
    assert sum(kind == "" for kind, _ in page.scripts) == 1, "not one script"
    for kind, data in page.scripts:
        if kind: json.loads(data)
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "an address"
END
pages=(whole/report.html bare/report.html single/report.html partly/report.html early/report.html
    edited.gguf.journal.html measured.html evaluated.html reverted.html strange/report.html)
python3 -c 'import page, sys; [page.check(name) for name in sys.argv[1:]]' "${pages[@]}"

# ---- damaged folders: refused or shown, never a crash, and pages stay whole ----
cat > damage.py << 'END'
import json, os, random, shutil, subprocess, sys
from pathlib import Path
import page
VALUES = [None, True, -1, 0, 1e300, 2 ** 32, "", "\u202e<b>", [], {}, [[]], {"a": [1]}, ["x"], 0.5]
FILES = ["manifest.json", "unedited.json", "answers.json", "memit.seed0.jsonl", "times.jsonl"]
def places(node):
    found = []
    for key in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()):
        found.append((node, key))
        found += places(node[key])
    return found
def damage(root):
    node, key = random.choice(places(root))
    if random.random() < 0.3: del node[key]
    else: node[key] = random.choice(VALUES)
def round_of(seed):
    random.seed(seed)
    path = Path("damaged") / random.choice(FILES)
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    i = random.randrange(len(lines))
    root = json.loads(lines[i])
    for _ in range(random.choice([1, 3])): damage(root)
    good = path.read_text()
    path.write_text("".join(line + "\n" for line in lines[:i] + [json.dumps(root)] + lines[i + 1:]))
    done = subprocess.run([sys.argv[1], "report", "-q", "damaged", "-o", "damaged.html"], capture_output=True)
    path.write_text(good)
    shown = os.path.exists("damaged.html")
    if done.returncode == 0: page.check("damaged.html")
    else: assert done.returncode in (2, 5) and not shown and done.stderr.startswith(b"error: "), (seed, path, done)
    if shown: os.remove("damaged.html")
    return shown
shutil.copytree("whole", "damaged")
rounds = int(sys.argv[2])
shown = sum(round_of(seed) for seed in range(rounds))
assert 0 < shown < rounds or rounds < 50, shown
print(f"report: {rounds} damaged folders, of which {shown} were shown")
END
python3 damage.py "$oedit" "${OEDIT_ROUNDS:-60}"

# ---- in a browser ----
if ! command -v chromium > /dev/null; then
    echo "skipped: no chromium"
    exit 0
fi
python3 "$tools/check_report.py" ${OEDIT_PICTURES:+--pictures "$OEDIT_PICTURES"} "${pages[@]}"
