#!/usr/bin/env python3
"""Compares `oedit tokenize` with transformers, id by id; exit 1 on any difference.

usage: compare_tokenizer.py MODEL OEDIT_BIN DATA_DIR [PART]

MODEL is a GGUF file, or a folder with a tokenizer.json, which the tokenizers library then reads.
With PART only one of so many data texts and hard texts is taken.

Texts: every string of every JSON and JSONL file in DATA_DIR, every line of every text file, every
file as a whole, and text made to be hard (all of Unicode, blanks, digits, emoji, special tokens).

transformers loads the tokenizer from the GGUF itself. Its GGUF loader knows GPT-2's pre-tokenizer
only, so where tokenizer.ggml.pre says otherwise, the one that the model's published
tokenizer.json has is put in its place; how often that makes a difference is printed too.
"""

import json
import os
import random
import subprocess
import sys
import unicodedata

from gguf import GGUFReader
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import AutoTokenizer

DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell")
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {"llama-bpe": WORDS % "{1,3}", "qwen2": WORDS % ""}


def published(pre):
    """The pre-tokenizer that models of this name publish; None: as transformers loads it."""
    if pre in DIGITS:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    if pre in SPLITS:
        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    return None


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)


def texts_of(folder):
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8", newline="") as file:
            whole = file.read()
        yield whole
        if name.endswith(".json"):
            yield from strings_of(json.loads(whole))
        elif name.endswith(".jsonl"):
            for line in whole.splitlines():
                if line.strip():
                    yield from strings_of(json.loads(line))
        else:
            yield from whole.splitlines(keepends=True)
            yield from whole.splitlines()


def torture(specials):
    points = [chr(i) for i in range(1, 0x110000) if not 0xD800 <= i < 0xE000]
    for i in range(0, len(points), 64):  # every code point, beside its neighbours and beside ASCII
        some = points[i : i + 64]
        yield "".join(some)
        yield "".join(" " + c + c + "a" + c + "1 " + c for c in some)
    dice = random.Random(1)
    by_class = {}
    for c in points[:0x32000]:
        by_class.setdefault(unicodedata.category(c)[0], []).append(c)
    classes = sorted(by_class)
    blanks = [" ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u180e", "\u0085", "\u2028"]
    pieces = blanks + ["'s", "'LL", "'\u017f", "don't", "1", "23456", "\u00bd", "x" * 40, "e\u0301"]
    pieces += ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u0639\u0631"]
    pieces += ["\u65e5\u672c", "\u0e44\u0e17\u0e22", "\x01", "\x7f", "...", "!?", "\ufeff"]
    pieces += specials + [s[:-1] for s in specials] + ["<", "<|", "|>"]
    for _ in range(20000):
        text = ""
        for _ in range(dice.randrange(1, 30)):
            if dice.random() < 0.5:
                text += dice.choice(pieces)
            else:
                text += dice.choice(by_class[dice.choice(classes)])
        yield text
    for c in (" ", "\n", "a", "1", "-", "\u00e9", "\u65e5", "\u3000"):
        for size in (1000, 100000):
            yield c * size
            yield "x" + c * size + "y"


def oedit_ids(binary, model, texts):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    command = [binary, "tokenize", "-m", model, "--ids", "--jsonl"]
    done = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True)
    answers = done.stdout.decode().split("\n")[:-1]
    if len(answers) != len(texts):
        sys.exit(f"got {len(answers)} lines for {len(texts)} texts")
    return [[int(word) for word in line.split()] for line in answers]


def wanted(tokenizer, batch):
    if isinstance(tokenizer, Tokenizer):
        return [e.ids for e in tokenizer.encode_batch(batch)]  # as oedit: with BOS
    return tokenizer(batch, add_special_tokens=False)["input_ids"]


def compare(what, texts, ours, tokenizer):
    differences = tokens = 0
    for start in range(0, len(texts), 4096):
        batch = texts[start : start + 4096]
        theirs = wanted(tokenizer, batch)
        for text, a, b in zip(batch, ours[start : start + 4096], theirs):
            tokens += len(b)
            if a != b:
                differences += 1
                if differences <= 5:
                    at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), 0)
                    print(f"  {text[:80]!r}: at token {at}", end=" ")
                    print(f"got {a[at:at + 8]}, wanted {b[at:at + 8]}")
    print(f"{what}: {len(texts)} texts, {tokens} tokens, {differences} differ")
    return differences


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    model, binary, folder = sys.argv[1:4]
    part = int(sys.argv[4]) if len(sys.argv) == 5 else 1
    if os.path.isdir(model):
        tokenizer = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
        specials = [t.content for t in tokenizer.get_added_tokens_decoder().values()][-20:]
        data = list(dict.fromkeys(texts_of(folder)))[::part]
        differences = compare("data", data, oedit_ids(binary, model, data), tokenizer)
        hard = list(torture(specials))[::part]
        differences += compare("hard text", hard, oedit_ids(binary, model, hard), tokenizer)
        sys.exit(1 if differences else 0)
    field = GGUFReader(model).fields.get("tokenizer.ggml.pre")
    pre = field.contents() if field else ""
    place, name = os.path.split(os.path.abspath(model))
    tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=name)
    specials = [str(token) for token in tokenizer.added_tokens_decoder.values()][:20]
    data = list(dict.fromkeys(texts_of(folder)))
    data_ids = oedit_ids(binary, model, data)
    hard = list(torture(specials))
    hard_ids = oedit_ids(binary, model, hard)
    if published(pre):
        compare(f"data, transformers' GGUF loader without '{pre}' (for information)", data,
                data_ids, tokenizer)
        tokenizer.backend_tokenizer.pre_tokenizer = published(pre)
    differences = compare("data", data, data_ids, tokenizer)
    differences += compare("hard text", hard, hard_ids, tokenizer)
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
