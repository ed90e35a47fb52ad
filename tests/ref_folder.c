#include "ref_folder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char hf_config_text[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", "
    "\"num_hidden_layers\": 2, \"hidden_size\": 8, \"intermediate_size\": 12, "
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"vocab_size\": 262, "
    "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", "
    "\"tie_word_embeddings\": true, \"bos_token_id\": 256, \"eos_token_id\": [257, 256], "
    "\"rope_theta\": 5000, \"torch_dtype\": \"float32\"}";

void hf_put(const char *folder, const char *name, const char *text, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(text, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        abort();
    }
}

void hf_put_shard(const char *folder, const char *name, const char *header, const uint8_t *data,
                  size_t size)
{
    uint64_t length = strlen(header);
    char *all = malloc(8 + length + size);
    if (!all) abort();
    memcpy(all, &length, 8);
    memcpy(all + 8, header, length);
    if (size) memcpy(all + 8 + length, data, size);
    hf_put(folder, name, all, 8 + length + size);
    free(all);
}

struct writing {
    char *header, *at;
    size_t floats;
};

static void tensor(struct writing *w, const char *name, uint32_t rows, uint32_t cols)
{
    size_t count = (size_t)cols * (rows ? rows : 1);
    char shape[40];
    if (rows)
        snprintf(shape, sizeof shape, "%u, %u", rows, cols);
    else
        snprintf(shape, sizeof shape, "%u", cols);
    w->at += sprintf(w->at, "%s\"%s\": {\"dtype\": \"F32\", \"shape\": [%s], \"data_offsets\": "
                            "[%zu, %zu]}", w->at[-1] == '{' ? "" : ", ", name, shape,
                     4 * w->floats, 4 * (w->floats + count));
    w->floats += count;
}

char *hf_header(uint32_t first, uint32_t last, uint8_t **data, size_t *size)
{
    struct writing w = {.header = calloc(1, 1 << 14)};
    if (!w.header) abort();
    w.at =
        w.header + sprintf(w.header, "{\"__metadata__\": {\"format\": \"pt\", \"mine\": \"kept\"}");
    if (first == 0) tensor(&w, "model.embed_tokens.weight", HF_VOCAB, HF_DIM);
    for (uint32_t layer = first; layer < last; layer++) {
        char name[64];
#define NAME(tail) (snprintf(name, sizeof name, "model.layers.%u." tail ".weight", layer), name)
        tensor(&w, NAME("input_layernorm"), 0, HF_DIM);
        tensor(&w, NAME("post_attention_layernorm"), 0, HF_DIM);
        tensor(&w, NAME("self_attn.q_proj"), HF_HEADS * HF_SIZE, HF_DIM);
        tensor(&w, NAME("self_attn.k_proj"), HF_KV * HF_SIZE, HF_DIM);
        tensor(&w, NAME("self_attn.v_proj"), HF_KV * HF_SIZE, HF_DIM);
        tensor(&w, NAME("self_attn.o_proj"), HF_DIM, HF_HEADS * HF_SIZE);
        tensor(&w, NAME("mlp.gate_proj"), HF_FFN, HF_DIM);
        tensor(&w, NAME("mlp.up_proj"), HF_FFN, HF_DIM);
        tensor(&w, NAME("mlp.down_proj"), HF_DIM, HF_FFN);
#undef NAME
    }
    if (first == 0) tensor(&w, "model.norm.weight", 0, HF_DIM);
    strcpy(w.at, "}");
    *size = 4 * w.floats;
    *data = malloc(*size);
    if (!*data) abort();
    for (size_t i = 0; i < w.floats; i++) {
        float value = (float)(i % 97) / 97 - 0.4f;
        memcpy(*data + 4 * i, &value, 4);
    }
    return w.header;
}

// Every byte as byte-level BPE writes it, two merges, two special tokens.
const char *hf_tokenizer_make(void)
{
    static char text[1 << 14];
    if (text[0]) return text;
    char *at = text + sprintf(text, "{\"added_tokens\": [{\"id\": 256, \"content\": \"<s>\", "
        "\"special\": true}, {\"id\": 257, \"content\": \"</s>\", \"special\": true}], "
        "\"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": "
        "false, \"use_regex\": true}, \"post_processor\": {\"type\": \"TemplateProcessing\", "
        "\"single\": [{\"SpecialToken\": {\"id\": \"<s>\"}}, {\"Sequence\": {\"id\": \"A\"}}], "
        "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [256]}}}, \"model\": {\"type\": "
        "\"BPE\", \"vocab\": {");
    for (unsigned byte = 0, spare = 256; byte < 256; byte++) {
        bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        unsigned point = itself ? byte : spare++;
        at += sprintf(at, "\"\\u%04x\": %u, ", point, byte);
    }
    sprintf(at, "\"th\": 258, \"the\": 259, \"\\u0120the\": 260}, \"merges\": [\"t h\", [\"th\", "
                "\"e\"], \"\\u0120 the\"]}}");
    return text;
}

void hf_folder(const char *folder)
{
    uint8_t *data;
    size_t size;
    char *header = hf_header(0, HF_LAYERS, &data, &size);
    const char *tokenizer = hf_tokenizer_make();
    hf_put(folder, "config.json", hf_config_text, strlen(hf_config_text));
    hf_put(folder, "tokenizer.json", tokenizer, strlen(tokenizer));
    hf_put_shard(folder, "model.safetensors", header, data, size);
    free(header);
    free(data);
}
