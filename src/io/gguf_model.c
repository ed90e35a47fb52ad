// What a GGUF file says about its model: shape, tensors, vocabulary.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "base/status.h"
#include "io/gguf.h"

#define LLU(x) ((unsigned long long)(x))

static const struct architecture {
    const char *name;
    bool rope_interleaved; // the converter permuted the rows of Q and K
} architectures[] = {{"llama", true}, {"qwen2", false}};

static bool gguf_sniff(const char *path)
{
    char magic[4] = {0};
    if (embedded_find(path)) return true; // they are no other models
    FILE *file = fopen(path, "rb");
    bool ours = file && fread(magic, 1, 4, file) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (file) fclose(file);
    return ours;
}

static void gguf_part_name(enum part part, uint32_t layer, char name[static 64])
{
    static const char *const names[PART_COUNT] = {
        [PART_EMBED] = "token_embd.weight",
        [PART_OUTPUT_NORM] = "output_norm.weight",
        [PART_OUTPUT] = "output.weight",
        [PART_ROPE_FREQS] = "rope_freqs.weight",
        [PART_ATTN_NORM] = "attn_norm.weight",
        [PART_Q] = "attn_q.weight",
        [PART_K] = "attn_k.weight",
        [PART_V] = "attn_v.weight",
        [PART_Q_BIAS] = "attn_q.bias",
        [PART_K_BIAS] = "attn_k.bias",
        [PART_V_BIAS] = "attn_v.bias",
        [PART_ATTN_OUTPUT] = "attn_output.weight",
        [PART_O_BIAS] = "attn_output.bias",
        [PART_FFN_NORM] = "ffn_norm.weight",
        [PART_FFN_GATE] = "ffn_gate.weight",
        [PART_FFN_UP] = "ffn_up.weight",
        [PART_FFN_DOWN] = "ffn_down.weight",
        [PART_GATE_BIAS] = "ffn_gate.bias",
        [PART_UP_BIAS] = "ffn_up.bias",
        [PART_DOWN_BIAS] = "ffn_down.bias",
    };
    if (part < PART_ATTN_NORM)
        snprintf(name, 64, "%s", names[part]);
    else
        snprintf(name, 64, "blk.%u.%s", layer, names[part]);
}

// A key of the architecture, "llama.block_count" and the like.
static const char *arch_key(const struct config *config, const char *tail, char key[static 96])
{
    snprintf(key, 96, "%s.%s", config->arch, tail);
    return key;
}

// A required number is one of a shape: not 0, and small enough that products of two fit.
static bool arch_u32(const struct gguf *gguf, const struct config *config, const char *tail,
                     bool required, uint32_t *value)
{
    char key[96];
    arch_key(config, tail, key);
    if (required && !gguf_find(gguf, key))
        return fail(STATUS_BAD_DATA, "%s: metadata %s is missing", gguf->path, key);
    if (!gguf_get_u32(gguf, key, value)) return false;
    if (required && (*value == 0 || *value > 1u << 24))
        return fail(STATUS_BAD_DATA, "%s: metadata %s is %u, wanted 1 to 2^24", gguf->path, key,
                    *value);
    return true;
}

static bool arch_f32(const struct gguf *gguf, const struct config *config, const char *tail,
                     bool required, float *value)
{
    char key[96];
    arch_key(config, tail, key);
    if (required && !gguf_find(gguf, key))
        return fail(STATUS_BAD_DATA, "%s: metadata %s is missing", gguf->path, key);
    if (!gguf_get_f32(gguf, key, value)) return false;
    if (!(*value >= 0 && *value < INFINITY))
        return fail(STATUS_BAD_DATA, "%s: metadata %s is %g, wanted a number of at least 0",
                    gguf->path, key, (double)*value);
    return true;
}

// A model of another architecture would load and compute nonsense, hence by name only.
static bool architecture_read(const struct gguf *gguf, struct config *config)
{
    struct bytes name = {"", 0};
    if (!gguf_find(gguf, "general.architecture"))
        return fail(STATUS_BAD_DATA, "%s: metadata general.architecture is missing", gguf->path);
    if (!gguf_get_text(gguf, "general.architecture", &name)) return false;
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        const struct architecture *known = &architectures[i];
        if (strlen(known->name) != name.size || memcmp(known->name, name.data, name.size) != 0)
            continue;
        snprintf(config->arch, sizeof config->arch, "%s", known->name);
        config->rope_interleaved = known->rope_interleaved;
        return true;
    }
    return fail(STATUS_BAD_DATA, "%s has the architecture %.*s, wanted llama or qwen2", gguf->path,
                name.size < 60 ? (int)name.size : 60, name.data);
}

// Refuses rotary scalings we do not compute; Llama 3's is the tensor rope_freqs and needs no key.
static bool rope_scaling_check(const struct gguf *gguf, const struct config *config)
{
    struct bytes type = {"linear", 6}; // what a factor without a type means
    char key[96];
    float factor = 1, legacy = 1;
    if (!gguf_get_text(gguf, arch_key(config, "rope.scaling.type", key), &type) ||
        !arch_f32(gguf, config, "rope.scaling.factor", false, &factor) ||
        !arch_f32(gguf, config, "rope.scale_linear", false, &legacy))
        return false;
    if (type.size == 4 && memcmp(type.data, "none", 4) == 0) return true;
    bool linear = type.size == 6 && memcmp(type.data, "linear", 6) == 0;
    if (linear && (factor == 0 || factor == 1) && (legacy == 0 || legacy == 1)) return true;
    return fail(STATUS_BAD_DATA, "%s: rope scaling of type %.*s (factor %g), wanted none",
                gguf->path, type.size < 60 ? (int)type.size : 60, type.data,
                (double)(factor == 0 || factor == 1 ? legacy : factor));
}

// What a Llama-like model may say of its heads and we do not compute.
static bool heads_check(const struct gguf *gguf, const struct config *config, uint32_t value_length,
                        uint32_t rope_dims, uint32_t experts)
{
    if (!config_check(config, gguf->path)) return false;
    if (value_length != config->head_dim)
        return fail(STATUS_BAD_DATA, "%s: values of size %u for keys of size %u, wanted the same",
                    gguf->path, value_length, config->head_dim);
    if (rope_dims != config->head_dim)
        return fail(STATUS_BAD_DATA, "%s: rotary positions in %u of %u dimensions, wanted all",
                    gguf->path, rope_dims, config->head_dim);
    if (experts)
        return fail(STATUS_BAD_DATA, "%s: a mixture of %u experts, wanted a dense model",
                    gguf->path, experts);
    return true;
}

// Everything but vocab, tied and rope_freqs, which the tensors say.
static bool config_read(const struct gguf *gguf, struct config *config)
{
    config->rope_base = 10000;
    if (!architecture_read(gguf, config) ||
        !arch_u32(gguf, config, "block_count", true, &config->layers) ||
        !arch_u32(gguf, config, "embedding_length", true, &config->dim) ||
        !arch_u32(gguf, config, "feed_forward_length", true, &config->ffn) ||
        !arch_u32(gguf, config, "context_length", true, &config->context) ||
        !arch_u32(gguf, config, "attention.head_count", true, &config->heads) ||
        !arch_f32(gguf, config, "attention.layer_norm_rms_epsilon", true, &config->norm_eps) ||
        !arch_f32(gguf, config, "rope.freq_base", false, &config->rope_base))
        return false;
    config->kv_heads = config->heads;
    config->head_dim = config->dim / config->heads;
    uint32_t experts = 0;
    if (!arch_u32(gguf, config, "attention.head_count_kv", false, &config->kv_heads) ||
        !arch_u32(gguf, config, "attention.key_length", false, &config->head_dim) ||
        !arch_u32(gguf, config, "attention.sliding_window", false, &config->sliding_window) ||
        !arch_u32(gguf, config, "expert_count", false, &experts))
        return false;
    uint32_t value_length = config->head_dim, rope_dims = config->head_dim;
    if (!arch_u32(gguf, config, "attention.value_length", false, &value_length) ||
        !arch_u32(gguf, config, "rope.dimension_count", false, &rope_dims))
        return false;
    if (config->kv_heads == 0 || config->rope_base <= 0)
        return fail(STATUS_BAD_DATA, "%s: %u key-value heads, rope base %g, wanted both above 0",
                    gguf->path, config->kv_heads, (double)config->rope_base);
    return heads_check(gguf, config, value_length, rope_dims, experts) &&
           rope_scaling_check(gguf, config);
}

// Turns a file's entry into a tensor, every number checked against the file.
static bool tensor_read(const struct gguf *gguf, const struct gguf_entry *entry,
                        struct tensor *tensor)
{
    char text[16];
    int dtype = gguf_type_dtype(entry->type);
    if (dtype < 0)
        return fail(STATUS_BAD_DATA, "%s: tensor %s has type %s, wanted one of " DTYPE_NAMES,
                    gguf->path, tensor->name, gguf_type_name(entry->type, text));
    tensor->dtype = (enum dtype)dtype;
    const struct dtype_info *info = &dtype_table[dtype];
    tensor->cols = entry->ne[0];
    tensor->rows = entry->ne[1];
    if (entry->ne[2] != 1 || entry->ne[3] != 1)
        return fail(STATUS_BAD_DATA, "%s: tensor %s has %u dimensions, wanted 1 or 2", gguf->path,
                    tensor->name, entry->dims);
    if (tensor->cols == 0 || tensor->rows == 0 || tensor->cols % info->block ||
        tensor->cols / info->block > UINT64_MAX / info->bytes / tensor->rows)
        return fail(STATUS_BAD_DATA,
                    "%s: tensor %s has the shape [%llu, %llu], wanted rows of blocks of %u (%s)",
                    gguf->path, tensor->name, LLU(tensor->rows), LLU(tensor->cols), info->block,
                    info->name);
    tensor->bytes = tensor->cols / info->block * info->bytes * tensor->rows;
    uint64_t room = gguf->map.size - gguf->data_at;
    if (entry->at % gguf->alignment)
        return fail(STATUS_BAD_DATA, "%s: tensor %s lies at offset %llu, wanted a multiple of %llu",
                    gguf->path, tensor->name, LLU(entry->at), LLU(gguf->alignment));
    if (entry->at > room || tensor->bytes > room - entry->at)
        return fail(STATUS_BAD_DATA,
                    "%s is cut short or corrupted: tensor %s takes %llu bytes at offset %llu, the "
                    "file has %llu bytes of data",
                    gguf->path, tensor->name, LLU(tensor->bytes), LLU(entry->at), LLU(room));
    tensor->data = gguf->map.data + gguf->data_at + entry->at;
    return true;
}

// Terminated copies of all names in one block.
static bool names_copy(struct gguf *gguf, struct tensor *tensors)
{
    size_t total = 0;
    for (size_t i = 0; i < gguf->entry_count; i++) total += gguf->entries[i].name.size + 1;
    gguf->names = mem_new(total, 1, "tensor names");
    if (!gguf->names) return false;
    char *at = gguf->names;
    for (size_t i = 0; i < gguf->entry_count; i++) {
        struct bytes name = gguf->entries[i].name;
        for (size_t j = 0; j < name.size; j++)
            if ((unsigned char)name.data[j] < ' ' || name.data[j] == 127)
                return fail(STATUS_BAD_DATA, "%s: the name of tensor %zu has a control character",
                            gguf->path, i);
        memcpy(at, name.data, name.size);
        tensors[i].name = at;
        at += name.size + 1;
    }
    return true;
}

// By place in the file.
static int data_order(const void *left, const void *right)
{
    const struct tensor *a = *(const struct tensor *const *)left;
    const struct tensor *b = *(const struct tensor *const *)right;
    return (a->data > b->data) - (a->data < b->data);
}

// Two tensors that share bytes: no writer makes that, and an edit of one would change the other.
static bool overlap_check(const struct weights *weights)
{
    const struct tensor **sorted = mem_new(weights->count, sizeof *sorted, "tensors");
    if (!sorted) return false;
    for (size_t i = 0; i < weights->count; i++) sorted[i] = &weights->tensors[i];
    qsort(sorted, weights->count, sizeof *sorted, data_order);
    bool ok = true;
    for (size_t i = 1; i < weights->count && ok; i++)
        if (sorted[i - 1]->data + sorted[i - 1]->bytes > sorted[i]->data)
            ok = fail(STATUS_BAD_DATA, "%s: the data of tensors %s and %s overlap", weights->path,
                      sorted[i - 1]->name, sorted[i]->name);
    free(sorted);
    return ok;
}

static bool gguf_model_open(struct weights *weights)
{
    struct gguf *gguf = mem_new(1, sizeof *gguf, "a model");
    weights->state = gguf;
    if (!gguf || !gguf_open(gguf, weights->path) || !config_read(gguf, &weights->config))
        return false;
    weights->tensors = mem_new(gguf->entry_count, sizeof *weights->tensors, "tensors");
    if (!weights->tensors || !names_copy(gguf, weights->tensors)) return false;
    weights->count = gguf->entry_count;
    for (size_t i = 0; i < weights->count; i++)
        if (!tensor_read(gguf, &gguf->entries[i], &weights->tensors[i])) return false;
    return weights_index(weights) && overlap_check(weights) && weights_check(weights);
}

static void gguf_model_close(struct weights *weights)
{
    if (weights->state) gguf_close(weights->state);
    free(weights->state);
    weights->state = NULL;
}

// One pass over the mapped file.
static bool gguf_note(const struct weights *weights, const char *key, struct bytes *text)
{
    return gguf_get_text(weights->state, key, text);
}

static bool gguf_hash(struct weights *weights)
{
    const struct gguf *gguf = weights->state;
    XXH128_hash_t hash = XXH3_128bits(gguf->map.data, gguf->map.size);
    snprintf(weights->hash, sizeof weights->hash, "%016llx%016llx", LLU(hash.high64),
             LLU(hash.low64));
    return true;
}

// A file without types has normal tokens only.
static bool token_types_read(const struct gguf *gguf, struct vocab *vocab)
{
    int32_t *types = NULL;
    size_t count = 0;
    vocab->types = mem_new(vocab->count, 1, "token types");
    bool ok = vocab->types && gguf_get_i32s(gguf, "tokenizer.ggml.token_type", &types, &count);
    if (ok && types && count != vocab->count)
        ok = fail(STATUS_BAD_DATA, "%s: %zu token types for %zu tokens", gguf->path, count,
                  vocab->count);
    for (size_t i = 0; ok && i < vocab->count; i++) {
        int32_t type = types ? types[i] : TOKEN_NORMAL;
        if (type < TOKEN_NORMAL || type > TOKEN_BYTE)
            ok = fail(STATUS_BAD_DATA, "%s: token %zu has type %d, wanted 1 to 6", gguf->path, i,
                      type);
        vocab->types[i] = (uint8_t)type;
    }
    free(types);
    return ok;
}

// Files of these models often say nothing of BOS, and are meant to start with it.
static bool bos_default(struct bytes pre)
{
    static const char *const names[] = {"llama-bpe", "llama3", "llama-v3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (pre.size == strlen(names[i]) && memcmp(pre.data, names[i], pre.size) == 0) return true;
    return false;
}

static bool gguf_vocab(const struct weights *weights, struct vocab *vocab)
{
    const struct gguf *gguf = weights->state;
    const char *const wanted[] = {"tokenizer.ggml.model", "tokenizer.ggml.tokens"};
    for (size_t i = 0; i < 2; i++)
        if (!gguf_find(gguf, wanted[i]))
            return fail(STATUS_BAD_DATA, "%s: metadata %s is missing", gguf->path, wanted[i]);
    if (!gguf_get_text(gguf, "tokenizer.ggml.model", &vocab->model) ||
        !gguf_get_text(gguf, "tokenizer.ggml.pre", &vocab->pre))
        return false;
    vocab->add_bos = vocab->pre.data && bos_default(vocab->pre);
    if (!gguf_get_text(gguf, "tokenizer.chat_template", &vocab->template) ||
        !gguf_get_texts(gguf, "tokenizer.ggml.tokens", &vocab->tokens, &vocab->count) ||
        !gguf_get_texts(gguf, "tokenizer.ggml.merges", &vocab->merges, &vocab->merge_count) ||
        !gguf_get_i64(gguf, "tokenizer.ggml.bos_token_id", &vocab->bos) ||
        !gguf_get_i64(gguf, "tokenizer.ggml.eos_token_id", &vocab->eos) ||
        !gguf_get_bool(gguf, "tokenizer.ggml.add_bos_token", &vocab->add_bos))
        return false;
    if (vocab->count == 0 || vocab->count > weights->config.vocab)
        return fail(STATUS_BAD_DATA, "%s: %zu tokens for an embedding of %u rows", gguf->path,
                    vocab->count, weights->config.vocab);
    int64_t count = (int64_t)vocab->count;
    if (vocab->bos < -1 || vocab->bos >= count || vocab->eos < -1 || vocab->eos >= count)
        return fail(STATUS_BAD_DATA, "%s: BOS token %lld, EOS token %lld of %lld tokens",
                    gguf->path, (long long)vocab->bos, (long long)vocab->eos, (long long)count);
    return token_types_read(gguf, vocab);
}

static bool gguf_model_write(const struct weights *weights, const char *path,
                             const struct replacement *edits, size_t edit_count,
                             const struct meta *notes, size_t note_count)
{
    return gguf_write_edited(weights->state, weights, path, edits, edit_count, notes, note_count);
}

const struct format format_gguf = {
    .name = "GGUF",
    .sniff = gguf_sniff,
    .open = gguf_model_open,
    .close = gguf_model_close,
    .hash = gguf_hash,
    .note = gguf_note,
    .vocab = gguf_vocab,
    .write = gguf_model_write,
    .part_name = gguf_part_name,
};
