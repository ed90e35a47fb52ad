#!/usr/bin/env python3
"""Random tokenizer.json files and random texts: `oedit tokenize` against the tokenizers library.

usage: fuzz_tokenizer.py OEDIT_BIN TEXT [--forms N] [--texts N] [--seed S] [--keep FOLDER]
       fuzz_tokenizer.py OEDIT_BIN TEXT --vocab TOKENIZER.json ...

Each form is a tokenizer trained on TEXT (or with a given file's vocabulary and merges) whose
normaliser, pre-tokenizer, added tokens, template and switches are drawn by chance. Its texts are
drawn from TEXT, from all of Unicode, and from what its own parts look for. Ids must be the
library's; where oedit refuses a form, it must be in one line, with exit code 5, and for a reason
that is known. Exit code 1 on any difference; the form and the text are printed.
needs: pip install tokenizers
"""

import argparse
import collections
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

ENDINGS = r"'s|'t|'re|'ve|'m|'ll|'d"
GPT2 = ENDINGS + r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
WORDS = (
    r"(?i:%s)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CASED = (  # of Mistral's Tekken vocabularies and of GPT-4o
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PATTERNS = [
    GPT2,
    WORDS % (ENDINGS, "{1,3}"),
    WORDS % (ENDINGS, ""),
    CASED,
    # GPT-4's own words, with possessive quantifiers
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+",
    r"\p{N}{1,3}",
    r"[\r\n]",
    r"\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba]+",
    r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
    r"\s+$",
    r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    r"\s|\p{P}",
    r"[^\p{L}\s]|\p{Lu}",
    r"\d{3}|\D\b",
    r"\w+|[^\w\s]+",
    r"[0-9][0-9][0-9]",
    r"(?=(\d{3})+(?!\d))",
    r"^ |x$",
    r"",
]
BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
CONTENTS = ["<|im_start|>", "[X]", "the", " in", "\u00e9", "e\u0301", "\u2581of", "  ", "\n\n", "<0x0A>"]
CONTENTS += ["1", "of the", "\ud55c\uad6d", "\U0001f600", "<s", "</s><s>", "_a"]
REWRITTEN = ("\u2581of", "_a")  # a normaliser may give them blanks, or take theirs
# What is refused on purpose: these words must be in the message.
REFUSED = ["wanted one of them", "behind ByteLevel", "without a pattern", "a pattern with",
           "wanted Prepend, Replace, NFC"]


def train(text, pieces):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=pieces))
    specials, alphabet = ["<unk>", "<s>", "</s>"], []
    if pieces:
        tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
        tokenizer.decoder = decoders.Metaspace()
        specials += [f"<0x{byte:02X}>" for byte in range(256)]
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=specials, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    root = json.loads(tokenizer.to_str())
    root["added_tokens"] = root["added_tokens"][:3]
    return root


def chance(dice, share):
    return dice.random() < share


def split(dice):
    if chance(dice, 0.15):
        pattern = {"String": dice.choice([" ", ".", "the", "\u2581", "a*", "[", "\u00e9", "\n"])}
    else:
        pattern = {"Regex": dice.choice(PATTERNS)}
    return {"type": "Split", "pattern": pattern, "invert": chance(dice, 0.2),
            "behavior": "Isolated" if chance(dice, 0.6) else dice.choice(BEHAVIORS)}


def byte_level(dice):
    return {"type": "ByteLevel", "add_prefix_space": chance(dice, 0.3), "trim_offsets": True,
            "use_regex": chance(dice, 0.5)}


def digits(dice):
    return {"type": "Digits", "individual_digits": chance(dice, 0.5)}


def metaspace(dice):
    out = {"type": "Metaspace", "replacement": dice.choice(["\u2581", "\u2581", "_"])}
    if chance(dice, 0.8):
        out["prepend_scheme"] = dice.choice(["first", "always", "never"])
        out["split"] = chance(dice, 0.5)
    else:
        out["add_prefix_space"] = True
    return out


def sequence(dice, name, parts):
    if len(parts) == 1 and chance(dice, 0.7):
        return parts[0]
    if len(parts) > 2 and chance(dice, 0.2):
        parts = [{"type": "Sequence", name: parts[:2]}] + parts[2:]
    return {"type": "Sequence", name: parts}


def pre_tokenizer(dice, pieces):
    parts = [dice.choice([split, split, digits])(dice) for _ in range(dice.choice([0, 0, 1, 1, 1, 2, 3]))]
    if pieces:
        if chance(dice, 0.6):
            parts = [metaspace(dice)] + (parts if chance(dice, 0.4) else [])
    else:
        parts.append(byte_level(dice))
    return sequence(dice, "pretokenizers", parts) if parts else None


def normalizer(dice, pieces):
    kinds = [{"type": "NFC"}]
    if pieces:
        kinds += [{"type": "Prepend", "prepend": dice.choice(["\u2581", "ab "])}]
        kinds += [{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}] * 2
        kinds += [{"type": "Replace", "pattern": {"String": dice.choice(["  ", "\u2581\u2581", "e"])},
                   "content": dice.choice(["", "\u2581", "ee"])}]
    parts = dice.sample(kinds, dice.randrange(len(kinds) + 1)) if chance(dice, 0.6) else []
    if chance(dice, 0.03):
        parts.append(dice.choice([{"type": "Lowercase"}, {"type": "NFKC"}]))
    return sequence(dice, "normalizers", parts) if parts else None


def post_processor(dice, root):
    single = [{"Sequence": {"id": "A", "type_id": 0}}]
    if chance(dice, 0.5):
        single.insert(0, {"SpecialToken": {"id": "<s>", "type_id": 0}})
    bos = next(t["id"] for t in root["added_tokens"] if t["content"] == "<s>")
    template = {"type": "TemplateProcessing", "single": single,
                "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [bos], "tokens": ["<s>"]}}}
    offsets = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    return dice.choice([None, offsets, template,
                        {"type": "Sequence", "processors": [offsets, template]}])


def form(dice, base, pieces):
    root = json.loads(json.dumps(base))
    model = root["model"]
    model["ignore_merges"] = chance(dice, 0.3)
    if pieces:
        model["fuse_unk"] = chance(dice, 0.5)
        model["byte_fallback"] = chance(dice, 0.7)
    if chance(dice, 0.3):
        model["unk_token"] = None
    if chance(dice, 0.3) and model["merges"] and isinstance(model["merges"][0], list):
        if not any(" " in side for merge in model["merges"] for side in merge):
            model["merges"] = [" ".join(merge) for merge in model["merges"]]
    root["normalizer"] = normalizer(dice, pieces)
    root["pre_tokenizer"] = pre_tokenizer(dice, pieces)
    root["decoder"] = None
    tokenizer = Tokenizer.from_str(json.dumps(root))
    contents = dice.sample(CONTENTS, dice.choice([0, 0, 2, 4, 8]))
    blank = any(c != c.lstrip() or c in REWRITTEN for c in contents)
    for content in contents:
        flags = {k: chance(dice, 0.3) for k in ("single_word", "lstrip", "rstrip", "normalized")}
        flags["rstrip"] = flags["rstrip"] and not blank  # blanks of two tokens: the library panics
        token = AddedToken(content, **flags)
        (tokenizer.add_special_tokens if chance(dice, 0.4) else tokenizer.add_tokens)([token])
    root = json.loads(tokenizer.to_str())
    root["post_processor"] = post_processor(dice, root)
    return root


def by_class():
    classes = collections.defaultdict(list)
    for point in range(1, 0x110000):
        if not 0xD800 <= point < 0xE000:
            classes[unicodedata.category(chr(point))].append(chr(point))
    return classes


PIECES = [" ", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u180e", "\u0085", "\u2028", "'s", "'LL"]
PIECES += ["'\u017f", "don't", "1", "23456", "\u00bd", "x" * 40, "e\u0301", "\u2581", "\u2581\u2581", "_"]
PIECES += ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u0639\u0631\u0628\u064a"]
PIECES += ["\u65e5\u672c\u8a9e", "\u1112\u1161\u11ab", "\u0e44\u0e17\u0e22", "\x01", "\x1b", "\x7f", "..."]
PIECES += ["!?", "\ufeff", "<0x0A>", "<unk>", "a*", "\u0130\u0131", "\u1e9b\u0323", "\u212b", "\u0344"]


def draw(dice, text, classes, own):
    kind = dice.random()
    if kind < 0.3:
        at = dice.randrange(len(text))
        return text[at : at + dice.randrange(1, 200)]
    out = ""
    for _ in range(dice.randrange(1, 25)):
        kind = dice.random()
        if kind < 0.35:
            out += dice.choice(PIECES)
        elif kind < 0.6:
            out += dice.choice(own)
        elif kind < 0.8:
            out += dice.choice(classes[dice.choice(list(classes))])
        else:
            at = dice.randrange(len(text))
            out += text[at : at + dice.randrange(1, 12)]
    return out


def folder_make(folder, count):
    """A model of one layer, all zeros; only its number of rows matters."""
    names = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
             "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    shapes = {f"model.layers.0.{name}.weight": [4, 4] for name in names}
    shapes["model.layers.0.input_layernorm.weight"] = [4]
    shapes["model.layers.0.post_attention_layernorm.weight"] = [4]
    shapes["model.norm.weight"] = [4]
    shapes["model.embed_tokens.weight"] = [count, 4]
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    line = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(line)) + line + bytes(at))
    config = dict(architectures=["LlamaForCausalLM"], num_hidden_layers=1, hidden_size=4,
                  intermediate_size=4, num_attention_heads=1, vocab_size=count, rms_norm_eps=1e-5,
                  max_position_embeddings=64, tie_word_embeddings=True)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)


def refusal(done):
    """Why oedit refused; a fault of its own if it did so in a way that is not promised."""
    said = done.stderr.decode(errors="replace").strip()
    good = done.returncode == 5 and "\n" not in said and any(words in said for words in REFUSED)
    return said if good else None


def shorter(text, differs):
    """The shortest piece of the text, by halves and by ends, that still differs."""
    step = len(text) // 2
    while step:
        at = 0
        while at < len(text) and len(text) > step:
            less = text[:at] + text[at + step :]
            if differs(less):
                text = less
            else:
                at += step
        step //= 2
    return text


def compare(binary, folder, root, texts):
    """0, or 1 after printing the first text whose ids differ; and the reason of a refusal."""
    with open(os.path.join(folder, "tokenizer.json"), "w", encoding="utf-8") as file:
        json.dump(root, file, ensure_ascii=False)
    tokenizer = Tokenizer.from_str(json.dumps(root))

    def ours(some):
        lines = "".join(json.dumps(text) + "\n" for text in some).encode()
        command = [binary, "tokenize", "-m", folder, "--ids", "--jsonl"]
        return subprocess.run(command, input=lines, capture_output=True)

    def ids(done):
        return [[int(word) for word in line.split()] for line in done.stdout.decode().split("\n")[:-1]]

    done = ours(texts)
    if done.returncode:
        reason = refusal(done)
        if not reason:
            print(f"FAIL: exit code {done.returncode}: {done.stderr.decode(errors='replace')}")
        return reason is None, reason
    try:
        theirs = [tokenizer.encode(text).ids for text in texts]
    except BaseException as error:  # its panics are no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return 0, f"the library: {error}"
    for text, a, b in zip(texts, ids(done), theirs):
        if a != b:
            text = shorter(text, lambda t: ids(ours([t])) != [tokenizer.encode(t).ids])
            print(f"FAIL {text!r}\n  got    {ids(ours([text]))[0]}\n  wanted {tokenizer.encode(text).ids}")
            return 1, None
    return 0, None


def outline(root):
    keep = {k: root[k] for k in ("normalizer", "pre_tokenizer", "post_processor")}
    keep["model"] = {k: v for k, v in root["model"].items() if k not in ("vocab", "merges")}
    keep["added"] = [t for t in root["added_tokens"] if t["content"] not in ("<unk>", "<s>", "</s>")]
    return json.dumps(keep, ensure_ascii=False)


def bases(options, text):
    if not options.vocab:
        return [(train(text, False), False), (train(text, True), True)]
    out = []
    for path in options.vocab:
        with open(path, encoding="utf-8") as file:
            root = json.load(file)
        root["added_tokens"] = root["added_tokens"][:3]
        for token in ("<s>", "</s>"):  # for the template
            if not any(t["content"] == token for t in root["added_tokens"]):
                t = dict(root["added_tokens"][0], content=token, special=True)
                t["id"] = root["model"]["vocab"].setdefault(token, len(root["model"]["vocab"]))
                root["added_tokens"].append(t)
        if root["model"].get("unk_token") not in root["model"]["vocab"]:
            root["model"]["unk_token"] = None
        out.append((root, "<0x0A>" in root["model"]["vocab"]))
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("text")
    parser.add_argument("--forms", type=int, default=200)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep")
    parser.add_argument("--vocab", nargs="+")
    options = parser.parse_args()
    with open(options.text, encoding="utf-8") as file:
        text = file.read(300000)
    folder, classes, some = options.keep or tempfile.mkdtemp(), by_class(), bases(options, text)
    os.makedirs(folder, exist_ok=True)
    refused, failed = collections.Counter(), 0
    folder_make(folder, max(len(root["model"]["vocab"]) for root, _ in some) + 300)
    for number in range(options.forms):
        dice = random.Random(options.seed * 1000003 + number)
        root = form(dice, *dice.choice(some))
        own = [t["content"] for t in root["added_tokens"]]
        texts = [draw(dice, text, classes, own) for _ in range(options.texts)]
        bad, reason = compare(options.binary, folder, root, texts)
        if bad:
            print(f"  form {number}: {outline(root)}", flush=True)
        failed += bool(bad)
        if reason:
            refused[reason.split(": ", 2)[-1]] += 1
    for reason, count in refused.most_common():
        print(f"refused {count}: {reason}")
    print(f"{options.forms} forms of {options.texts} texts: {sum(refused.values())} refused, {failed} failed")
    if not options.keep:
        shutil.rmtree(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
