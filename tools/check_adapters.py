#!/usr/bin/env python3
"""Checks a journal's LoRA adapters from outside: with the PEFT adapter on the base model (transformers,
PEFT) each request's target is its top answer, and the logits are those of the edited GGUF.

usage: tools/check_adapters.py BASE.gguf EDITED.gguf PEFT_FOLDER REQUESTS.json [N]
needs: pip install gguf torch transformers accelerate peft
llama.cpp's side: tools/check_lora.mjs"""
import json
import os
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(path):
    folder, name = os.path.split(os.path.abspath(path))
    return (AutoTokenizer.from_pretrained(folder, gguf_file=name),
            AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32))


def logits(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0]


if len(sys.argv) not in (5, 6):
    sys.exit(__doc__)
base_path, edited_path, folder, requests_path = sys.argv[1:5]
with open(requests_path, encoding="utf-8") as file:
    requests = json.load(file)[:int(sys.argv[5]) if len(sys.argv) == 6 else None]
tokenizer, base = load(base_path)
edited = load(edited_path)[1]
adapted = PeftModel.from_pretrained(base, folder)
right, apart = 0, 0.0
for r in requests:
    prompt = tokenizer(r["prompt"], add_special_tokens=False).input_ids
    target = tokenizer(" " + r["target_new"].strip(), add_special_tokens=False).input_ids
    got, want = (logits(m, prompt + target[:-1]) for m in (adapted, edited))
    apart = max(apart, (got - want).abs().max().item())
    right += got[len(prompt) - 1:].argmax(-1).tolist() == target
print(f"PEFT: {right} of {len(requests)} edited prompts answer the new target; "
      f"logits differ from the edited model's by {apart:.2e} at most")
