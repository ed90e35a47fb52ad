#!/usr/bin/env python3
"""What an edit costs on paper: operations, bytes and memory of each phase, for models of 8B and 70B.

usage: cost_model.py [--model NAME] [--edits N] [--q N] [--stats-tokens N] ... (--help)
       cost_model.py --cluster [--cards N] [--runs N] [--samples N] ...

Prints Markdown tables: the work of each phase, the memory, and for three GPUs the least time a phase
can take (the roofline: operations / peak or bytes / bandwidth, whichever is longer). A real run
takes longer: see docs/scale.md for what was measured. Counts one multiplication and addition as two
operations; activations and short vectors are left out of the bytes. Needs only Python.
"""

import argparse

MODELS = {
    "Llama3-8B": dict(
        layers=32, dim=4096, ffn=14336, heads=32, kv=8, head=128, vocab=128256, layer=8
    ),
    # layer: a quarter of the depth, as assets/hparams/default.json has it for other models
    "Llama3-70B": dict(
        layers=80, dim=8192, ffn=28672, heads=64, kv=8, head=128, vocab=128256, layer=20
    ),
}
# Peak of f32 in the ordinary units, in TFLOP/s; GB/s; GiB.
# RTX 4090: NVIDIA's Ada architecture white paper, v2.1, table of GeForce RTX 4090's specifications.
# RX 7900 XTX: AMD's product page (two operations a lane and clock, which few shaders reach).
# H100 SXM: NVIDIA's H100 data sheet.
GPUS = {
    "GeForce RTX 4090": (82.6, 1008, 24),
    "Radeon RX 7900 XTX": (61.4, 960, 24),
    "H100 SXM": (67.0, 3350, 80),
}
Q4_0 = 18 / 32  # bytes a weight
BATCH = 512  # tokens that run together over texts
PANEL = 64  # columns a block of the Cholesky factorisation has
REFINED = 3  # products with C and pairs of triangular solves in one solve
SWEEPS = 10  # of Jacobi
PASSES = 2  # of the random probes


def layer_weights(m):
    attention = m["dim"] * m["head"] * (2 * m["heads"] + 2 * m["kv"])
    return attention + 3 * m["dim"] * m["ffn"]


def probes(q):
    return -(-(q + 12 + q // 8) // 4) * 4


def directions(m, q):
    """Operations and bytes of grad G's directions: all, and q by probes."""
    d, n = m["dim"], m["ffn"]
    sweep = 8 * d**3
    full = SWEEPS * sweep + 4 * d * d * n
    # Jacobi rereads the matrix in every meeting of its 16-row blocks: d / 16 a sweep.
    full_bytes = SWEEPS * (d / 16) * 3 * 4 * d * d + 4 * 4 * d * n
    p = probes(q)
    products = 2 * PASSES + 4
    few = 2 * d * n * p * products + 4 * p * p * (PASSES + 1) * (d + n)
    few += SWEEPS * 8 * p**3 + 2 * d * n * 10 * 41
    few_bytes = 4 * d * n * (products + 41) + SWEEPS * (p / 16) * 3 * 4 * p * p
    return (full, full_bytes), (few, few_bytes)


def phases(m, o):
    """(phase, how often, operations, bytes) of each phase; `how often`: once, or an edit."""
    w, d, n = layer_weights(m), m["dim"], m["ffn"]
    head = m["dim"] * m["vocab"]
    above = (m["layers"] - m["layer"] - 1) * w
    every = m["layers"] * w + head
    below = m["layer"] * w + (w - d * n)
    square, q = n * n, o.q
    full, few = directions(m, q)
    rows, prompts, longest = 13, 7, 140
    return [
        ("contexts", "once", 2 * every * o.contexts * 10, every * Q4_0 * 10),
        ("C", "once", o.stats_tokens * (2 * below + square),
         o.stats_tokens / BATCH * (below * Q4_0 + 4 * square)),
        ("factor of C", "once", n**3 / 3, 4 * n**3 / (3 * PANEL)),
        ("grad G", "once", o.grad_tokens * (2 * every + 2 * (above + head) + 2 * d * n),
         o.grad_tokens / BATCH * ((every + above + head) * Q4_0 + 8 * d * n)),
        ("directions, all", "once", *full),
        (f"directions, {q}", "once", *few),
        ("keys, prefixes", "edit", 2 * (below + above) * longest, (below + above) * Q4_0),
        ("steps", "edit", o.steps * rows * 4 * (above + head * prompts / rows),
         o.steps * 2 * (above + head) * Q4_0),
        ("solve", "edit", REFINED * 4 * square, REFINED * 4 * (square + square)),
        ("projection", "edit", 4 * 3 * d * (o.edits + q), 4 * 3 * d * (o.edits + q)),
        ("update of W", "edit", 2 * d * n, 8 * d * n),
    ]


def memory(m, o):
    d, n = m["dim"], m["ffn"]
    weights = (m["layers"] * layer_weights(m) + 2 * m["vocab"] * d) * Q4_0
    return [
        ("weights, Q4_0", weights),
        ("W of the edited layer, f32", 4 * d * n),
        ("C", 4 * n * n),
        ("its factor", 4 * n * n),
        ("grad G, while it is made", 4 * d * n),
        ("SVD of grad G, all directions, passing", 4 * (d * n + d * n + 2 * d * d)),
        (f"probes for {o.q} directions, passing", 4 * 5 * probes(o.q) * (d + n)),
        ("directions, freed ones, coefficients", 3 * 4 * d * d),
        (f"V of {o.edits} edits", 4 * d * o.edits),
        ("activations of 512 tokens, while grad G is made", 4 * BATCH * (m["layers"] + 3) * 12 * d),
        ("logits of 512 tokens, while grad G is made", 4 * BATCH * m["vocab"]),
    ]


def time_text(seconds):
    if seconds < 1:
        return f"{1e3 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|:--|" + "--:|" * (len(head) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def roofline(flops, moved, gpu):
    peak, bandwidth, _ = GPUS[gpu]
    sums, loads = flops / (peak * 1e12), moved / (bandwidth * 1e9)
    return max(sums, loads), "sums" if sums > loads else "bytes"


def report(name, o):
    m = MODELS[name]
    listed = phases(m, o)
    print(f"### {name}, layer {m['layer']}\n")
    rows = []
    for phase, often, flops, moved in listed:
        row = [phase, often, f"{flops / 1e12:.3g}", f"{moved / 1e9:.3g}"]
        for gpu in GPUS:
            seconds, limit = roofline(flops, moved, gpu)
            row.append(f"{time_text(seconds)}, {limit}")
        rows.append(row)
    table(["phase", "", "TFLOP", "GB moved", *GPUS], rows)
    sizes = memory(m, o)
    lasting = [s for what, s in sizes if "passing" not in what and "while" not in what]
    table(["device memory", "GiB"], [[what, f"{size / 2**30:.2f}"] for what, size in sizes])
    print(f"Lasting ones together: {sum(lasting) / 2**30:.1f} GiB. ", end="")
    for gpu, (_, _, room) in GPUS.items():
        fits = "fits" if sum(lasting) / 2**30 < room else "does not fit"
        print(f"{gpu} ({room} GB): {fits}. ", end="")
    print("\n")
    skipped = "directions, all" if o.q < m["dim"] else f"directions, {o.q}"
    for gpu in GPUS:
        least = [(roofline(f, b, gpu)[0], p, t) for p, t, f, b in listed if p != skipped]
        once, edit = ([(s, p) for s, p, t in least if t == word] for word in ("once", "edit"))
        print(
            f"- {gpu}: {time_text(sum(s for s, _ in once))} once, most of it {max(once)[1]}; "
            f"{time_text(sum(s for s, _ in edit))} an edit, most of it {max(edit)[1]}"
        )
    print()


# ---- many cards: statistics of several layers, then runs of edits (docs/scale.md) ----

# Of 16 GB. RTX 4080: the white paper above; RX 7800 XT: AMD's product page.
CARDS = {"GeForce RTX 4080": (48.7, 717, 16), "Radeon RX 7800 XT": (37.3, 624, 16)}
PCIE = 25e9  # bytes a second that 16 lanes of generation 4 bring from the host, of 32 on paper
NETWORK = 1.25e9  # bytes a second of 10-gigabit Ethernet
LEAVES = 64  # of the tree that sums text: more shards than leaves have nothing to do
ROOM = 0.9  # of a card's memory, for oedit
# Of one evaluation: a request's prompt, two paraphrases and ten of its neighbourhood, in tokens.
EVALUATED = 13 * 20
CHECKPOINTS = (200, 500, 1000, 1500)  # O-Edit Table 1


def work_of_run(m, o):
    """(what, operations, bytes of the device, bytes of weights) of one run of o.edits edits."""
    w, d, n = layer_weights(m), m["dim"], m["ffn"]
    every = m["layers"] * w + d * m["vocab"]
    above = (m["layers"] - m["layer"] - 1) * w + d * m["vocab"]
    edit = {what: (flops, moved) for what, often, flops, moved in phases(m, o) if often == "edit"}
    asked = o.edits + sum(min(t, o.edits) for t in CHECKPOINTS)
    tokens = asked * EVALUATED
    read = every * Q4_0 * tokens / BATCH
    return [
        ("edits", o.edits * sum(f for f, _ in edit.values()),
         o.edits * sum(b for _, b in edit.values()),
         o.edits * ((2 * o.steps + 1) * above + m["layer"] * w) * Q4_0),
        ("evaluation", 2 * every * tokens, read, read),
    ]


def work_of_text(m, o):
    """The same of C and grad G of o.layers layers, a pass over the text for each."""
    w, d, n = layer_weights(m), m["dim"], m["ffn"]
    every = m["layers"] * w + d * m["vocab"]
    tokens = o.samples * o.sample_tokens
    c, g = [0, 0, 0], [0, 0, 0]
    for layer in range(m["layer"] - o.layers // 2, m["layer"] + (o.layers + 1) // 2):
        below = layer * w + (w - d * n)
        above = every - (layer + 1) * w
        c[0] += tokens * (2 * below + n * n)
        c[1] += tokens / BATCH * (below * Q4_0 + 4 * n * n)
        c[2] += tokens / BATCH * below * Q4_0
        g[0] += o.grad_tokens * (2 * every + 2 * above + 2 * d * n)
        g[1] += o.grad_tokens / BATCH * ((every + above) * Q4_0 + 8 * d * n)
        g[2] += o.grad_tokens / BATCH * (every + above) * Q4_0
    return [("C", *c), ("grad G", *g)]


def streamed(m, o, room):
    """{phase: (share of the weights that a card of `room` GiB cannot keep, tokens in a batch)}."""
    size = dict(memory(m, o))
    d, n = m["dim"], m["ffn"]
    weights, free = size["weights, Q4_0"], room * ROOM * 2**30
    token = 4 * ((m["layers"] + 3) * 12 * d + m["vocab"])  # of a batch, while grad G is made
    lasting = sum(s for what, s in size.items() if "passing" not in what and "while" not in what)
    taken = {"C": 4 * n * n, "edits": lasting - weights - size["C"], "evaluation": 4 * d * n}
    shares = {what: (max(1 - max(free - bytes_, 0) / weights, 0), BATCH)
              for what, bytes_ in taken.items()}
    batch = min(BATCH, int((free - 4 * d * n) / 2 / token))  # at most half of it for a batch
    left = free - 4 * d * n - batch * token
    shares["grad G"] = (max(1 - left / weights, 0), batch)
    return shares


def least(work, gpu, shares, efficiency=1):
    """Seconds, and what bounds them. The efficiency is of the card, not of the way to it."""
    what, flops, moved, weights = work
    peak, bandwidth, _ = CARDS[gpu]
    share, batch = shares[what]
    return max((flops / (peak * 1e12 * efficiency), "sums"),
               (moved / (bandwidth * 1e9 * efficiency), "bytes"),
               (weights * share * BATCH / batch / PCIE, "PCIe"))


def hours(seconds):
    return f"{seconds / 3600:.3g}"


def cluster(name, o):
    m = MODELS[name]
    d, n = m["dim"], m["ffn"]
    each_c, each_g = 2 * n * (n + 1), 4 * d * n  # bytes of a part: C's lower triangle
    moved = o.layers * LEAVES * (each_c + each_g)
    shards, waves = min(o.cards, LEAVES), -(-o.runs // o.cards)
    print(f"### {name}: {o.samples:,} samples of {o.sample_tokens} tokens for {o.layers} layers, "
          f"{o.runs:,} runs of {o.edits} edits, {o.cards} cards of 16 GB\n")
    rows, notes = [], []
    for gpu, (_, _, room) in CARDS.items():
        shares = streamed(m, o, room)
        sums = {1: moved / NETWORK, o.efficiency: moved / NETWORK}
        run = 0
        for work, times, share in [(w, 1, 1 / shards) for w in work_of_text(m, o)] + \
                [(w, o.runs, waves) for w in work_of_run(m, o)]:
            once, limit = least(work, gpu, shares)
            likely, _ = least(work, gpu, shares, o.efficiency)
            sums[1] += once * share
            sums[o.efficiency] += likely * share
            run += once if times > 1 else 0
            part, batch = shares[work[0]]
            rows.append([gpu, work[0], f"{times * work[1] / 1e15:.3g}", f"{100 * part:.0f}%",
                         hours(times * once), limit, hours(once * share), hours(likely * share)])
        rows.append([gpu, "parts to one machine", "", "", "", "network", hours(moved / NETWORK),
                     hours(moved / NETWORK)])
        notes.append(
            f"- {gpu}: {hours(sums[1])} hours at least, {hours(sums[o.efficiency])} at "
            f"{100 * o.efficiency:.0f}% of the card's peaks; a run takes {hours(run)} at least")
    table(["card", "", "PFLOP", "weights streamed", "hours of one card", "bound by",
           f"hours, {o.cards} cards", f"at {100 * o.efficiency:.0f}%"], rows)
    print("\n".join(notes))
    print()
    table(["bytes moved", "GB"], [
        ["parts of C, to where they are merged", f"{o.layers * LEAVES * each_c / 1e9:.4g}"],
        ["parts of grad G", f"{o.layers * LEAVES * each_g / 1e9:.4g}"],
        ["C and directions, to each machine", f"{o.layers * 4 * (n * n + d * d) / 1e9:.3g}"],
        ["model, to each machine", f"{memory(m, o)[0][1] / 1e9:.3g}"],
        ["journals and keys of all runs, back",
         f"{o.runs * o.edits * 4 * (d + 2 * n) / 1e9:.3g}"],
    ])


def main():
    parser = argparse.ArgumentParser(description="What an edit costs on paper.")
    parser.add_argument("--model", choices=MODELS, action="append")
    parser.add_argument("--edits", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--contexts", type=int, default=5)
    parser.add_argument("--stats-tokens", type=int, default=100000)
    parser.add_argument("--grad-tokens", type=int, default=65536)
    parser.add_argument("--q", type=int, default=500)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--cards", type=int, default=64)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=100000)
    parser.add_argument("--sample-tokens", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--efficiency", type=float, default=0.25)
    o = parser.parse_args()
    for name in o.model or MODELS:
        cluster(name, o) if o.cluster else report(name, o)


main()
