// What a folder of safetensors files says about its model: shape, tensors, vocabulary.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "io/hf_tokenizer.h"
#include "io/safetensors.h"

#define LLU(x) ((unsigned long long)(x))

// A folder, or a file that starts as one of ours does.
static bool safetensors_sniff(const char *path)
{
    struct stat info;
    char start[9] = {0};
    size_t length = strlen(path);
    if (stat(path, &info) != 0) return false;
    if (S_ISDIR(info.st_mode)) return true;
    if (length > 11 && strcmp(path + length - 11, ".index.json") == 0) return true;
    if (length > 12 && strcmp(path + length - 12, ".safetensors") == 0) return true;
    FILE *file = fopen(path, "rb");
    bool ours = file && fread(start, 1, 9, file) == 9 && start[7] == 0 && start[8] == '{';
    if (file) fclose(file);
    return ours;
}

static void safetensors_part_name(enum part part, uint32_t layer, char name[static 64])
{
    static const char *const names[PART_COUNT] = {
        [PART_EMBED] = "model.embed_tokens.weight",
        [PART_OUTPUT_NORM] = "model.norm.weight",
        [PART_OUTPUT] = "lm_head.weight",
        [PART_ROPE_FREQS] = "(rotary factors)", // of config.json, never a tensor
        [PART_ATTN_NORM] = "input_layernorm.weight",
        [PART_Q] = "self_attn.q_proj.weight",
        [PART_K] = "self_attn.k_proj.weight",
        [PART_V] = "self_attn.v_proj.weight",
        [PART_Q_BIAS] = "self_attn.q_proj.bias",
        [PART_K_BIAS] = "self_attn.k_proj.bias",
        [PART_V_BIAS] = "self_attn.v_proj.bias",
        [PART_ATTN_OUTPUT] = "self_attn.o_proj.weight",
        [PART_O_BIAS] = "self_attn.o_proj.bias",
        [PART_FFN_NORM] = "post_attention_layernorm.weight",
        [PART_FFN_GATE] = "mlp.gate_proj.weight",
        [PART_FFN_UP] = "mlp.up_proj.weight",
        [PART_FFN_DOWN] = "mlp.down_proj.weight",
        [PART_GATE_BIAS] = "mlp.gate_proj.bias",
        [PART_UP_BIAS] = "mlp.up_proj.bias",
        [PART_DOWN_BIAS] = "mlp.down_proj.bias",
    };
    if (part < PART_ATTN_NORM)
        snprintf(name, 64, "%s", names[part]);
    else
        snprintf(name, 64, "model.layers.%u.%s", layer, names[part]);
}

static bool tensor_read(const struct safetensors *set, const struct shard_entry *entry,
                        struct tensor *tensor)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    const struct shard *shard = &set->shards[entry->shard];
    int dtype = -1;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(entry->dtype, dtype_table[types[i]].name) == 0) dtype = (int)types[i];
    if (dtype < 0)
        return fail(STATUS_BAD_DATA, "%s: tensor %s has type %.20s, wanted F32, F16 or BF16",
                    shard->path, entry->name, entry->dtype);
    if (entry->dims < 1 || entry->dims > 2 || !entry->shape[0] || !entry->shape[1])
        return fail(STATUS_BAD_DATA,
                    "%s: tensor %s has %u dimensions or none of a length, wanted 1 or 2",
                    shard->path, entry->name, entry->dims);
    *tensor = (struct tensor){.name = entry->name,
                              .dtype = (enum dtype)dtype,
                              .rows = entry->dims == 1 ? 1 : entry->shape[0],
                              .cols = entry->dims == 1 ? entry->shape[0] : entry->shape[1],
                              .data = shard->map.data + shard->data_at + entry->begin,
                              .bytes = entry->end - entry->begin};
    return true;
}

// Tensors that a file may have and its model does not use: the head of a tied one, and the rotary
// frequencies that old versions of transformers stored.
static bool idle(const struct safetensors *set, const char *name)
{
    const char *tail = strstr(name, ".rotary_emb.inv_freq");
    if (tail && strcmp(tail, ".rotary_emb.inv_freq") == 0) return true;
    return set->hf.tied && strcmp(name, "lm_head.weight") == 0;
}

// A tied model's file may have its head as well. One of other values is a contradiction, which
// transformers 4 and 5 settle differently, hence refused.
static bool head_check(const struct safetensors *set)
{
    const struct shard_entry *embed = NULL, *head = NULL;
    char name[64], head_name[64];
    safetensors_part_name(PART_EMBED, 0, name);
    safetensors_part_name(PART_OUTPUT, 0, head_name);
    for (size_t i = 0; i < set->entry_count; i++) {
        if (strcmp(set->entries[i].name, name) == 0) embed = &set->entries[i];
        if (strcmp(set->entries[i].name, head_name) == 0) head = &set->entries[i];
    }
    if (!set->hf.tied || !head || !embed) return true;
    const struct shard *a = &set->shards[embed->shard], *b = &set->shards[head->shard];
    size_t size = embed->end - embed->begin;
    if (strcmp(embed->dtype, head->dtype) == 0 && head->end - head->begin == size &&
        memcmp(a->map.data + a->data_at + embed->begin, b->map.data + b->data_at + head->begin,
               size) == 0)
        return true;
    return fail(STATUS_BAD_DATA,
                "%s: tensor %s is not %s, config.json has tie_word_embeddings true", b->path,
                head_name, name);
}

// What config.json says must be there, and nothing that it denies.
static bool agrees(const struct weights *weights, enum part part, uint32_t layer, bool wanted)
{
    char name[64];
    const struct safetensors *set = weights->state;
    bool there = weights_part(weights, part, layer) != NULL;
    safetensors_part_name(part, layer, name);
    return there == wanted ||
           fail(STATUS_BAD_DATA, "%s: tensor %s is %s, against %sconfig.json", weights->path, name,
                there ? "there" : "missing", set->folder);
}

// Rows of Q and K are turned while they are uploaded: see struct tensor.
static void split_mark(struct weights *weights, enum part part, uint32_t layer, uint32_t heads)
{
    const struct tensor *tensor = weights_part(weights, part, layer);
    if (tensor) weights->tensors[tensor - weights->tensors].split_heads = heads;
}

static bool parts_check(struct weights *weights, const struct hf_config *hf)
{
    const struct tensor *embed = weights_part(weights, PART_EMBED, 0);
    const struct config *c = &weights->config;
    if (embed && embed->rows != c->vocab)
        return fail(STATUS_BAD_DATA, "%s: tensor %s has %llu rows, config.json vocab_size %u",
                    weights->path, embed->name, LLU(embed->rows), c->vocab);
    if (!agrees(weights, PART_OUTPUT, 0, !hf->tied)) return false;
    for (uint32_t i = 0; i < c->layers; i++)
        if (!agrees(weights, PART_Q_BIAS, i, hf->qkv_bias) ||
            !agrees(weights, PART_K_BIAS, i, hf->qkv_bias) ||
            !agrees(weights, PART_V_BIAS, i, hf->qkv_bias) ||
            !agrees(weights, PART_O_BIAS, i, hf->o_bias) ||
            !agrees(weights, PART_GATE_BIAS, i, hf->ffn_bias) ||
            !agrees(weights, PART_UP_BIAS, i, hf->ffn_bias) ||
            !agrees(weights, PART_DOWN_BIAS, i, hf->ffn_bias))
            return false;
    if (!weights_check(weights)) return false;
    for (uint32_t i = 0; c->rope_interleaved && i < c->layers; i++) {
        split_mark(weights, PART_Q, i, c->heads);
        split_mark(weights, PART_K, i, c->kv_heads);
        split_mark(weights, PART_Q_BIAS, i, c->heads);
        split_mark(weights, PART_K_BIAS, i, c->kv_heads);
    }
    return true;
}

static bool config_open(struct weights *weights, struct safetensors *set)
{
    char *path = safetensors_path(set, "config.json");
    set->tokenizer = safetensors_path(set, "tokenizer.json");
    set->config = path ? json_file(path) : NULL;
    bool ok = set->config && set->tokenizer && hf_config_read(&set->hf, set->config, path);
    free(path);
    weights->config = set->hf.config;
    if (ok && set->hf.scaled)
        weights->factors = (struct tensor){.name = "rope_freqs",
                                           .dtype = DTYPE_F32,
                                           .rows = 1,
                                           .cols = set->hf.config.head_dim / 2,
                                           .data = (const uint8_t *)set->hf.factors,
                                           .bytes = 2ull * set->hf.config.head_dim};
    return ok;
}

// Notes stand as one JSON text "oedit" in __metadata__, which may hold texts only.
static bool notes_open(struct safetensors *set)
{
    for (size_t i = 0; i < set->shard_count && !set->notes; i++) {
        const cJSON *meta =
            cJSON_GetObjectItemCaseSensitive(set->shards[i].header, "__metadata__");
        const cJSON *notes = cJSON_GetObjectItemCaseSensitive(meta, "oedit");
        if (!cJSON_IsString(notes)) continue;
        set->notes = json_object(notes->valuestring, strlen(notes->valuestring),
                                 set->shards[i].path);
        if (!set->notes) return false;
    }
    return true;
}

static bool safetensors_model_open(struct weights *weights)
{
    struct safetensors *set = mem_new(1, sizeof *set, "a model");
    weights->state = set;
    if (!set || !safetensors_open(set, weights->path) || !config_open(weights, set) ||
        !notes_open(set) || !head_check(set))
        return false;
    weights->tensors = mem_new(set->entry_count, sizeof *weights->tensors, "tensors");
    if (!weights->tensors) return false;
    for (size_t i = 0; i < set->entry_count; i++) {
        if (idle(set, set->entries[i].name)) continue;
        if (!tensor_read(set, &set->entries[i], &weights->tensors[weights->count])) return false;
        weights->count++;
    }
    return weights_index(weights) && parts_check(weights, &set->hf);
}

static void safetensors_model_close(struct weights *weights)
{
    if (weights->state) safetensors_close(weights->state);
    free(weights->state);
    weights->state = NULL;
}

// The weights, and what else decides what comes out: shape and vocabulary.
static bool safetensors_hash(struct weights *weights)
{
    static const char *const others[] = {"config.json", "tokenizer.json"};
    const struct safetensors *set = weights->state;
    XXH3_state_t *state = XXH3_createState();
    if (!state) return fail(STATUS_NO_MEMORY, "out of host memory for a hash");
    XXH3_128bits_reset(state);
    for (size_t i = 0; i < set->shard_count; i++)
        XXH3_128bits_update(state, set->shards[i].map.data, set->shards[i].map.size);
    bool ok = true;
    for (size_t i = 0; ok && i < 2; i++) {
        struct file_map map = {0};
        struct stat info;
        char *path = safetensors_path(set, others[i]);
        ok = path != NULL;
        if (ok && stat(path, &info) == 0) ok = file_map_open(&map, path);
        if (ok && map.size) XXH3_128bits_update(state, map.data, map.size);
        file_map_close(&map);
        free(path);
    }
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    snprintf(weights->hash, sizeof weights->hash, "%016llx%016llx", LLU(hash.high64),
             LLU(hash.low64));
    return ok;
}

static bool safetensors_note(const struct weights *weights, const char *key, struct bytes *text)
{
    const struct safetensors *set = weights->state;
    const cJSON *note = cJSON_GetObjectItemCaseSensitive(set->notes, key);
    if (note && !cJSON_IsString(note))
        return fail(STATUS_BAD_DATA, "%s: metadata oedit, %s is no text", weights->path, key);
    if (note) *text = (struct bytes){note->valuestring, strlen(note->valuestring)};
    return true;
}

// generation_config.json, where there is one, says what ends an answer; otherwise config.json does.
static bool stops_open(const struct safetensors *set, struct vocab *vocab)
{
    struct stat info;
    char *path = safetensors_path(set, "generation_config.json");
    bool ok = path != NULL;
    if (ok && stat(path, &info) == 0) {
        cJSON *root = json_file(path);
        ok = root && hf_stops_read(root, path, vocab->stops, &vocab->stop_count);
        cJSON_Delete(root);
    }
    free(path);
    if (!ok || vocab->stop_count) return ok;
    memcpy(vocab->stops, set->hf.stops, sizeof vocab->stops);
    vocab->stop_count = set->hf.stop_count;
    return true;
}

// The vocabulary must fit the embedding; where a folder has other tokenizers only, that is said.
static bool safetensors_vocab(const struct weights *weights, struct vocab *vocab)
{
    const struct safetensors *set = weights->state;
    struct file_map map = {0};
    vocab->where = set->tokenizer;
    vocab->bos = set->hf.bos;
    vocab->eos = set->hf.eos;
    bool ok = file_map_open(&map, set->tokenizer) &&
              hf_tokenizer_read(vocab, (const char *)map.data, map.size) && stops_open(set, vocab);
    file_map_close(&map);
    if (ok && vocab->count > weights->config.vocab)
        ok = fail(STATUS_BAD_DATA, "%s: %zu tokens for an embedding of %u rows", vocab->where,
                  vocab->count, weights->config.vocab);
    return ok;
}

static bool safetensors_model_write(const struct weights *weights, const char *path,
                                    const struct replacement *edits, size_t edit_count,
                                    const struct meta *notes, size_t note_count)
{
    return safetensors_write_edited(weights, path, edits, edit_count, notes, note_count);
}

const struct format format_safetensors = {
    .name = "safetensors",
    .sniff = safetensors_sniff,
    .open = safetensors_model_open,
    .close = safetensors_model_close,
    .hash = safetensors_hash,
    .note = safetensors_note,
    .vocab = safetensors_vocab,
    .write = safetensors_model_write,
    .part_name = safetensors_part_name,
};
