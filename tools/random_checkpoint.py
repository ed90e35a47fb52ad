#!/usr/bin/env python3
"""A checkpoint of random weights with the shapes of a real model, to try what fits and how long.

usage: random_checkpoint.py [--layers N] [--seed N] [--shard-bytes N] MODEL FORMAT OUT

MODEL: llama3-8b, mistral-7b   FORMAT: gguf, safetensors

OUT: a GGUF file of Q4_0 matrices, or a new folder with sharded BF16 safetensors, config.json and
tokenizer.json. The shapes are those of the published config.json files; --layers makes fewer
layers of the same shapes. The tokenizer is a byte-level BPE made of letter strings, with as many
tokens as the model's and BOS and EOS at its ids.

A pool of random numbers is written again and again from random places. Its length is a prime, so
that no two rows of a matrix are alike. Needs numpy, some 50 MB of memory, and the disk's speed.
"""

import argparse
import itertools
import json
import os
import string
import struct
import sys

import numpy

# config.json of meta-llama/Meta-Llama-3-8B and mistralai/Mistral-7B-v0.1 on Hugging Face.
SHAPES = {
    "llama3-8b": dict(
        arch="LlamaForCausalLM", type="llama", layers=32, dim=4096, ffn=14336, heads=32, kv=8,
        vocab=128256, context=8192, eps=1e-5, theta=500000.0, bos=128000, eos=128001, window=None,
    ),
    "mistral-7b": dict(
        arch="MistralForCausalLM", type="mistral", layers=32, dim=4096, ffn=14336, heads=32, kv=8,
        vocab=32000, context=32768, eps=1e-5, theta=10000.0, bos=1, eos=2, window=4096,
    ),
}
BLOCK, BLOCK_BYTES = 32, 18  # of Q4_0: an f16 scale and 32 nibbles, value (nibble - 8) * scale
POOL_BLOCKS = 1048583  # a prime
POOL_VALUES = 4194319  # a prime
ALIGNMENT = 32
NIBBLE_RMS = 4.637  # sqrt of the mean of (0..15 - 8)^2


def tensors(shape):
    """(GGUF name, Hugging Face name, rows, cols, rms); rows 0: a vector of ones."""
    dim, ffn = shape["dim"], shape["ffn"]
    kv = dim // shape["heads"] * shape["kv"]
    deep = (2 * shape["layers"]) ** -0.5  # keeps the stream's size from growing with the depth
    yield "token_embd.weight", "model.embed_tokens.weight", shape["vocab"], dim, 0.02
    for i in range(shape["layers"]):
        ours, theirs = f"blk.{i}.", f"model.layers.{i}."
        for name, module, rows, cols, gain in (
            ("attn_norm", "input_layernorm", 0, dim, 0),
            ("attn_q", "self_attn.q_proj", dim, dim, 1),
            ("attn_k", "self_attn.k_proj", kv, dim, 1),
            ("attn_v", "self_attn.v_proj", kv, dim, 1),
            ("attn_output", "self_attn.o_proj", dim, dim, deep),
            ("ffn_norm", "post_attention_layernorm", 0, dim, 0),
            ("ffn_gate", "mlp.gate_proj", ffn, dim, 1),
            ("ffn_up", "mlp.up_proj", ffn, dim, 1),
            ("ffn_down", "mlp.down_proj", dim, ffn, deep),
        ):
            rms = gain * cols**-0.5
            yield f"{ours}{name}.weight", f"{theirs}{module}.weight", rows, cols, rms
    yield "output_norm.weight", "model.norm.weight", 0, dim, 0
    yield "output.weight", "lm_head.weight", shape["vocab"], dim, 2 * dim**-0.5


class Pool:
    """Endless random matrices of one storage type, in pieces of at most a pool's length."""

    def __init__(self, seed):
        self.random = numpy.random.default_rng(seed)
        self.rms = None
        self.bytes = None

    def _fill(self, rms):
        raise NotImplementedError

    def write(self, file, rows, cols, rms):
        if rms != self.rms:
            self.bytes = memoryview(self._fill(rms)).cast("B")
            self.rms = rms
        units = rows * cols // self.values
        at = int(self.random.integers(self.units))
        while units:
            count = min(units, self.units - at)
            file.write(self.bytes[at * self.size : (at + count) * self.size])
            units -= count
            at = 0


class PoolQ40(Pool):
    units, values, size = POOL_BLOCKS, BLOCK, BLOCK_BYTES

    def __init__(self, seed):
        super().__init__(seed)
        self.blocks = numpy.frombuffer(
            bytearray(self.random.bytes(POOL_BLOCKS * BLOCK_BYTES)), numpy.uint8
        ).reshape(POOL_BLOCKS, BLOCK_BYTES)
        # Nibbles are -0.5 on average; scales of both signs take that away.
        self.signs = self.random.choice(numpy.array([-1, 1]), POOL_BLOCKS)

    def _fill(self, rms):
        scales = (self.signs * (rms / NIBBLE_RMS)).astype("<f2")
        self.blocks[:, :2] = scales.view(numpy.uint8).reshape(POOL_BLOCKS, 2)
        return self.blocks.reshape(-1)


class PoolBf16(Pool):
    units, values, size = POOL_VALUES, 1, 2

    def __init__(self, seed):
        super().__init__(seed)
        self.normal = self.random.standard_normal(POOL_VALUES, numpy.float32)

    def _fill(self, rms):
        words = (self.normal * numpy.float32(rms)).view(numpy.uint32)
        return ((words + 0x7FFF + (words >> 16 & 1)) >> 16).astype("<u2")


def byte_alphabet():
    """GPT-2's: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def vocabulary(shape):
    """Tokens by id, ids of the special ones, and merges."""
    blank = byte_alphabet()[32]
    letters = string.ascii_lowercase
    strings = {n: ["".join(t) for t in itertools.product(letters, repeat=n)] for n in (1, 2, 3)}

    def grow():
        for n in (2, 3):
            for text in strings[n - 1]:
                yield blank, text
            for text in strings[n]:
                yield text[:-1], text[-1]
        for text in strings[3]:
            yield blank, text
        for text in strings[3]:
            for letter in letters:
                yield text, letter

    vocab, low = shape["vocab"], shape["bos"] < 256
    special_first = 0 if low else shape["bos"]
    special_count = 3 if low else vocab - special_first
    special = {i: f"<|special_{i}|>" for i in range(special_first, special_first + special_count)}
    plain, merges = byte_alphabet(), []
    for left, right in itertools.islice(grow(), vocab - special_count - 256):
        plain.append(left + right)
        merges.append((left, right))
    if len(plain) + special_count != vocab:
        sys.exit(f"{len(plain)} tokens, wanted {vocab - special_count}")
    rest = iter(plain)
    return [special.get(i) or next(rest) for i in range(vocab)], special, merges


def text_bytes(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    """A metadata value with its type's number before it."""
    if isinstance(value, str):
        return struct.pack("<I", 8) + text_bytes(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, numpy.ndarray):
        return struct.pack("<IIQ", 9, 5, len(value)) + value.astype("<i4").tobytes()
    return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text_bytes, value))


def gguf_metadata(name, shape):
    tokens, special, merges = vocabulary(shape)
    types = numpy.array([3 if i in special else 1 for i in range(len(tokens))])
    values = {
        "general.architecture": "llama",
        "general.name": f"random weights of the shapes of {name}",
        "llama.block_count": shape["layers"],
        "llama.context_length": shape["context"],
        "llama.embedding_length": shape["dim"],
        "llama.feed_forward_length": shape["ffn"],
        "llama.attention.head_count": shape["heads"],
        "llama.attention.head_count_kv": shape["kv"],
        "llama.attention.layer_norm_rms_epsilon": shape["eps"],
        "llama.rope.freq_base": shape["theta"],
        "llama.rope.dimension_count": shape["dim"] // shape["heads"],
        "llama.vocab_size": shape["vocab"],
        "general.file_type": 2,
        "general.alignment": ALIGNMENT,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [f"{a} {b}" for a, b in merges],
        "tokenizer.ggml.bos_token_id": shape["bos"],
        "tokenizer.ggml.eos_token_id": shape["eos"],
        "tokenizer.ggml.add_bos_token": True,
    }
    if shape["window"]:
        values["llama.attention.sliding_window"] = shape["window"]
    return len(values), b"".join(text_bytes(k) + gguf_value(v) for k, v in values.items())


def gguf_write(name, shape, seed, path):
    infos, at, listed = [], 0, list(tensors(shape))
    for ours, _, rows, cols, _ in listed:
        dims = struct.pack("<IQQ", 2, cols, rows) if rows else struct.pack("<IQ", 1, cols)
        infos.append(text_bytes(ours) + dims + struct.pack("<IQ", 2 if rows else 0, at))
        at += rows * cols // BLOCK * BLOCK_BYTES if rows else 4 * cols
        at += -at % ALIGNMENT
    count, metadata = gguf_metadata(name, shape)
    pool = PoolQ40(seed)
    with open(path, "wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(listed), count) + metadata)
        file.write(b"".join(infos))
        for _, _, rows, cols, rms in listed:
            file.write(bytes(-file.tell() % ALIGNMENT))
            if rows:
                pool.write(file, rows, cols, rms)
            else:
                file.write(numpy.ones(cols, "<f4").tobytes())
        file.write(bytes(-file.tell() % ALIGNMENT))
        return file.tell()


def config_json(shape):
    config = dict(
        architectures=[shape["arch"]], model_type=shape["type"], hidden_size=shape["dim"],
        intermediate_size=shape["ffn"], num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"], num_key_value_heads=shape["kv"],
        vocab_size=shape["vocab"], max_position_embeddings=shape["context"],
        rms_norm_eps=shape["eps"], rope_theta=shape["theta"], bos_token_id=shape["bos"],
        eos_token_id=shape["eos"], hidden_act="silu", tie_word_embeddings=False,
        torch_dtype="bfloat16",
    )
    if shape["window"]:
        config["sliding_window"] = shape["window"]
    return config


def tokenizer_json(shape):
    tokens, special, merges = vocabulary(shape)
    bos = tokens[shape["bos"]]
    return dict(
        version="1.0", truncation=None, padding=None,
        added_tokens=[
            dict(id=i, content=text, single_word=False, lstrip=False, rstrip=False,
                 normalized=False, special=True)
            for i, text in special.items()
        ],
        normalizer=None,
        pre_tokenizer=dict(
            type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True
        ),
        post_processor=dict(
            type="TemplateProcessing",
            single=[
                dict(SpecialToken=dict(id=bos, type_id=0)),
                dict(Sequence=dict(id="A", type_id=0)),
            ],
            pair=[dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=1))],
            special_tokens={bos: dict(id=bos, ids=[shape["bos"]], tokens=[bos])},
        ),
        decoder=dict(type="ByteLevel", add_prefix_space=True, trim_offsets=True, use_regex=True),
        model=dict(
            type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None,
            end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
            vocab={text: i for i, text in enumerate(tokens)}, merges=list(map(list, merges)),
        ),
    )


def shards_of(shape, limit):
    """Lists of tensors, each under `limit` bytes."""
    shards, size = [[]], 0
    for _, theirs, rows, cols, rms in tensors(shape):
        need = 2 * max(rows, 1) * cols
        if shards[-1] and size + need > limit:
            shards.append([])
            size = 0
        shards[-1].append((theirs, rows, cols, rms, need))
        size += need
    return shards


def safetensors_write(shape, seed, folder, limit):
    os.mkdir(folder)
    for file, content in (
        ("config.json", config_json(shape)),
        ("tokenizer.json", tokenizer_json(shape)),
        ("generation_config.json", dict(bos_token_id=shape["bos"], eos_token_id=shape["eos"])),
    ):
        with open(os.path.join(folder, file), "w", encoding="utf-8") as out:
            json.dump(content, out, ensure_ascii=False, indent=None if "token" in file else 2)
    pool, weight_map, total = PoolBf16(seed), {}, 0
    shards = shards_of(shape, limit)
    for number, shard in enumerate(shards, 1):
        file, header, at = f"model-{number:05}-of-{len(shards):05}.safetensors", {}, 0
        for theirs, rows, cols, _, need in shard:
            header[theirs] = dict(
                dtype="BF16", shape=[rows, cols] if rows else [cols], data_offsets=[at, at + need]
            )
            weight_map[theirs] = file
            at += need
        text = json.dumps(dict(__metadata__=dict(format="pt"), **header)).encode()
        text += b" " * (-len(text) % 8)
        with open(os.path.join(folder, file), "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for _, rows, cols, rms, _ in shard:
                if rows:
                    pool.write(out, rows, cols, rms)
                else:
                    out.write(numpy.full(cols, 0x3F80, "<u2").tobytes())
        total += at
    with open(os.path.join(folder, "model.safetensors.index.json"), "w", encoding="utf-8") as out:
        json.dump(dict(metadata=dict(total_size=total), weight_map=weight_map), out, indent=2)
    return total


def main():
    parser = argparse.ArgumentParser(description="A checkpoint of random weights.")
    parser.add_argument("model", choices=SHAPES)
    parser.add_argument("format", choices=("gguf", "safetensors"))
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, help="fewer layers of the same shapes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard-bytes", type=int, default=5 * 10**9)
    args = parser.parse_args()
    shape = dict(SHAPES[args.model])
    if args.layers is not None:
        shape["layers"] = args.layers
    if os.path.exists(args.out):
        sys.exit(f"{args.out} is there already")
    if not 1 <= shape["layers"] <= SHAPES[args.model]["layers"]:
        sys.exit(f"--layers: got {shape['layers']}, wanted 1 to {SHAPES[args.model]['layers']}")
    if args.format == "gguf":
        size = gguf_write(args.model, shape, args.seed, args.out)
    else:
        size = safetensors_write(shape, args.seed, args.out, args.shard_bytes)
    print(f"wrote {args.out}: {size} bytes")


main()
