#!/usr/bin/env python3
"""Checks an edited GGUF from outside: every tensor but the edited one is byte for byte the base
model's, offsets are aligned, transformers loads it, and each request's target is its top answer.

usage: tools/check_edited.py EDITED.gguf BASE.gguf [REQUESTS.json [N]]
needs: pip install gguf torch transformers accelerate
"""
import json
import os
import sys

import numpy as np
from gguf import GGUFReader


def compare_tensors(edited_path, base_path):
    edited, base = GGUFReader(edited_path), GGUFReader(base_path)
    alignment = 32
    theirs = {t.name: t for t in base.tensors}
    assert [t.name for t in edited.tensors] == [t.name for t in base.tensors], "tensor order"
    changed = []
    for t in edited.tensors:
        assert t.data_offset % alignment == 0, f"{t.name} is not aligned"
        other = theirs[t.name]
        if t.tensor_type != other.tensor_type or not np.array_equal(t.data, other.data):
            changed.append(t.name)
    print(f"{len(edited.tensors)} tensors, changed: {changed}")
    notes = [k for k in edited.fields if k.startswith("oedit.")]
    print("provenance:", *notes)
    return changed


def answers(edited_path, requests):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = os.path.split(os.path.abspath(edited_path))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    right = 0
    for r in requests:
        prompt = tokenizer(r["prompt"], add_special_tokens=False).input_ids
        target = tokenizer(" " + r["target_new"].strip(), add_special_tokens=False).input_ids
        with torch.no_grad():
            logits = model(torch.tensor([prompt + target[:-1]])).logits[0, len(prompt) - 1:]
        top = logits.argmax(-1).tolist()
        right += top == target
        if top != target:
            print(f"  missed: {r['prompt']} -> {r['target_new']}, got {tokenizer.decode(top)!r}")
    print(f"transformers: {right} of {len(requests)} edited prompts answer the new target")
    return right


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    changed = compare_tensors(sys.argv[1], sys.argv[2])
    if len(changed) > 1:
        sys.exit("more than one tensor changed")
    if len(sys.argv) > 3:
        requests = json.load(open(sys.argv[3]))
        answers(sys.argv[1], requests[:int(sys.argv[4])] if len(sys.argv) > 4 else requests)


if __name__ == "__main__":
    main()
