#include "io/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/gguf.h"
#include "io/hf_tokenizer.h"
#include "io/safetensors.h"

const struct dtype_info dtype_table[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", 1, 4},       [DTYPE_F16] = {"F16", 1, 2},
    [DTYPE_BF16] = {"BF16", 1, 2},     [DTYPE_Q8_0] = {"Q8_0", 32, 34},
    [DTYPE_Q4_0] = {"Q4_0", 32, 18},   [DTYPE_Q4_1] = {"Q4_1", 32, 20},
    [DTYPE_Q5_0] = {"Q5_0", 32, 22},   [DTYPE_Q5_1] = {"Q5_1", 32, 24},
    [DTYPE_Q4_K] = {"Q4_K", 256, 144}, [DTYPE_Q5_K] = {"Q5_K", 256, 176},
    [DTYPE_Q6_K] = {"Q6_K", 256, 210},
};

// Every format that can be read.
static const struct format *const formats[] = {&format_gguf, &format_safetensors};

bool weights_open(struct weights *weights, const char *path)
{
    *weights = (struct weights){0};
    struct stat info;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (!weights->format && formats[i]->sniff(path)) weights->format = formats[i];
    if (!weights->format && stat(path, &info) == 0 && S_ISREG(info.st_mode))
        return fail(STATUS_BAD_DATA, "%s is no model: wanted a GGUF file or a folder of "
                                     "safetensors", path);
    if (!weights->format) weights->format = formats[0]; // its open says what is wrong with path
    weights->path = mem_text(path, strlen(path), "a path");
    bool ok = weights->path && weights->format->open(weights);
    if (!ok) weights_close(weights);
    return ok;
}

bool weights_is_folder(const char *path)
{
    return !format_gguf.sniff(path) && format_safetensors.sniff(path);
}

void weights_close(struct weights *weights)
{
    if (weights->format) weights->format->close(weights);
    free(weights->path);
    free(weights->tensors);
    free(weights->by_name);
    *weights = (struct weights){0};
}

static int tensor_order(const void *left, const void *right)
{
    const struct tensor *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

// Sorted once: names are looked up by bisection, and a name that stands there twice shows.
bool weights_index(struct weights *weights)
{
    weights->by_name = mem_new(weights->count, sizeof *weights->by_name, "tensor names");
    if (!weights->by_name) return false;
    for (size_t i = 0; i < weights->count; i++) weights->by_name[i] = &weights->tensors[i];
    qsort(weights->by_name, weights->count, sizeof *weights->by_name, tensor_order);
    for (size_t i = 1; i < weights->count; i++)
        if (strcmp(weights->by_name[i - 1]->name, weights->by_name[i]->name) == 0)
            return fail(STATUS_BAD_DATA, "%s: tensor %s stands there twice", weights->path,
                        weights->by_name[i]->name);
    return true;
}

const struct tensor *weights_find(const struct weights *weights, const char *name)
{
    struct tensor wanted = {.name = name};
    const struct tensor *key = &wanted;
    if (!weights->by_name) return NULL;
    const struct tensor *const *found =
        bsearch(&key, weights->by_name, weights->count, sizeof *weights->by_name, tensor_order);
    return found ? *found : NULL;
}

const struct tensor *weights_part(const struct weights *weights, enum part part, uint32_t layer)
{
    char name[64];
    if (part == PART_ROPE_FREQS && weights->factors.data) return &weights->factors;
    weights->format->part_name(part, layer, name);
    return weights_find(weights, name);
}

void tensor_pairs(const struct tensor *tensor, uint8_t *to)
{
    uint64_t lines = tensor->rows > 1 ? tensor->rows : tensor->cols; // a bias is turned as well
    uint64_t size = tensor->bytes / lines, head = lines / tensor->split_heads;
    for (uint64_t i = 0; i < lines; i++) {
        uint64_t place = i % head, from = i - place + place / 2 + (place % 2) * (head / 2);
        memcpy(to + i * size, tensor->data + from * size, size);
    }
}

// The shape of a part in a model of this config.
static void part_shape(const struct config *config, enum part part, uint64_t *rows, uint64_t *cols)
{
    uint64_t q = (uint64_t)config->heads * config->head_dim;
    uint64_t kv = (uint64_t)config->kv_heads * config->head_dim;
    const uint64_t shapes[PART_COUNT][2] = {
        [PART_EMBED] = {config->vocab, config->dim},
        [PART_OUTPUT_NORM] = {1, config->dim},
        [PART_OUTPUT] = {config->vocab, config->dim},
        [PART_ROPE_FREQS] = {1, config->head_dim / 2},
        [PART_ATTN_NORM] = {1, config->dim},
        [PART_Q] = {q, config->dim},
        [PART_K] = {kv, config->dim},
        [PART_V] = {kv, config->dim},
        [PART_Q_BIAS] = {1, q},
        [PART_K_BIAS] = {1, kv},
        [PART_V_BIAS] = {1, kv},
        [PART_ATTN_OUTPUT] = {config->dim, q},
        [PART_O_BIAS] = {1, config->dim},
        [PART_FFN_NORM] = {1, config->dim},
        [PART_FFN_GATE] = {config->ffn, config->dim},
        [PART_FFN_UP] = {config->ffn, config->dim},
        [PART_FFN_DOWN] = {config->dim, config->ffn},
        [PART_GATE_BIAS] = {1, config->ffn},
        [PART_UP_BIAS] = {1, config->ffn},
        [PART_DOWN_BIAS] = {1, config->dim},
    };
    *rows = shapes[part][0];
    *cols = shapes[part][1];
}

// Qwen2 has biases for Q, K and V, Llama none, or more; both may be tied or not.
static bool part_optional(enum part part)
{
    return part == PART_OUTPUT || part == PART_ROPE_FREQS || part == PART_Q_BIAS ||
           part == PART_K_BIAS || part == PART_V_BIAS || part == PART_O_BIAS ||
           part == PART_GATE_BIAS || part == PART_UP_BIAS || part == PART_DOWN_BIAS;
}

bool config_check(const struct config *config, const char *where)
{
    if (config->kv_heads == 0 || config->heads % config->kv_heads)
        return fail(STATUS_BAD_DATA,
                    "%s: %u attention heads share %u key-value heads, wanted a multiple", where,
                    config->heads, config->kv_heads);
    if (config->head_dim == 0 || config->head_dim % 4 || config->head_dim > 256)
        return fail(STATUS_BAD_DATA,
                    "%s: attention heads of size %u, wanted a multiple of 4, at most 256", where,
                    config->head_dim);
    if (config->dim % 4 || config->ffn % 4)
        return fail(STATUS_BAD_DATA,
                    "%s: a hidden size of %u and %u FFN units, wanted multiples of 4", where,
                    config->dim, config->ffn);
    return true;
}

// Checks one part; *known counts the tensors that are some part of the model.
static bool part_check(const struct weights *weights, enum part part, uint32_t layer, size_t *known)
{
    char name[64];
    weights->format->part_name(part, layer, name);
    const struct tensor *tensor = weights_part(weights, part, layer);
    uint64_t rows, cols;
    part_shape(&weights->config, part, &rows, &cols);
    if (!tensor && part_optional(part)) return true;
    if (!tensor)
        return fail(STATUS_BAD_DATA, "%s: tensor %s is missing (wanted [%llu, %llu])",
                    weights->path, name, (unsigned long long)rows, (unsigned long long)cols);
    if (tensor->rows != rows || tensor->cols != cols)
        return fail(STATUS_BAD_DATA,
                    "%s: tensor %s has the shape [%llu, %llu], wanted [%llu, %llu]", weights->path,
                    name, (unsigned long long)tensor->rows, (unsigned long long)tensor->cols,
                    (unsigned long long)rows, (unsigned long long)cols);
    if (tensor != &weights->factors) ++*known;
    return true;
}

// A tensor that is no part of the model means that the model computes something we would not.
static bool stranger_find(const struct weights *weights)
{
    for (size_t i = 0; i < weights->count; i++) {
        bool known = false;
        char name[64];
        for (int part = 0; part < PART_COUNT && !known; part++) {
            uint32_t layers = part < PART_ATTN_NORM ? 1 : weights->config.layers;
            for (uint32_t layer = 0; layer < layers && !known; layer++) {
                weights->format->part_name((enum part)part, layer, name);
                known = strcmp(name, weights->tensors[i].name) == 0;
            }
        }
        if (!known)
            return fail(STATUS_BAD_DATA,
                        "%s: tensor %s is no part of a %s model as this program computes it",
                        weights->path, weights->tensors[i].name, weights->config.arch);
    }
    return true;
}

// The embedding says how large the vocabulary is; all else must agree with config.
bool weights_check(struct weights *weights)
{
    struct config *config = &weights->config;
    const struct tensor *embed = weights_part(weights, PART_EMBED, 0);
    if (embed && embed->rows > INT32_MAX)
        return fail(STATUS_BAD_DATA, "%s: tensor %s has %llu rows, wanted fewer than 2^31",
                    weights->path, embed->name, (unsigned long long)embed->rows);
    if (embed) config->vocab = (uint32_t)embed->rows;
    config->tied = weights_part(weights, PART_OUTPUT, 0) == NULL;
    config->rope_freqs = weights_part(weights, PART_ROPE_FREQS, 0) != NULL;
    size_t known = 0;
    for (int part = 0; part < PART_ATTN_NORM; part++)
        if (!part_check(weights, (enum part)part, 0, &known)) return false;
    for (uint32_t layer = 0; layer < config->layers; layer++)
        for (int part = PART_ATTN_NORM; part < PART_COUNT; part++)
            if (!part_check(weights, (enum part)part, layer, &known)) return false;
    return known == weights->count || stranger_find(weights);
}

const char *weights_hash(struct weights *weights)
{
    if (!weights->hash[0] && !weights->format->hash(weights)) return NULL;
    return weights->hash;
}

bool weights_write(const struct weights *weights, const char *path, const struct replacement *edits,
                   size_t edit_count, const struct meta *notes, size_t note_count)
{
    return weights->format->write(weights, path, edits, edit_count, notes, note_count);
}

bool weights_note(const struct weights *weights, const char *key, struct bytes *text)
{
    *text = (struct bytes){0};
    return weights->format->note(weights, key, text);
}

bool weights_vocab(const struct weights *weights, struct vocab *vocab)
{
    *vocab = (struct vocab){.where = weights->path, .bos = -1, .eos = -1, .unknown = -1};
    bool ok = weights->format->vocab(weights, vocab);
    if (ok && !vocab->stop_count && vocab->eos >= 0)
        vocab->stops[vocab->stop_count++] = (uint32_t)vocab->eos;
    if (!ok) vocab_free(vocab);
    return ok;
}

void vocab_free(struct vocab *vocab)
{
    free(vocab->tokens);
    free(vocab->types);
    free(vocab->merges);
    free(vocab->rights);
    free(vocab->outside);
    hf_tokenizer_free(vocab->hf);
    *vocab = (struct vocab){0};
}
