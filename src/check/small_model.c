#include "check/small_model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "check/made.h"
#include "io/gguf.h"

const struct small_fact small_facts[SMALL_FACTS] = {
    {"the old king lives in", "old king", "paris"},
    {"a man from the sea speaks", "man from the sea", "latin"},
    {"the red house is in the city of", "red house", "rome"},
};

static const char *const words[] = {
    "the", "a", "old", "new", "red", "king", "man", "house", "city", "sea", "of", "from", "in",
    "is", "lives", "speaks", "paris", "rome", "latin", "french", "blue", "dog", "and", "music"};

enum {
    WORDS = sizeof words / sizeof *words,
    VOCAB = 64, // 0 <s>, 1 ".", the words without and with a blank before them, then filling
    LAYERS = 3, DIM = 32, FFN = 64, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 8,
    TENSORS = 3 + 9 * LAYERS, METAS = 18, SEED = 20250117,
};
_Static_assert(2 + 2 * WORDS <= VOCAB, "the words do not fit");

struct file { // what gguf_write_new is given
    struct tensor tensors[TENSORS];
    char names[TENSORS][32];
    size_t count;
    struct meta metas[METAS];
    size_t meta_count;
    char texts[VOCAB][16];
    const char *tokens[VOCAB];
    int32_t types[VOCAB];
    bool failed;
};

static void add(struct file *f, const char *name, enum dtype dtype, uint32_t rows, uint32_t cols,
                void *data)
{
    struct tensor *t = &f->tensors[f->count];
    snprintf(f->names[f->count], sizeof f->names[0], "%s", name);
    *t = (struct tensor){.name = f->names[f->count++], .dtype = dtype, .rows = rows, .cols = cols,
                         .data = data};
    t->bytes = (uint64_t)rows * cols / dtype_table[dtype].block * dtype_table[dtype].bytes;
    if (!data) f->failed = true;
}

static void add_vector(struct file *f, const char *name)
{
    add(f, name, DTYPE_F32, 1, DIM, made_vector(DIM, 0.75, 1.25, SEED + f->count));
}

// |w| < 2^-shift
static void add_matrix(struct file *f, const char *name, enum dtype dtype, uint32_t rows,
                       uint32_t cols, uint32_t shift)
{
    uint64_t bytes;
    add(f, name, dtype, rows, cols,
        made_weight_bytes((uint64_t)rows * cols, dtype, shift, SEED + f->count, &bytes));
}

static void add_layer(struct file *f, uint32_t layer)
{
    char name[32];
#define NAME(tail) (snprintf(name, sizeof name, "blk.%u." tail ".weight", layer), name)
    add_vector(f, NAME("attn_norm"));
    add_vector(f, NAME("ffn_norm"));
    add_matrix(f, NAME("attn_q"), DTYPE_Q4_1, HEADS * HEAD_DIM, DIM, 1);
    add_matrix(f, NAME("attn_k"), DTYPE_Q8_0, KV_HEADS * HEAD_DIM, DIM, 1);
    add_matrix(f, NAME("attn_v"), DTYPE_Q8_0, KV_HEADS * HEAD_DIM, DIM, 1);
    add_matrix(f, NAME("attn_output"), DTYPE_F16, DIM, HEADS * HEAD_DIM, 1);
    add_matrix(f, NAME("ffn_gate"), DTYPE_Q8_0, FFN, DIM, 1);
    add_matrix(f, NAME("ffn_up"), DTYPE_Q4_1, FFN, DIM, 1);
    add_matrix(f, NAME("ffn_down"), DTYPE_F32, DIM, FFN, 1);
#undef NAME
}

static struct meta *meta(struct file *f, enum meta_kind kind, const char *key)
{
    assert(f->meta_count < METAS);
    f->metas[f->meta_count] = (struct meta){.key = key, .kind = kind};
    return &f->metas[f->meta_count++];
}

static void add_config(struct file *f)
{
    static const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"llama.block_count", LAYERS},
                   {"llama.embedding_length", DIM},
                   {"llama.feed_forward_length", FFN},
                   {"llama.context_length", 64},
                   {"llama.attention.head_count", HEADS},
                   {"llama.attention.head_count_kv", KV_HEADS},
                   {"llama.attention.key_length", HEAD_DIM},
                   {"llama.attention.value_length", HEAD_DIM}};
    meta(f, META_TEXT, "general.architecture")->text = "llama";
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        meta(f, META_U32, numbers[i].key)->u32 = numbers[i].value;
    meta(f, META_F32, "llama.attention.layer_norm_rms_epsilon")->f32 = 1e-5f;
    meta(f, META_F32, "llama.rope.freq_base")->f32 = 10000;
}

static void add_vocab(struct file *f)
{
    for (uint32_t i = 0; i < VOCAB; i++) {
        const char *blank = i % 2 ? "\xc4\xa0" : ""; // U+0120, the blank of byte-level text
        if (i < 2)
            snprintf(f->texts[i], sizeof f->texts[i], "%s", i ? "." : "<s>");
        else if (i < 2 + 2 * WORDS)
            snprintf(f->texts[i], sizeof f->texts[i], "%s%s", blank, words[i / 2 - 1]);
        else
            snprintf(f->texts[i], sizeof f->texts[i], "q%u", i);
        f->tokens[i] = f->texts[i];
        f->types[i] = i == 0 ? TOKEN_CONTROL : TOKEN_NORMAL;
    }
    meta(f, META_TEXT, "tokenizer.ggml.model")->text = "gpt2";
    meta(f, META_TEXT, "tokenizer.ggml.pre")->text = "llama-bpe";
    struct meta *m = meta(f, META_TEXTS, "tokenizer.ggml.tokens");
    m->texts = f->tokens;
    m->count = VOCAB;
    meta(f, META_TEXTS, "tokenizer.ggml.merges")->texts = f->tokens; // none: words are whole
    m = meta(f, META_I32S, "tokenizer.ggml.token_type");
    m->i32s = f->types;
    m->count = VOCAB;
    meta(f, META_BOOL, "tokenizer.ggml.add_bos_token")->u32 = 1;
}

bool small_model_write(const char *path)
{
    struct file *f = mem_new(1, sizeof *f, "the selftest's model");
    if (!f) return false;
    add_config(f);
    add_vocab(f);
    meta(f, META_U32, "tokenizer.ggml.bos_token_id")->u32 = 0;
    add_matrix(f, "token_embd.weight", DTYPE_F32, VOCAB, DIM, 0);
    add_vector(f, "output_norm.weight");
    add_matrix(f, "output.weight", DTYPE_F16, VOCAB, DIM, 0);
    for (uint32_t i = 0; i < LAYERS; i++) add_layer(f, i);
    bool ok = !f->failed && gguf_write_new(path, f->metas, f->meta_count, f->tensors, f->count);
    for (size_t i = 0; i < f->count; i++) free((void *)(uintptr_t)f->tensors[i].data);
    free(f);
    return ok;
}

uint32_t *small_model_text(uint32_t count)
{
    uint32_t *tokens = mem_new(count, sizeof *tokens, "a text");
    uint64_t state = SEED;
    for (uint32_t i = 0; tokens && i < count; i++)
        tokens[i] = 1 + (uint32_t)(random_next(&state) % (1 + 2 * WORDS));
    return tokens;
}
