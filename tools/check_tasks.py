#!/usr/bin/env python3
"""Checks `oedit task` from outside: transformers' likelihoods of the same answers behind the same
prompts, from the weights of the same GGUF file.

usage: tools/check_tasks.py MODEL.gguf REPORT.json ...   (oedit task NAME -m MODEL.gguf --json)
needs: pip install gguf torch transformers accelerate
"""
import json
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BOUND = 2e-3  # of a log-likelihood: both sides compute in float32, in other orders


def likelihood(model, tokenizer, prompt, answer):
    given = tokenizer(prompt, add_special_tokens=False).input_ids
    wanted = tokenizer(" " + answer, add_special_tokens=False).input_ids
    with torch.no_grad():
        logits = model(torch.tensor([given + wanted[:-1]])).logits[0, len(given) - 1:]
    return logits.log_softmax(-1)[range(len(wanted)), wanted].sum().item()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, name = os.path.split(os.path.abspath(sys.argv[1]))
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    failed = False
    for path in sys.argv[2:]:
        report = json.load(open(path))
        worst, right = 0.0, 0
        for item in report["items"]:
            got = item["likelihoods"]
            answers = ["ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i] for i in range(len(got))]
            if "chosen" not in item:
                answers = [item["wanted"]]
            want = [likelihood(model, tokenizer, item["prompt"], a) for a in answers]
            worst = max([worst] + [abs(g - w) for g, w in zip(got, want)])
            if "chosen" in item:
                right += "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[want.index(max(want))] == item["chosen"]
        chosen = f", {right} choices alike" if "chosen" in report["items"][0] else ""
        print(f"{report['task']}: {len(report['items'])} items{chosen}, log-likelihoods differ by "
              f"at most {worst:.1e}")
        failed |= worst > BOUND
    sys.exit(f"more than {BOUND}" if failed else 0)


if __name__ == "__main__":
    main()
