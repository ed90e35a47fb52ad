#include "ref_made.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t dice_state = 1;

uint32_t dice(void)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 17;
    dice_state ^= dice_state << 5;
    return dice_state;
}

void made_tensor(struct made *made, const char *name, enum dtype dtype, uint64_t rows,
                 uint64_t cols)
{
    struct tensor *tensor = &made->tensors[made->tensor_count];
    snprintf(made->names[made->tensor_count], sizeof made->names[0], "%s", name);
    const struct dtype_info *info = &dtype_table[dtype];
    *tensor = (struct tensor){.name = made->names[made->tensor_count++],
                              .dtype = dtype,
                              .rows = rows,
                              .cols = cols,
                              .data = made->data + made->used,
                              .bytes = cols / info->block * info->bytes * rows};
    for (uint64_t i = 0; i < tensor->bytes; i++) made->data[made->used++] = (uint8_t)dice();
    assert(made->used <= sizeof made->data);
}

void made_u32(struct made *made, const char *key, uint32_t value)
{
    made->metas[made->meta_count++] = (struct meta){.key = key, .kind = META_U32, .u32 = value};
}

void made_text(struct made *made, const char *key, const char *value)
{
    made->metas[made->meta_count++] = (struct meta){.key = key, .kind = META_TEXT, .text = value};
}

static void made_metas(struct made *made)
{
    static const char *const tokens[VOCAB] = {"<s>", "a", "b", "c", "ab", "abc", "!", "?", "x"};
    static const char *const merges[] = {"a b", "ab c"};
    static const int32_t types[VOCAB] = {3, 1, 1, 1, 1, 1, 1, 1, 4};
    made_text(made, "general.architecture", "llama");
    made_u32(made, "llama.block_count", LAYERS);
    made_u32(made, "llama.embedding_length", DIM);
    made_u32(made, "llama.feed_forward_length", FFN);
    made_u32(made, "llama.context_length", 64);
    made_u32(made, "llama.attention.head_count", HEADS);
    made_u32(made, "llama.attention.head_count_kv", KV);
    made->metas[made->meta_count++] = (struct meta){
        .key = "llama.attention.layer_norm_rms_epsilon", .kind = META_F32, .f32 = 1e-5f};
    made->metas[made->meta_count++] =
        (struct meta){.key = "llama.rope.freq_base", .kind = META_F32, .f32 = 5000};
    made_text(made, "oedit.note", "old");
    made_text(made, "tokenizer.ggml.model", "gpt2");
    made_text(made, "tokenizer.ggml.pre", "smollm");
    made->metas[made->meta_count++] = (struct meta){
        .key = "tokenizer.ggml.tokens", .kind = META_TEXTS, .texts = tokens, .count = VOCAB};
    made->metas[made->meta_count++] = (struct meta){
        .key = "tokenizer.ggml.merges", .kind = META_TEXTS, .texts = merges, .count = 2};
    made->metas[made->meta_count++] = (struct meta){
        .key = "tokenizer.ggml.token_type", .kind = META_I32S, .i32s = types, .count = VOCAB};
    made_u32(made, "tokenizer.ggml.bos_token_id", 0);
    made->metas[made->meta_count++] =
        (struct meta){.key = "tokenizer.ggml.add_bos_token", .kind = META_BOOL, .u32 = 1};
}

struct made *made_new(void)
{
    struct made *made = calloc(1, sizeof *made);
    assert(made);
    dice_state = 1;
    made_metas(made);
    made_tensor(made, "token_embd.weight", DTYPE_F16, VOCAB, DIM);
    for (int layer = 0; layer < LAYERS; layer++) {
        char name[40];
#define LAYER(tail) (snprintf(name, sizeof name, "blk.%d." tail, layer), name)
        made_tensor(made, LAYER("attn_norm.weight"), DTYPE_F32, 1, DIM);
        made_tensor(made, LAYER("ffn_down.weight"), DTYPE_Q8_0, DIM, FFN);
        made_tensor(made, LAYER("ffn_gate.weight"), DTYPE_F32, FFN, DIM);
        made_tensor(made, LAYER("ffn_up.weight"), DTYPE_BF16, FFN, DIM);
        made_tensor(made, LAYER("ffn_norm.weight"), DTYPE_F32, 1, DIM);
        made_tensor(made, LAYER("attn_k.weight"), DTYPE_F32, KV * SIZE, DIM);
        made_tensor(made, LAYER("attn_output.weight"), DTYPE_F32, DIM, HEADS * SIZE);
        made_tensor(made, LAYER("attn_q.weight"), DTYPE_F32, HEADS * SIZE, DIM);
        made_tensor(made, LAYER("attn_v.weight"), DTYPE_F32, KV * SIZE, DIM);
    }
    made_tensor(made, "output_norm.weight", DTYPE_F32, 1, DIM);
    return made;
}

struct meta *made_meta(struct made *made, const char *key)
{
    for (size_t i = 0; i < made->meta_count; i++)
        if (strcmp(made->metas[i].key, key) == 0) return &made->metas[i];
    fprintf(stderr, "no metadata %s\n", key);
    abort();
}

struct tensor *made_find(struct made *made, const char *name)
{
    for (size_t i = 0; i < made->tensor_count; i++)
        if (strcmp(made->tensors[i].name, name) == 0) return &made->tensors[i];
    fprintf(stderr, "no tensor %s\n", name);
    abort();
}
