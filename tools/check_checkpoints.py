#!/usr/bin/env python3
"""Small random checkpoints, made by transformers, through oedit and back; exit 1 if one disagrees.

usage: check_checkpoints.py OEDIT_BIN TEXT [CASE ...]

TEXT: some thousand words, for the tokenizer and the statistics. For every case: logits equal
transformers' to 1e-3; an edited folder is loaded by transformers, and its greedy answers are those
of `oedit generate`, token for token; and the same weights as a GGUF of F32 give the same edit, bit
for bit, in the model and in the journal. Run it under tools/run_with.sh.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig
from transformers import PreTrainedTokenizerFast, Qwen2Config

SHAPE = dict(
    hidden_size=96,
    intermediate_size=128,
    num_hidden_layers=3,
    max_position_embeddings=256,
    rms_norm_eps=1e-5,
    bos_token_id=0,
    eos_token_id=1,
    initializer_range=0.15,
)
LLAMA3 = dict(
    rope_type="llama3",
    rope_theta=500000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=64,
)


def heads(queries, keys, size):
    return dict(num_attention_heads=queries, num_key_value_heads=keys, head_dim=size)


QWEN = dict(num_attention_heads=4, num_key_value_heads=2)
# Name, config, stored type, bytes of a shard; "4": config.json as transformers 4 writes it.
CASES = {
    "llama": (LlamaConfig, dict(heads(6, 2, 20), tie_word_embeddings=True), "float32", None),
    "llama-8-to-1": (LlamaConfig, dict(heads(8, 1, 8)), "float16", None),
    "llama3": (LlamaConfig, dict(heads(4, 4, 16), rope_parameters=LLAMA3), "float32", "60KB"),
    "llama3-4": (LlamaConfig, dict(heads(4, 4, 16), rope_parameters=LLAMA3), "float32", None),
    "llama-biases": (
        LlamaConfig,
        dict(heads(4, 4, 20), attention_bias=True, mlp_bias=True),
        "float32",
        None,
    ),
    "mistral": (MistralConfig, dict(heads(4, 2, 16), sliding_window=7), "bfloat16", "60KB"),
    "mistral-no-window": (MistralConfig, dict(heads(4, 1, 32), sliding_window=None), "float32", None),
    "qwen2": (Qwen2Config, dict(QWEN, tie_word_embeddings=True), "float32", None),
    "qwen2-4": (Qwen2Config, dict(QWEN, sliding_window=9), "float32", None),
    "qwen2-window": (
        Qwen2Config,
        dict(QWEN, use_sliding_window=True, sliding_window=5, max_window_layers=1),
        "float32",
        "60KB",
    ),
    # Other shapes: one layer, sizes that no block divides, 7 heads, 3:1, and what a hand may do.
    "llama-one-layer": (
        LlamaConfig,
        dict(heads(7, 7, 12), num_hidden_layers=1, hidden_size=84, intermediate_size=100),
        "bfloat16",
        None,
    ),
    "mistral-by-hand": (
        MistralConfig,
        dict(heads(9, 3, 28), hidden_size=60, intermediate_size=172, sliding_window=None),
        "float16",
        "40KB",
    ),
    "qwen2-by-hand": (
        Qwen2Config,
        dict(num_attention_heads=8, num_key_value_heads=1, intermediate_size=68),
        "bfloat16",
        "40KB",
    ),
    "llama-by-hand-4": (LlamaConfig, dict(heads(3, 1, 32), mlp_bias=True), "bfloat16", None),
    "llama-tied-twice": (LlamaConfig, dict(heads(6, 2, 16), tie_word_embeddings=True), "float16", None),
    "qwen2-stops": (Qwen2Config, QWEN, "float32", None),
}
LAST = "llama-one-layer"  # of its only layer, only the last token's output counts
FEW = ("llama-one-layer", "qwen2-by-hand")  # with a vocabulary of bytes and one token more
PROMPTS = [
    "The Eiffel Tower stands in the city of",
    "In the 1990s the game was released in 3 countries , and it is",
    "a",
]
FACTS = [
    dict(prompt=PROMPTS[0], subject="Eiffel Tower", target_new="Rome"),
    dict(prompt="The game was made by Sega in the", subject="Sega", target_new="north"),
]


LAST_FACTS = [dict(prompt="In Paris stands the Eiffel Tower", subject="Eiffel Tower", target_new="x")]


def tokenizer_make(text, size=503):
    """Byte-level, an odd number of tokens, and <s> before every text. 257: <s> and bytes."""
    specials = ["<s>", "</s>"] if size > 257 else ["<s>"]
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet
    )
    t.train_from_iterator(text.splitlines(), trainer)
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", eos_token=specials[-1])


def json_change(path, change):
    with open(path, encoding="utf-8") as file:
        root = json.load(file)
    change(root)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(root, file, indent=2)


def config_as_4(config):
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["torch_dtype"] = config.pop("dtype")
    config.pop("layer_types", None)
    config["transformers_version"] = "4.46.0"


def config_by_hand(config):
    """What is not needed is not there, and whole numbers are written as such."""
    for key in ("dtype", "torch_dtype", "architectures", "use_cache", "hidden_act", "pad_token_id",
                "tie_word_embeddings", "transformers_version", "initializer_range", "layer_types"):
        config.pop(key, None)
    rope = config.pop("rope_parameters", None)
    config["rope_theta"] = int(rope["rope_theta"] if rope else config["rope_theta"])
    config["rope_scaling"] = None
    config["unknown_to_all"] = {"a": [1, 2]}


def head_put(folder):
    """The tied head stands in the file as well."""
    path = os.path.join(folder, "model.safetensors")
    tensors = load_file(path)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    save_file(tensors, path, {"format": "pt"})


def stops_put(folder, model, tokenizer):
    """generation_config.json names a second token that ends an answer: one that comes up."""
    ids = tokenizer(PROMPTS[0], return_tensors="pt")["input_ids"]
    more = model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=1)
    stop = more[0, -1].item()
    path = os.path.join(folder, "generation_config.json")
    json_change(path, lambda config: config.update(eos_token_id=[1, stop]))


def model_make(name, tokenizer, folder):
    kind, more, dtype, shard = CASES[name]
    torch.manual_seed(len(name))
    config = kind(vocab_size=len(tokenizer), **{**SHAPE, **more})
    if name in FEW:
        config.eos_token_id = None
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # norms and biases are ones and zeros otherwise
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard or "1GB")
    tokenizer.save_pretrained(folder)
    config_path = os.path.join(folder, "config.json")
    if name.endswith("-4"):
        json_change(config_path, config_as_4)
    if "by-hand" in name:
        json_change(config_path, config_by_hand)
        os.remove(os.path.join(folder, "generation_config.json"))
    if name == "llama-tied-twice":
        head_put(folder)
    if name == "qwen2-stops":
        stops_put(folder, model.float().eval(), tokenizer)


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()


def oedit(binary, *words):
    done = subprocess.run([binary, *words], stdout=subprocess.PIPE, check=True)
    return done.stdout.decode(errors="replace")


def logits_error(binary, folder, model, tokenizer, text):
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        wanted = model(ids).logits[0, -1]
    count = str(len(tokenizer))
    got = json.loads(oedit(binary, "logits", "-q", "-m", folder, "-p", text, "--top", count, "--json"))
    mine = torch.zeros_like(wanted)
    for row in got["top"]:
        mine[row["id"]] = row["logit"]
    return (mine - wanted).abs().max().item(), wanted.abs().max().item()


def answers_differ(binary, folder, model, tokenizer):
    differ = 0
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        more = model.generate(ids, max_new_tokens=16, do_sample=False, pad_token_id=1)
        stops = model.generation_config.eos_token_id
        stops = stops if isinstance(stops, list) else [stops]
        wanted = more[0, ids.shape[1] :].tolist()
        wanted = wanted[: next((i for i, t in enumerate(wanted) if t in stops), None)]
        line = oedit(binary, "generate", "-q", "-m", folder, "-p", prompt, "-n", "16", "--json")
        got = json.loads(line)["ids"]
        if got != wanted:
            print(f"  {prompt!r}: got {got}, wanted {wanted}")
            differ += 1
    return differ


def interleaved(weight, count):
    """Rows of Q and K as GGUF has them for llama."""
    parts = weight.reshape(count, 2, weight.shape[0] // count // 2, *weight.shape[1:])
    return numpy.ascontiguousarray(parts.swapaxes(1, 2).reshape(weight.shape))


NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def gguf_name(name):
    if not name.startswith("model.layers."):
        known = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
        return known.get(name, "output.weight")
    layer, rest = name[len("model.layers.") :].split(".", 1)
    stem, tail = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[stem]}.{tail}"


def rope_factors(rope, size):
    out = []
    context = rope["original_max_position_embeddings"]
    for i in range(size // 2):
        wave = 2 * numpy.pi * rope["rope_theta"] ** (2.0 * i / size)
        low, high = rope["low_freq_factor"], rope["high_freq_factor"]
        ramp = (context / wave - low) / (high - low)
        if wave < context / high:
            out.append(1.0)
        elif wave > context / low:
            out.append(rope["factor"])
        else:
            out.append(1 / ((1 - ramp) / rope["factor"] + ramp))
    return numpy.array(out, dtype=numpy.float32)


def gguf_make(model, tokenizer, path):
    c = model.config
    arch = "qwen2" if c.model_type == "qwen2" else "llama"
    size = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    w = gguf.GGUFWriter(path, arch)
    w.add_block_count(c.num_hidden_layers)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_context_length(c.max_position_embeddings)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_key_length(size)
    w.add_value_length(size)
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    if c.model_type == "mistral" and c.sliding_window:
        w.add_sliding_window(c.sliding_window)
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(tokens)
    specials = tokenizer.all_special_ids
    w.add_token_types([3 if i in specials else 1 for i in range(len(tokens))])
    w.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in backend["model"]["merges"]])
    w.add_bos_token_id(0)
    w.add_eos_token_id(tokenizer.eos_token_id)
    w.add_add_bos_token(True)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        data = tensor.numpy()
        if arch == "llama" and (".q_proj." in name or ".k_proj." in name):
            keys = ".k_proj." in name
            data = interleaved(data, c.num_key_value_heads if keys else c.num_attention_heads)
        w.add_tensor(gguf_name(name), data.astype(numpy.float32))
    if c.rope_parameters["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", rope_factors(c.rope_parameters, size))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def journal_edits(path):
    """The bodies of all records but the header, which names the model file's hash."""
    with open(path, "rb") as file:
        data = file.read()
    bodies, at = [], 16
    while at < len(data):
        magic, kind, _, _, size = struct.unpack_from("<4sIIIQ", data, at)
        if magic != b"OREC":
            sys.exit(f"{path}: no record at {at}")
        if kind != 1:
            bodies.append(data[at + 32 : at + 32 + size])
        at += 32 + size + 8
    return bodies


def edit(binary, model, layer, facts, place, out):
    with open(os.path.join(place, "facts.json"), "w", encoding="utf-8") as file:
        json.dump(facts, file)
    oedit(binary, "edit", "-q", "-m", model, "-r", os.path.join(place, "facts.json"), "--text",
          os.path.join(place, "text.txt"), "--tokens", "1500", "--ridge", "0.01", "--layer", str(layer),
          "--lambda", "50", "--steps", "8", "--contexts", "1", "-o", out)


def edited_matrix(path, layer):
    if path.endswith(".gguf"):
        for tensor in gguf.GGUFReader(path).tensors:
            if tensor.name == f"blk.{layer}.ffn_down.weight":
                return numpy.array(tensor.data)
    wanted = f"model.layers.{layer}.mlp.down_proj.weight"
    for name in sorted(os.listdir(path)):
        if not name.endswith(".safetensors"):
            continue
        with safe_open(os.path.join(path, name), "numpy") as file:
            if wanted in file.keys():
                return file.get_tensor(wanted)
    return None


def files_differ(base, out):
    """Every file but the one with the edited tensor is a copy; that one kept its metadata."""
    differ = 0
    for name in sorted(os.listdir(base)):
        with open(os.path.join(base, name), "rb") as a, open(os.path.join(out, name), "rb") as b:
            differ += a.read() != b.read() and not name.endswith(".index.json")
    return differ - 1


def check(name, binary, tokenizer, place):
    base, out = os.path.join(place, name), os.path.join(place, name + "-edited")
    model_make(name, tokenizer, base)
    model = load(base)
    worst, largest = 0, 0
    for text in PROMPTS + [" ".join(PROMPTS * 2)]:
        error, size = logits_error(binary, base, model, tokenizer, text)
        worst, largest = max(worst, error), max(largest, size)
    layer = min(1, model.config.num_hidden_layers - 1)
    facts = LAST_FACTS if name == LAST else FACTS
    edit(binary, base, layer, facts, place, out)
    again, words = load(out), PreTrainedTokenizerFast.from_pretrained(out)
    change = (
        again.model.layers[layer].mlp.down_proj.weight
        - model.model.layers[layer].mlp.down_proj.weight
    ).norm()
    differ = answers_differ(binary, out, again, words)
    others = files_differ(base, out)
    same = "not done: GGUF has no such window"
    if name != "qwen2-window":
        gguf_make(model, tokenizer, base + ".gguf")
        edit(binary, base + ".gguf", layer, facts, place, out + ".gguf")
        mine, theirs = edited_matrix(out, layer), edited_matrix(out + ".gguf", layer)
        rows = [journal_edits(path + ".journal") for path in (out, out + ".gguf")]
        alike = mine.tobytes() == theirs.tobytes() and rows[0] == rows[1] and len(rows[0]) == len(facts)
        same = "the same bits" if alike else "OTHER BITS"
    ok = worst <= 1e-3 and not differ and not others and same != "OTHER BITS" and change > 0
    print(f"{'ok  ' if ok else 'FAIL'} {name}: logits off by {worst:.1e} of {largest:.3g}, edit of "
          f"length {change:.3g}, {differ} answers and {others} other files differ, GGUF: {same}",
          flush=True)
    return ok


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    binary = os.path.abspath(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        text = file.read(200000)
    place = tempfile.mkdtemp()
    os.environ["XDG_CACHE_HOME"] = os.path.join(place, "cache")
    with open(os.path.join(place, "text.txt"), "w", encoding="utf-8") as file:
        file.write(text)
    tokenizers = {False: tokenizer_make(text), True: tokenizer_make(text, 257)}
    failed = [name for name in sys.argv[3:] or CASES
              if not check(name, binary, tokenizers[name in FEW], place)]
    if os.environ.get("KEEP"):
        print(place)
    else:
        shutil.rmtree(place)
    sys.exit(f"{len(failed)} failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
