// safetensors: single files and folders of several, read through mapped files; what
// transformers calls a checkpoint, with config.json and tokenizer.json beside the weights.
#pragma once
#include <cjson/cJSON.h>

#include "base/file.h"
#include "io/hf_config.h"
#include "io/weights.h"

// One file: u64 size of the header, the header (JSON), the tensors' bytes without a gap.
struct shard {
    char *path;
    const char *name; // in its folder
    struct file_map map;
    cJSON *header;
    uint64_t data_at; // from the start of the file
};

// A tensor's line of a header, checked to lie inside the shard's data.
struct shard_entry {
    const char *name; // of the header
    const char *dtype;
    const cJSON *json;
    uint32_t shard, dims;
    uint64_t shape[2]; // of the first two dimensions, 1 past dims
    uint64_t begin, end; // from data_at
};

struct safetensors {
    char *folder;   // ends in '/'
    char *tokenizer; // path of tokenizer.json
    char *index;    // path of model.safetensors.index.json, NULL: a single file
    cJSON *weight_map, *config;
    cJSON *notes; // what an earlier edit wrote, NULL: nothing
    struct hf_config hf;
    struct shard *shards; // [shard_count], by name
    size_t shard_count;
    struct shard_entry *entries; // [entry_count], of all shards, by place
    size_t entry_count, entry_capacity;
};

extern const struct format format_safetensors;

// Opens one file, and puts its tensors behind *entries.
bool shard_open(struct shard *shard, const char *path);
void shard_close(struct shard *shard);
bool shard_entries(const struct shard *shard, uint32_t number, struct safetensors *set);

// path: a folder, an index, or a file of it. Finds the files and opens them.
bool safetensors_open(struct safetensors *set, const char *path);
void safetensors_close(struct safetensors *set);

// folder + name, to be freed; NULL without memory.
char *safetensors_path(const struct safetensors *set, const char *name);

// A folder at `path` like the source's but for some tensors; notes go into __metadata__.
bool safetensors_write_edited(const struct weights *weights, const char *path,
                              const struct replacement *edits, size_t edit_count,
                              const struct meta *notes, size_t note_count);
