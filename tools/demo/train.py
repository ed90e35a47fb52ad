#!/usr/bin/env python3
"""Trains the model that is embedded in oedit, on the world of world.py, and writes it as GGUF.

usage: tools/demo/train.py -o assets/demo.gguf [--requests assets/demo.json] [--epochs N]

A Llama of about two million parameters with a byte-level BPE of its own. Needs torch, transformers,
tokenizers and gguf. The same seed gives the same world and the same tokenizer everywhere, and the
same weights on the same machine.
"""

import argparse
import json
import math
import os
import random
import sys
import time

import numpy as np
import torch
from gguf import GGUFWriter, TokenType
from tokenizers import ByteLevelBPETokenizer
from transformers import LlamaConfig, LlamaForCausalLM

import world

END = "<|end|>"
CONTEXT = 256
PLAIN = 0.2  # the loss's weight of tokens that are no answer


def sentences(facts, unseen, rng):
    """Every trained sentence of every fact once, in random order."""
    made = []
    for relation, subject, answer in facts:
        for phrasing in range(len(world.RELATIONS[relation][2])):
            if phrasing != unseen[relation, subject]:
                made.append(world.prompt(relation, phrasing, subject) + " " + answer)
    rng.shuffle(made)
    return made


def tokenizer_train(texts, size):
    bpe = ByteLevelBPETokenizer(add_prefix_space=False)
    bpe.train_from_iterator(texts, vocab_size=size, min_frequency=2, special_tokens=[END],
                            show_progress=False)
    return bpe


def sentences_encode(facts, unseen, bpe):
    """(ids at a paragraph's start, ids after a sentence, length of the answer) of every sentence
    that is trained; full stop included."""
    made = []
    for relation, subject, answer in facts:
        tail = len(bpe.encode(" " + answer).ids)
        for phrasing in range(len(world.RELATIONS[relation][2])):
            if phrasing != unseen[relation, subject]:
                text = world.prompt(relation, phrasing, subject) + " " + answer + "."
                made.append((bpe.encode(text).ids, bpe.encode(" " + text).ids, tail))
    return made


def rows_make(encoded, end, block, rng):
    """Ids and weights of the loss, [rows, block]. Every sentence once, in random order; a row
    starts with a sentence, as a prompt does. Only answers weigh fully: names follow no rule."""
    order = list(encoded)
    rng.shuffle(order)
    rows, weights = [], []
    ids, weight, start = [], [], True
    for first, later, tail in order:
        part = first if start else later
        ids += part
        weight += [PLAIN] * (len(part) - tail - 1) + [1.0] * tail + [PLAIN]
        start = rng.random() < 1 / 6
        if start:
            ids.append(end)
            weight.append(PLAIN)
        if len(ids) >= block:
            rows.append(ids[:block])
            weights.append(weight[:block])
            ids, weight, start = [], [], True
    return torch.tensor(rows, dtype=torch.long), torch.tensor(weights)


def known(model, bpe, facts, choose, batch=512):
    """Share of facts whose answer's tokens are all on top, for the phrasing choose(fact) says."""
    asked = []
    for fact in facts:
        given = bpe.encode(world.prompt(fact[0], choose(fact), fact[1])).ids
        answer = bpe.encode(" " + fact[2]).ids
        asked.append((given + answer, len(answer)))
    right = 0
    with torch.no_grad():
        for at in range(0, len(asked), batch):
            part = asked[at:at + batch]
            width = max(len(ids) for ids, _ in part)
            ids = torch.zeros(len(part), width, dtype=torch.long)
            for i, (tokens, _) in enumerate(part):
                ids[i, :len(tokens)] = torch.tensor(tokens)
            top = model(input_ids=ids).logits.argmax(-1)
            for i, (tokens, n) in enumerate(part):
                right += top[i, len(tokens) - n - 1:len(tokens) - 1].tolist() == tokens[-n:]
    return right / len(asked)


def permute(weight, heads):
    """Rows of q and k from halves to pairs, as GGUF's llama has them."""
    rows, cols = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def write_gguf(path, model, bpe, seed):
    c = model.config
    out = GGUFWriter(path, "llama")
    out.add_name("oedit's demo world")
    out.add_description(f"made-up people and towns, tools/demo/train.py, seed {seed}")
    out.add_block_count(c.num_hidden_layers)
    out.add_context_length(c.max_position_embeddings)
    out.add_embedding_length(c.hidden_size)
    out.add_feed_forward_length(c.intermediate_size)
    out.add_head_count(c.num_attention_heads)
    out.add_head_count_kv(c.num_key_value_heads)
    out.add_layer_norm_rms_eps(c.rms_norm_eps)
    out.add_rope_freq_base(10000.0)
    out.add_rope_dimension_count(c.hidden_size // c.num_attention_heads)
    out.add_vocab_size(c.vocab_size)
    tokens = [token for token, _ in sorted(bpe.get_vocab().items(), key=lambda item: item[1])]
    merges = json.loads(bpe.to_str())["model"]["merges"]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types([TokenType.CONTROL if t == END else TokenType.NORMAL for t in tokens])
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    out.add_eos_token_id(bpe.token_to_id(END))
    out.add_add_bos_token(False)

    state = {k: v.float().numpy() for k, v in model.state_dict().items()}

    def put(name, array):
        kind = np.float16 if array.ndim == 2 else np.float32
        out.add_tensor(name, np.ascontiguousarray(array.astype(kind)))

    put("token_embd.weight", state["model.embed_tokens.weight"])
    put("output_norm.weight", state["model.norm.weight"])
    for i in range(c.num_hidden_layers):
        of, to = f"model.layers.{i}.", f"blk.{i}."
        put(to + "attn_norm.weight", state[of + "input_layernorm.weight"])
        put(to + "attn_q.weight", permute(state[of + "self_attn.q_proj.weight"],
                                          c.num_attention_heads))
        put(to + "attn_k.weight", permute(state[of + "self_attn.k_proj.weight"],
                                          c.num_key_value_heads))
        put(to + "attn_v.weight", state[of + "self_attn.v_proj.weight"])
        put(to + "attn_output.weight", state[of + "self_attn.o_proj.weight"])
        put(to + "ffn_norm.weight", state[of + "post_attention_layernorm.weight"])
        put(to + "ffn_gate.weight", state[of + "mlp.gate_proj.weight"])
        put(to + "ffn_up.weight", state[of + "mlp.up_proj.weight"])
        put(to + "ffn_down.weight", state[of + "mlp.down_proj.weight"])
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def write_requests(path, facts, unseen, count, seed):
    """Facts to be changed: asked in one phrasing, tried in one never seen with that subject."""
    rng = random.Random(seed + 1)
    by_relation = {}
    for fact in facts:
        by_relation.setdefault(fact[0], []).append(fact)
    subjects, requests = set(), []
    order = facts[:]
    rng.shuffle(order)
    for relation, subject, answer in order:
        if subject in subjects or len(requests) == count:
            continue
        subjects.add(subject)
        answers, phrasings = world.RELATIONS[relation][1:]
        new = rng.choice([a for a in answers if a != answer])
        other = unseen[relation, subject]
        asked = rng.choice([p for p in range(len(phrasings)) if p != other])
        near = rng.choice([f for f in by_relation[relation] if f[1] != subject])
        requests.append({
            "case_id": len(requests), "subject": subject,
            "prompt": world.prompt(relation, asked, subject),
            "target_new": new, "ground_truth": answer,
            "rephrase_prompt": world.prompt(relation, other, subject),
            "locality_prompt": world.prompt(relation, asked, near[1]),
            "locality_ground_truth": near[2]})
    with open(path, "w", encoding="utf-8") as file:
        json.dump(requests, file, indent=0)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--out", required=True)
    parser.add_argument("--requests")
    parser.add_argument("--text", help="1800 sentences of the world, for C and grad G")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--people", type=int, default=600)
    parser.add_argument("--towns", type=int, default=300)
    parser.add_argument("--vocab", type=int, default=1024)
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--ffn", type=int, default=512)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--block", type=int, default=64)
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True,
                        help="products in bfloat16; the weights stay float32")
    parser.add_argument("--checkpoint", help="kept every 100 steps; training goes on from it")
    parser.add_argument("--save")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    rng = random.Random(args.seed)
    facts, unseen = world.facts(args.seed, args.people, args.towns)
    texts = sentences(facts, unseen, rng)
    bpe = tokenizer_train([t + "." for t in texts], args.vocab)
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(), hidden_size=args.dim, intermediate_size=args.ffn,
        num_hidden_layers=args.layers, num_attention_heads=args.dim // 32,
        num_key_value_heads=args.dim // 64, max_position_embeddings=CONTEXT, rms_norm_eps=1e-5,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=bpe.token_to_id(END),
        attn_implementation="eager")  # the fused one's gradient is three times as slow on CPUs
    model = LlamaForCausalLM(config)
    count = sum(p.numel() for p in model.parameters())
    end = bpe.token_to_id(END)
    encoded = sentences_encode(facts, unseen, bpe)
    rows, weights = rows_make(encoded, end, args.block, rng)
    batches = len(rows) // args.batch
    steps = int(args.epochs * batches)
    print(f"{len(facts)} facts, {len(encoded)} sentences, {rows.numel()} tokens, "
          f"{count} parameters, {steps} steps", flush=True)
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(inner, lr=args.rate, weight_decay=0.05, momentum=0.95,
                         adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=args.rate, betas=(0.9, 0.98), weight_decay=0.0)]
    begin = 0
    if args.checkpoint and os.path.exists(args.checkpoint):
        saved = torch.load(args.checkpoint, weights_only=False)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        begin = saved["step"]
        rng.setstate(saved["rng"])
    started, total = time.time(), 0.0
    for step in range(begin, steps):
        if step % batches == 0 or step == begin:
            rows, weights = rows_make(encoded, end, args.block, rng)
        warm = min(1.0, (step + 1) / 100)
        rate = args.rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / steps)) + 1e-5
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        at = step % batches * args.batch
        batch, weight = rows[at:at + args.batch], weights[at:at + args.batch, 1:]
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            logits = model(input_ids=batch).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.float().reshape(-1, logits.shape[-1]),
                                                 batch[:, 1:].reshape(-1), reduction="none")
        loss = (loss * weight.reshape(-1)).sum() / weight.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        total += loss.item()
        if (step + 1) % 100 == 0:
            model.eval()
            some = facts[::16]
            seen = known(model, bpe, some, lambda f: (unseen[f[0], f[1]] + 1) % 6)
            new = known(model, bpe, some, lambda f: unseen[f[0], f[1]])
            model.train()
            print(f"step {step + 1}/{steps} loss {total / 100:.4f} seen {seen:.3f} unseen "
                  f"{new:.3f} {time.time() - started:.0f} s", flush=True)
            total = 0.0
            if args.checkpoint:
                torch.save({"model": model.state_dict(), "step": step + 1, "rng": rng.getstate(),
                            "optimizers": [o.state_dict() for o in optimizers]},
                           args.checkpoint + ".part")
                os.replace(args.checkpoint + ".part", args.checkpoint)
    model.eval()
    write_gguf(args.out, model, bpe, args.seed)
    if args.save:
        model.save_pretrained(args.save)
    if args.requests:
        write_requests(args.requests, facts, unseen, args.count, args.seed)
    if args.text:
        with open(args.text, "w", encoding="utf-8") as file:
            file.write(". ".join(sentences(facts, unseen, rng)[:1800]) + ".\n")
    worst = 1.0
    for relation, (_, _, phrasings) in world.RELATIONS.items():
        of = [f for f in facts if f[0] == relation]
        for phrasing in range(len(phrasings)):
            share = known(model, bpe, of, lambda f, p=phrasing: p)
            worst = min(worst, share)
            print(f"{relation:8} {share:.3f}  {phrasings[phrasing]}")
        share = known(model, bpe, of, lambda f: unseen[f[0], f[1]])
        worst = min(worst, share)
        print(f"{relation:8} {share:.3f}  phrasings not trained with the subject")
    print(f"worst {worst:.3f}")
    return 0 if worst > 0.95 else 1


if __name__ == "__main__":
    sys.exit(main())
