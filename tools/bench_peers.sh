#!/usr/bin/env bash
# oedit beside what else does its work, on the same cores, by turns in one run: MEMIT and ROME in
# PyTorch (tools/peer_torch.py, both amounts of work), and llama.cpp's Vulkan backend at reading a
# prompt (tools/peer_llama.mjs). Prints tables in markdown; every edit's v* is compared, too.
# usage: tools/bench_peers.sh [-m MODEL] [-r RECORDS.json] [-n N] [--text FILE] [--threads T]
#            [--rounds R] [--solvers "memit rome"] [--works "economical easyedit"]
#            [--prompt TOKENS] [--llama FOLDER] [--driver NAME] [--out FOLDER]
#   -m        a GGUF, $OEDIT_MODEL or tools/fetch_model.sh's unless told
#   -r, -n    EasyEdit's form of records, and how many of them, 2 at least [the quickstart's, 2]
#   --text    for C; without it the model writes its own, which takes minutes the first time
#   --threads the last T cores, for everybody [1]; taskset binds all of a program's threads to them
#   --rounds  how often all take their turn [1]
#   --prompt  tokens of the longer prompt [192]; the shorter has 64, and the difference counts, so
#             start, loading and pipelines do not. 0: no prompts.
#   --llama   where `npm install node-llama-cpp @node-llama-cpp/linux-x64-vulkan` was run. Its
#             shaders take lavapipe 4 minutes to compile, so it runs once, R times inside.
#   --driver  one of tools/drivers.sh, or "system" [lavapipe-backports where it is there]
#   --out     keeps what everybody printed; an empty or a new folder
# env: OEDIT_BIN [build/oedit]
# Seconds of an edit: oedit's own count, and its share of the keys made ahead for all records (the
# run's wall time less that of the first record's run, less the edits' own); PyTorch's key, value,
# solve. CPU seconds are of all edits but the first, for oedit again as such a difference; they tell
# more than wall time where somebody else uses the cores, but only with --threads 1.
# Installs nothing: what is missing is said, with the command that installs it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
oedit=${OEDIT_BIN:-$here/../build/oedit}
model=${OEDIT_MODEL:-} records=$here/../assets/quickstart.json count=2 text="" threads=1 rounds=1
solvers="memit rome" works="economical easyedit" prompt=192 llama="" out=""
driver=system
[ ! -f "${OEDIT_DRIVERS:-$here/../build/drivers}/env/lavapipe-backports.sh" ] ||
    driver=lavapipe-backports

die() {
    echo "bench_peers: $*" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    [ $# -gt 1 ] || { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
    case $1 in
        -m) model=$2 ;; -r) records=$2 ;; -n) count=$2 ;; --text) text=$2 ;;
        --threads) threads=$2 ;; --rounds) rounds=$2 ;; --solvers) solvers=$2 ;;
        --works) works=$2 ;; --prompt) prompt=$2 ;; --llama) llama=$2 ;; --driver) driver=$2 ;;
        --out) out=$2 ;;
        *) die "unknown option $1" ;;
    esac
    shift 2
done
for number in "$count" "$threads" "$rounds" "$prompt"; do
    [[ $number =~ ^[0-9]+$ ]] || die "got '$number', wanted a whole number"
done
[ "$count" -ge 2 ] || die "-n: got $count, wanted 2 or more (two runs are subtracted)"
((threads >= 1 && threads <= $(nproc))) || die "--threads: got $threads, wanted 1 to $(nproc)"
((rounds >= 1)) || die "--rounds: got $rounds, wanted 1 or more"
[ "$prompt" -eq 0 ] || [ "$prompt" -ge 96 ] || die "--prompt: got $prompt, wanted 0, or 96 or more"
[ -x "$oedit" ] || die "$oedit: build it first, or set OEDIT_BIN"
command -v taskset > /dev/null || die "taskset is missing: apt-get install util-linux"
command -v python3 > /dev/null || die "python3 is missing: apt-get install python3"
[ -n "$model" ] || model=$("$here/fetch_model.sh") || die "-m: wanted a model"
for file in "$model" "$records" ${text:+"$text"}; do
    [ -f "$file" ] || die "$file: no such file"
done

work=${out:-$(mktemp -d)}
mkdir -p "$work"
[ -z "$(ls -A "$work")" ] || die "--out $work: is not empty"
[ -n "$out" ] || trap 'rm -rf "$work"' EXIT

# The same cores for everybody. lavapipe without threads of its own (0) is fastest on one core.
export LP_NUM_THREADS=$threads OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads
[ "$threads" -gt 1 ] || export LP_NUM_THREADS=0
export GGML_VK_VISIBLE_DEVICES=0 PYTHONWARNINGS=ignore
cores=(taskset -c "$(($(nproc) - threads))-$(($(nproc) - 1))")
under=()
[ "$driver" = system ] || under=("$here/run_with.sh" "$driver")
say() { echo "bench_peers: $*" >&2; }
run_oedit() { "${cores[@]}" "${under[@]}" "$oedit" "$@"; }

# timed NAME COMMAND...: stdout to NAME.json; wall, user and system seconds to NAME.s
timed() {
    local name=$work/$1 TIMEFORMAT="%R %U %S"
    shift
    { time "$@" > "$name.json" 2> "$name.log"; } 2> "$name.s" || {
        tail -n 3 "$name.log" >&2
        die "failed: $*"
    }
}

have_torch=no have_llama=no
if "${cores[@]}" python3 "$here/peer_torch.py" --help > /dev/null 2> "$work/torch.log"; then
    have_torch=yes
else
    say "no PyTorch rows: $(tail -n 1 "$work/torch.log")"
fi
if [ "$prompt" -gt 0 ]; then
    if ! command -v node > /dev/null; then
        say "no llama.cpp rows: node is missing (version 20 or later)"
    elif [ ! -d "$llama/node_modules/@node-llama-cpp/linux-x64-vulkan" ]; then
        say "no llama.cpp rows: npm install node-llama-cpp @node-llama-cpp/linux-x64-vulkan" \
            "in a folder, and --llama FOLDER"
    else
        have_llama=yes
    fi
fi

read -r load _ < /proc/loadavg
say "load average $load before; above 0.5 somebody else has the cores, and times mean little"
corpus=(${text:+--text "$text"})
say "C"
timed stats run_oedit stats -m "$model" "${corpus[@]}" -o "$work/c.f32" --json

# Contexts are sampled once; then both sides take them from the same file.
for solver in $solvers; do
    rm -f "$work/oedit.gguf.journal" # each run is a new one
    timed "contexts-$solver" run_oedit edit -m "$model" -r "$records" -n 1 "${corpus[@]}" \
        --solver "$solver" --steps 1 -o "$work/oedit.gguf" --json
    python3 -c 'import json, sys
run = json.load(open(sys.argv[1]))["run"]
json.dump({"context_texts": run["contexts"]}, open(sys.argv[2], "w"))' \
        "$work/contexts-$solver.json" "$work/contexts-$solver.hparams"
done
edit() { # NAME SOLVER OPTIONS...
    local name=$1 solver=$2
    shift 2
    rm -f "$work/oedit.gguf.journal"
    timed "$name" run_oedit edit -m "$model" -r "$records" "${corpus[@]}" --solver "$solver" \
        --hparams "$work/contexts-$solver.hparams" -o "$work/oedit.gguf" --json "$@"
}
peer() { # NAME WORK, after the run of oedit that it repeats
    timed "$1" "${cores[@]}" python3 "$here/peer_torch.py" -m "$model" -r "$records" -n "$count" \
        --run "$work/oedit-$solver-$round.json" --stats "$work/c.f32" --work "$2" \
        --threads "$threads" --oedit "$oedit" --compare "$work/oedit.gguf" --json
}

# The first words of the records' prompts that make so many tokens, give or take a word.
words() {
    python3 -c 'import json, subprocess, sys
records, model, oedit, wanted = sys.argv[1:5]
words = " ".join(r["prompt"] for r in json.load(open(records))).split() * 200
texts = [" ".join(words[:i]) for i in range(1, int(wanted) + 1)]
done = subprocess.run([oedit, "tokenize", "-m", model, "--ids", "--jsonl"], check=True, text=True,
                      input="".join(json.dumps(t) + "\n" for t in texts), stdout=subprocess.PIPE)
sizes = [len(line.split()) for line in done.stdout.splitlines()]
best = max(i for i in range(len(texts)) if sizes[i] <= int(wanted))
open(sys.argv[5], "w").write(texts[best])
open(sys.argv[5] + ".size", "w").write(str(sizes[best]))' \
        "$records" "$model" "$oedit" "$1" "$work/$2.txt"
}
if [ "$prompt" -gt 0 ]; then
    words 64 short
    words "$prompt" long
fi

for ((round = 1; round <= rounds; round++)); do
    say "round $round of $rounds"
    for solver in $solvers; do
        edit "one-$solver-$round" "$solver" -n 1
        edit "oedit-$solver-$round" "$solver" -n "$count"
        [ $have_torch = no ] || for amount in $works; do
            peer "$amount-$solver-$round" "$amount"
        done
    done
    [ "$prompt" -eq 0 ] || for size in short long; do
        timed "prompt-$size-$round" run_oedit logits -m "$model" \
            -p "$(cat "$work/$size.txt")" --top 1 --json
    done
    [ $have_llama = no ] || [ "$round" -gt 1 ] || timed llama "${cores[@]}" "${under[@]}" node \
        "$here/peer_llama.mjs" "$llama" "$model" "$rounds" "$work/short.txt" "$work/long.txt"
done

python3 - "$work" "$solvers" "$works" "$rounds" "$threads" "$prompt" << 'END'
import json
import os
import statistics
import sys

work, solvers, works, rounds, threads, prompt = sys.argv[1:]
rounds = range(1, int(rounds) + 1)


def read(name):
    path = f"{work}/{name}.json"
    return json.load(open(path)) if os.path.exists(path) else None


def spent(name):
    """Wall and CPU seconds."""
    real, user, system = map(float, open(f"{work}/{name}.s").read().split())
    return real, user + system


def oedit_edits(solver, number):
    """Each edit's seconds, with its share of the keys made ahead; CPU seconds as a mean."""
    both = [f"{name}-{solver}-{number}" for name in ("one", "oedit")]
    one, run = (read(name)["edits"] for name in both)
    (wall_one, cpu_one), (wall, cpu) = map(spent, both)
    ahead = (wall - sum(e["ms"] for e in run) / 1e3) - (wall_one - one[0]["ms"] / 1e3)
    more = len(run) - 1
    return [dict(e, seconds=e["ms"] / 1e3 + max(0.0, ahead) / more,
                 cpu_s=(cpu - cpu_one) / more) for e in run]


def torch_edits(amount, solver, number):
    found = read(f"{amount}-{solver}-{number}")
    return found and found["edits"]


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}..{max(values):.2f})"


def row(solver, name, rounds, others):
    """edits of every round; `others` are oedit's."""
    edits, base = sum(rounds, []), sum(others, [])
    cpu, base_cpu = ([e["cpu_s"] for edits in side for e in edits[1:]] for side in (rounds, others))
    seconds, steps = [e["seconds"] for e in edits], [e["steps"] for e in edits]
    per_step = 1e3 * sum(seconds) / sum(steps)
    ratio = sum(seconds) / sum(e["seconds"] for e in base)
    apart = [e["apart"] for e in edits if "apart" in e]
    same = steps == [e["steps"] for e in base]
    print(f"| {solver} | {name} | {spread(seconds)} | {statistics.mean(steps):.1f} "
          f"| {per_step:.0f} | {ratio:.2f} | {statistics.mean(cpu):.2f} "
          f"| {sum(cpu) / sum(base_cpu):.2f} | {f'{max(apart):.1e}' if apart else ''} |")
    if not same:
        print(f"bench_peers: {solver}, {name}: other numbers of steps than oedit", file=sys.stderr)


def prompts():
    sizes = [int(open(f"{work}/{name}.txt.size").read()) for name in ("short", "long")]
    times = [[spent(f"prompt-{name}-{i}")[0] for i in rounds] for name in ("short", "long")]
    found = [("oedit logits", sizes, times)]
    llama = read("llama")
    if llama:
        found.append(("llama.cpp, Vulkan", [t["tokens"] for t in llama["texts"]],
                      [t["seconds"] for t in llama["texts"]]))
    print("\n| reading a prompt | tokens | tokens/s, median (min..max) | oedit's ratio |\n"
          "|---|---|---|---|")
    base = None
    for name, (few, many), (short, long) in found:
        rates = [(many - few) / (b - a) for a, b in zip(short, long)]
        base = base or statistics.median(rates)
        print(f"| {name} | {few} to {many} | {spread(rates)} "
              f"| {base / statistics.median(rates):.2f} |")


run = read(f"oedit-{solvers.split()[0]}-1")["run"]
cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if "model name" in line)
print(f"{cpu}, {threads} core(s); {run['driver']}; {run['hparams']}, layer {run['layer']}; "
      f"load average {open('/proc/loadavg').read().split()[0]} at the end\n")
print("| solver | program | seconds an edit, median (min..max) | steps | ms a step "
      "| times oedit's | CPU seconds | times oedit's | v* apart |\n" + "|---" * 9 + "|")
for solver in solvers.split():
    base = [oedit_edits(solver, i) for i in rounds]
    row(solver, "oedit", base, base)
    for amount in works.split():
        found = [torch_edits(amount, solver, i) for i in rounds]
        if all(found):
            row(solver, f"PyTorch, {amount}", found, base)
if prompt != "0":
    prompts()
END
