#!/usr/bin/env python3
"""MEMIT and ROME in plain PyTorch on the CPU, float32: what `oedit edit` is measured against.

usage: peer_torch.py -m MODEL.gguf -r RECORDS.json --run RUN.json --stats C.f32
                     [--work economical|easyedit] [-n N] [--threads T] [--oedit BIN]
                     [--save FILE.npz] [--compare FILE] [--json]
needs: pip install torch transformers accelerate gguf      (CPU wheels of torch are enough)

--work easyedit     the amount of work EasyEdit does: every step runs all layers at all positions of
                    all prompts, padded into one batch, the head and its softmax at every position
                    (MEMIT: the head twice, as there), and autograd through all of it; keys come
                    from forward passes of their own through the whole model.
--work economical   what DESIGN 4 leaves of it: layers up to the edited one once, keys and values
                    before the subject's last token once, then each step only the positions from
                    there on, the layers above, the head at target positions and the KL prompt's.
Both factor C once for all edits (EasyEdit solves anew in every MEMIT edit; that is not counted).

--run       what `oedit edit --json` or `--log` wrote: solver, contexts and hyper-parameters are
            taken from there, so that both do the same.
--stats     C as `oedit stats -o C.f32` writes it.
--oedit     compares the token ids of every prompt with `BIN tokenize`; a difference is an error.
--save      the deltas, for a later --compare.
--compare   v* against another run: FILE.npz of --save, or a GGUF that `oedit edit` wrote from the
            same records without a guard. W then goes on from their edit, not from ours: Adam's
            first step is the gradient's sign, and where a component of it is almost zero, a last
            bit of W is enough for another path to another v*.
Seconds of an edit are key (k* and what else is done ahead), value (prefix pass and steps), solve
(with the update of W); loading, C's factor and one warming step are not counted. CPU seconds beside
them tell what it takes on a machine that others use, too: on one core no thread waits spinning.
"""
import argparse
import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TQDM_DISABLE", "1")  # transformers' bars while it loads
try:
    import gguf
    import numpy as np
    import torch
    import torch.nn.functional as F
    from transformers import AutoModelForCausalLM, AutoTokenizer
except ImportError as missing:
    sys.exit(f"peer_torch: {missing}: pip install torch transformers accelerate gguf")


# ---- what is given ----

def read_json(path):
    """The file's first JSON value: all of it, or the first line of JSONL."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.JSONDecoder().raw_decode(file.read().lstrip())[0]
    except (OSError, ValueError) as error:
        sys.exit(f"peer_torch: {path}: {error}")


def run_of(path):
    """Solver, contexts and hyper-parameters of a run of oedit's."""
    found = read_json(path)
    run = found.get("run", {}) if isinstance(found, dict) else {}
    wanted = ("solver", "guard", "contexts", "layer", "lambda", "rate", "steps", "stop", "kl",
              "decay", "clamp", "ridge")
    missing = [name for name in wanted if name not in run]
    if missing:
        sys.exit(f"peer_torch: {path}: has no run.{missing[0]}, wanted what oedit edit wrote")
    if run["guard"] != "none":
        sys.exit(f"peer_torch: {path}: got guard {run['guard']}, wanted none")
    return run


def records_of(path, count):
    records = read_json(path)
    records = records[:count] if count else records
    for record in records:
        if record.get("subject", " ") not in record.get("prompt", "") or "target_new" not in record:
            sys.exit(f"peer_torch: {path}: wanted prompt, its subject, target_new in every record")
    return records


def tokenizer_of(path):
    """transformers' own reader of the GGUF, with the pre-tokenizer that the file names."""
    from compare_tokenizer import published

    folder, name = os.path.split(os.path.abspath(path))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    fields = gguf.GGUFReader(path).fields
    pre = fields["tokenizer.ggml.pre"].contents() if "tokenizer.ggml.pre" in fields else ""
    own = tokenizer.backend_tokenizer.pre_tokenizer
    if published(pre):
        tokenizer.backend_tokenizer.pre_tokenizer = published(pre)
    bos = fields.get("tokenizer.ggml.add_bos_token")
    first = [tokenizer.bos_token_id] if bos and bos.contents() else []
    return {"tokenizer": tokenizer, "own": own, "first": first, "texts": {}}


def encode(tok, text):
    """Ids without BOS, and the end of each in characters of the text."""
    found = tok["tokenizer"](text, add_special_tokens=False, return_offsets_mapping=True)
    tok["texts"][text] = found.input_ids
    return found.input_ids, [end for _, end in found.offset_mapping]


def check_tokens(tok, binary, model):
    """Every text of this run: `oedit tokenize`, and transformers' reader left as it is."""
    texts = list(tok["texts"])
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([binary, "tokenize", "-m", model, "--ids", "--jsonl"], input=lines,
                          stdout=subprocess.PIPE, text=True, check=True)
    theirs = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    for text, ids in zip(texts, theirs, strict=True):
        ours = tok["first"] + tok["texts"][text]
        if ours != ids:
            sys.exit(f"peer_torch: {text!r}: got tokens {ours}, oedit has {ids}")
    tok["tokenizer"].backend_tokenizer.pre_tokenizer = tok["own"]
    loose = tok["tokenizer"](texts, add_special_tokens=False).input_ids
    loose = sum(tok["texts"][text] != ids for text, ids in zip(texts, loose))
    say(f"tokens: {len(texts)} texts as `oedit tokenize` has them; {loose} would differ with the "
        "pre-tokenizer that transformers makes of the GGUF")


def prompt_of(tok, text, subject_end, target):
    ids, ends = encode(tok, text)
    ids, ends = tok["first"] + ids, [0] * len(tok["first"]) + ends
    if subject_end not in ends:
        sys.exit(f"peer_torch: {text!r}: the subject does not end on a token boundary")
    last = len(ends) - 1 - ends[::-1].index(subject_end)
    return {"ids": ids + target[:-1], "given": len(ids), "lookup": last}


def prompts_of(tok, record, contexts):
    """METHOD 1.1: the plain prompt, prefixed ones, and last the KL prompt; the target's ids."""
    prompt, subject, target = record["prompt"], record["subject"], record["target_new"]
    target = target if target.startswith(" ") else " " + target
    target, _ = encode(tok, target)
    end = prompt.index(subject) + len(subject)
    prompts = [prompt_of(tok, before + prompt, len(before) + end, target)
               for before in [""] + [context + ". " for context in contexts]]
    return prompts + [prompt_of(tok, subject + " is a", len(subject), [0])], target


# ---- the method (METHOD 1) ----

def key_pair(solver, keys):
    """k* in its two places: MEMIT's halves in both; ROME's mean on the left, plain on the right."""
    if solver == "rome":
        return keys.mean(0), keys[0]
    half = (keys[0] + keys[1:].mean(0)) / 2 if len(keys) > 1 else keys[0]
    return half, half


def find_value(forward, v0, h, dim):
    """Eq. 5 by Adam. forward(delta): mean NLL of the targets, logits of the KL position."""
    delta = torch.zeros(dim, requires_grad=True)
    adam = torch.optim.Adam([delta], lr=h["rate"])
    unedited, trace = None, []
    for step in range(h["steps"]):
        adam.zero_grad()
        nll, essence = forward(delta)
        essence = F.log_softmax(essence, dim=-1)
        if unedited is None:
            unedited = essence.detach().clone()
        kl = h["kl"] * F.kl_div(unedited, essence, log_target=True, reduction="sum")
        loss = nll + kl + h["decay"] * delta.norm() / v0 ** 2
        trace.append(loss.item())
        if trace[-1] < h["stop"] or step == h["steps"] - 1:
            break
        loss.backward()
        adam.step()
        with torch.no_grad():  # |delta| <= clamp |v0|
            delta *= min(1.0, h["clamp"] * v0 / delta.norm().item())
    return delta.detach(), trace


def solve(solver, factor, left, right, weight):
    """The row vector w of dW = delta w^T, s, and the share of the edit that is realised."""
    w = torch.cholesky_solve(left.double()[:, None], factor)[:, 0]
    s = (w @ right.double()).item()
    if solver == "rome":  # Eq. 3: (C^-1 k*)^T / ((C^-1 k*)^T k)
        return (w / s).float(), s, 1.0
    return (w / (weight + s)).float(), s, s / (weight + s)  # Eq. 6, 23 by Sherman-Morrison


# ---- EasyEdit's amount of work: the whole model as it is, hooks read and change it ----

def padded(prompts):
    longest = max(len(prompt["ids"]) for prompt in prompts)
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros(len(prompts), longest, dtype=torch.long)
    for i, prompt in enumerate(prompts):
        ids[i, :len(prompt["ids"])] = torch.tensor(prompt["ids"])
        mask[i, :len(prompt["ids"])] = 1
    return {"input_ids": ids, "attention_mask": mask, "use_cache": False}


def run_hooked(model, module, hook, batch):
    handle = module.register_forward_hook(hook)
    try:
        return model(**batch).logits
    finally:
        handle.remove()


@torch.no_grad()
def keys_whole(model, layer, prompts):
    """The input and output of W at the lookups [prompts, m], [prompts, d]: one whole forward."""
    found = {}

    def look(_, inputs, output):
        rows = torch.arange(len(prompts)), torch.tensor([p["lookup"] for p in prompts])
        found["key"], found["value"] = inputs[0][rows].clone(), output[rows].clone()

    cut = [{**p, "ids": p["ids"][:p["given"]]} for p in prompts]
    run_hooked(model, model.model.layers[layer].mlp.down_proj, look, padded(cut))
    return found["key"], found["value"]


def prepare_whole(net, prompts):
    """Keys of all prompts, then W k of the plain prompt, each by its own forward pass."""
    keys, _ = keys_whole(net["model"], net["layer"], prompts[:-1])
    _, value = keys_whole(net["model"], net["layer"], prompts[:1])
    return {"keys": keys, "value": value[0]}


def value_whole(net, prompts, target, _prepared):
    """forward(delta): all layers, all positions of all prompts, logits everywhere."""
    model, batch, n = net["model"], padded(prompts), len(prompts) - 1
    rows = torch.arange(n + 1), torch.tensor([p["lookup"] for p in prompts])
    wanted = torch.zeros(n, batch["input_ids"].shape[1], dtype=torch.long)
    mask = torch.zeros(wanted.shape)
    for i, prompt in enumerate(prompts[:-1]):
        begin = prompt["given"] - 1
        wanted[i, begin:begin + len(target)] = torch.tensor(target)
        mask[i, begin:begin + len(target)] = 1
    last = {}

    def forward(delta):
        def add(_module, _inputs, output):
            output[rows] += delta
            return output

        def keep(_module, _inputs, output):
            last["stream"] = output

        handle = model.model.layers[-1].register_forward_hook(keep)
        logits = run_hooked(model, model.model.layers[net["layer"]].mlp, add, batch)
        handle.remove()
        essence = logits[n, prompts[-1]["lookup"]]
        if net["solver"] == "memit":  # EasyEdit's MEMIT has logits for the KL term, others for NLL
            logits = model.lm_head(model.model.norm(last["stream"][:n]))
        chosen = F.log_softmax(logits, dim=-1)[:n].gather(2, wanted[:, :, None])[:, :, 0]
        return -(chosen * mask).sum() / (n * len(target)), essence

    return forward


# ---- the economical way (DESIGN 4): rows of all prompts packed, no row that is not needed ----

def rows_of(net, prompts, begins, ends):
    """Positions [begin, end) of every prompt as packed rows, and where attention has them."""
    places = [(p, t - begins[p], t) for p in range(len(prompts))
              for t in range(begins[p], ends[p])]
    prompt, slot, pos = (torch.tensor(column) for column in zip(*places))
    count = max(end - begin for begin, end in zip(begins, ends))
    longest = max(len(p["ids"]) for p in prompts)
    ask = torch.zeros(len(prompts), count, dtype=torch.long)  # position that a padded row asks from
    ask[prompt, slot] = pos
    seen = torch.arange(longest)[None, None, None] <= ask[:, None, :, None]
    cos, sin = net["model"].model.rotary_emb(torch.zeros(1), pos[None])
    ids = torch.tensor([prompts[p]["ids"][t] for p, _, t in places])
    return {"prompt": prompt, "slot": slot, "pos": pos, "ids": ids, "seen": seen,
            "cos": cos[0][:, None], "sin": sin[0][:, None], "shape": ask.shape, "longest": longest}


def turned(x, rows):
    half = x.shape[-1] // 2
    return x * rows["cos"] + torch.cat((-x[..., half:], x[..., :half]), -1) * rows["sin"]


def attend(layer, x, rows, cache):
    """x + attention. cache: keys and values [prompts, longest, heads, head_dim] so far; the rows'
    own are put in (a copy, for autograd); what came out is returned for the next rows."""
    a, y = layer.self_attn, layer.input_layernorm(x)
    q, k, v = (f(y).view(len(y), -1, a.head_dim) for f in (a.q_proj, a.k_proj, a.v_proj))
    if cache is None:
        empty = torch.zeros(rows["shape"][0], rows["longest"], *k.shape[1:])
        cache = (empty, empty)
    at = rows["prompt"], rows["pos"]
    k = cache[0].index_put(at, turned(k, rows))
    v = cache[1].index_put(at, v)
    asked = torch.zeros(*rows["shape"], *q.shape[1:])
    asked = asked.index_put((rows["prompt"], rows["slot"]), turned(q, rows))
    seen = F.scaled_dot_product_attention(asked.transpose(1, 2), k.transpose(1, 2),
                                          v.transpose(1, 2), rows["seen"], enable_gqa=True)
    seen = seen.transpose(1, 2)[rows["prompt"], rows["slot"]].flatten(1)
    return x + a.o_proj(seen), (k, v)


def ffn_key(layer, x):
    """The input of W, Eq. 2."""
    y = layer.post_attention_layernorm(x)
    return F.silu(layer.mlp.gate_proj(y)) * layer.mlp.up_proj(y)


def run_layers(net, x, rows, caches, first, last, kept=None):
    """Layers [first, last); their keys and values go to the list `kept`."""
    for i in range(first, last):
        layer = net["model"].model.layers[i]
        x, cache = attend(layer, x, rows, caches[i - first] if caches else None)
        if kept is not None:
            kept.append(cache)
        x = x + layer.mlp.down_proj(ffn_key(layer, x))
    return x


@torch.no_grad()
def prepare_once(net, prompts):
    """Layers up to the edited one, once, for all that needs them: keys and the stream behind."""
    cut = prompts[:-1] + [{**prompts[-1], "ids": prompts[-1]["ids"][:prompts[-1]["lookup"] + 1]}]
    ends = [len(p["ids"]) for p in cut]
    rows = rows_of(net, cut, [0] * len(cut), ends)
    layer = net["model"].model.layers[net["layer"]]
    x = run_layers(net, net["model"].model.embed_tokens(rows["ids"]), rows, None, 0, net["layer"])
    x, _ = attend(layer, x, rows, None)
    key = ffn_key(layer, x)
    starts = torch.tensor([0] + ends[:-1]).cumsum(0)
    lookups = starts + torch.tensor([p["lookup"] for p in cut])
    value = layer.mlp.down_proj(key)
    return {"keys": key[lookups[:-1]], "value": value[lookups[0]], "stream": x + value,
            "prompts": cut, "ends": ends, "rows": rows}


def value_once(net, _prompts, target, ready):
    """forward(delta): rows from the lookups on, layers above, the head where it is asked."""
    model, prompts = net["model"], ready["prompts"]
    above, count = net["layer"] + 1, net["model"].config.num_hidden_layers
    looks = [p["lookup"] for p in prompts]
    early = ready["rows"]["pos"] < torch.tensor(looks)[ready["rows"]["prompt"]]
    caches = None
    if early.any():
        with torch.no_grad():
            caches = []
            run_layers(net, ready["stream"][early],
                       rows_of(net, prompts, [0] * len(prompts), looks), None, above, count,
                       caches)
    rows = rows_of(net, prompts, looks, ready["ends"])
    base = ready["stream"][~early]
    sizes = torch.tensor([end - look for end, look in zip(ready["ends"], looks)])
    first = sizes.cumsum(0) - sizes  # the lookups' rows
    heads = [first[i].item() + p["given"] - 1 + k - p["lookup"]
             for i, p in enumerate(prompts[:-1]) for k in range(len(target))]
    heads = torch.tensor(heads + [first[-1].item()])
    wanted = torch.tensor(target * (len(prompts) - 1))

    def forward(delta):
        x = base.index_add(0, first, delta.expand(len(prompts), -1))
        x = run_layers(net, x, rows, caches, above, count)
        logits = model.lm_head(model.model.norm(x[heads]))
        return F.cross_entropy(logits[:-1], wanted), logits[-1]

    return forward


WORKS = {"easyedit": (prepare_whole, value_whole), "economical": (prepare_once, value_once)}


# ---- a run ----

def say(text):
    print(text, file=sys.stderr, flush=True)


def edit_one(net, record, prompts, target):
    prepare, value = WORKS[net["work"]]
    h, cpu, clock = net["h"], time.process_time(), [time.perf_counter()]
    ready = prepare(net, prompts)
    left, right = key_pair(net["solver"], ready["keys"])
    v0 = ready["value"].norm().item()
    clock.append(time.perf_counter())
    delta, trace = find_value(value(net, prompts, target, ready), v0, h, len(ready["value"]))
    clock.append(time.perf_counter())
    w, s, realised = solve(net["solver"], net["factor"], left, right, h["lambda"])
    with torch.no_grad():
        weight_of(net).add_(torch.outer(delta, w))
    clock.append(time.perf_counter())
    spent = [b - a for a, b in zip(clock, clock[1:])]
    return {"id": record.get("case_id"), "prompt": record["prompt"], "target": record["target_new"],
            "steps": len(trace), "loss": trace, "delta": delta.norm().item(), "v0": v0, "s": s,
            "realised": realised, "key_s": spent[0], "value_s": spent[1], "solve_s": spent[2],
            "seconds": sum(spent), "cpu_s": time.process_time() - cpu}, delta, w


def warm(net, prompts, target):
    """One step with its gradient: threads, memory and MKL's kernels are there when time counts."""
    prepare, value = WORKS[net["work"]]
    ready = prepare(net, prompts)
    find_value(value(net, prompts, target, ready), 1.0, {**net["h"], "steps": 2},
               len(ready["value"]))


def deltas_of(path, net, prompts):
    """v* - W k of every edit of another run. A GGUF holds only their sum dW = sum delta_i w_i^T; as
    the w_i depend on keys alone, they are known, and the deltas follow by least squares."""
    if path.endswith(".npz"):
        return torch.from_numpy(np.load(path)["delta"])
    found = [t for t in gguf.GGUFReader(path).tensors
             if t.name == f"blk.{net['layer']}.ffn_down.weight"]
    if not found:
        sys.exit(f"peer_torch: {path}: has no down projection of layer {net['layer']}")
    keys = (WORKS[net["work"]][0](net, texts)["keys"] for texts, _ in prompts)
    w = [solve(net["solver"], net["factor"], *key_pair(net["solver"], k), net["h"]["lambda"])[0]
         for k in keys]
    after = torch.from_numpy(gguf.dequantize(found[0].data, found[0].tensor_type))
    change = after.double() - weight_of(net).double()
    return torch.linalg.lstsq(torch.stack(w).double().T, change.T).solution.float()


def weight_of(net):
    return net["model"].model.layers[net["layer"]].mlp.down_proj.weight


def follow(net, edit, delta, w, theirs):
    """How far v* is from another run's, whose update takes the place of ours."""
    edit["apart"] = ((theirs - delta).norm() / delta.norm()).item()
    with torch.no_grad():
        weight_of(net).add_(torch.outer(theirs - delta, w))
    return f", v* apart by {edit['apart']:.1e}"


def options():
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    for names in (["-m", "--model"], ["-r", "--requests"], ["--run"], ["--stats"]):
        p.add_argument(*names, required=True)
    p.add_argument("--work", choices=list(WORKS), default="economical")
    for name, value in (("-n", 0), ("--threads", 1)):
        p.add_argument(name, type=int, default=value)
    for name in ("--oedit", "--save", "--compare"):
        p.add_argument(name)
    p.add_argument("--json", action="store_true")
    return p.parse_args()


def open_net(args, run):
    folder, name = os.path.split(os.path.abspath(args.model))
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    model.eval().requires_grad_(False)
    c = np.fromfile(args.stats, dtype="<f4")
    size = model.config.intermediate_size
    if c.size != size * size:
        sys.exit(f"peer_torch: {args.stats}: got {c.size} numbers, wanted {size} x {size} of C")
    c = torch.from_numpy(c.reshape(size, size)).double()
    c += run["ridge"] * c.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    return {"model": model, "h": run, "layer": run["layer"], "solver": run["solver"],
            "work": args.work, "factor": torch.linalg.cholesky(c)}


def main():
    args = options()
    torch.set_num_threads(args.threads)
    for path in filter(None, [args.model, args.requests, args.run, args.stats, args.compare]):
        if not os.path.isfile(path):
            sys.exit(f"peer_torch: {path}: no such file")
    given, records = run_of(args.run), records_of(args.requests, args.n)
    net, tok = open_net(args, given), tokenizer_of(args.model)
    prompts = [prompts_of(tok, record, given["contexts"]) for record in records]
    if args.oedit:
        check_tokens(tok, args.oedit, args.model)
    theirs = deltas_of(args.compare, net, prompts) if args.compare else None
    if args.compare and len(theirs) != len(records):
        sys.exit(f"peer_torch: {args.compare}: got {len(theirs)} edits, wanted {len(records)}")
    warm(net, *prompts[0])
    edits, deltas = [], []
    for i, (record, (texts, target)) in enumerate(zip(records, prompts)):
        e, delta, w = edit_one(net, record, texts, target)
        apart = follow(net, e, delta, w, theirs[i]) if args.compare else ""
        edits.append(e)
        deltas.append(delta)
        say(f"{i + 1}/{len(records)}  {e['prompt']} -> {e['target']}  loss {e['loss'][0]:.3g} to "
            f"{e['loss'][-1]:.4g} in {e['steps']} steps, |delta| {e['delta']:.6g}, realised "
            f"{e['realised']:.2f}, {e['seconds']:.2f} s (key {e['key_s']:.2f}, value "
            f"{e['value_s']:.2f}, solve {e['solve_s']:.3f}){apart}")
    if args.save:
        np.savez(args.save, delta=torch.stack(deltas).numpy())
    if args.json:
        run = {"solver": net["solver"], "work": args.work, "threads": torch.get_num_threads(),
               "layer": net["layer"], "prompts": len(prompts[0][0]), "torch": torch.__version__}
        print(json.dumps({"run": run, "edits": edits}, indent=1))


if __name__ == "__main__":
    main()
