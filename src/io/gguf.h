// GGUF, versions 2 and 3, little endian: reading through a mapped file, writing edited copies.
#pragma once
#include "base/file.h"
#include "io/weights.h"

// Value types as the file numbers them.
enum gguf_type {
    GGUF_U8 = 0,
    GGUF_I8 = 1,
    GGUF_U16 = 2,
    GGUF_I16 = 3,
    GGUF_U32 = 4,
    GGUF_I32 = 5,
    GGUF_F32 = 6,
    GGUF_BOOL = 7,
    GGUF_TEXT = 8,
    GGUF_ARRAY = 9,
    GGUF_U64 = 10,
    GGUF_I64 = 11,
    GGUF_F64 = 12,
    GGUF_TYPE_COUNT = 13,
};

// One metadata entry. `data` lies in the mapped file and was checked to lie inside; for an array
// it is the first of `count` items of type `item`.
struct gguf_key {
    struct bytes name;
    enum gguf_type type, item;
    uint64_t count;
    struct bytes data;
    struct bytes record; // the whole entry as it stands in the file
};

// A tensor's entry as it stands in the file. `at` counts from the start of the data.
struct gguf_entry {
    struct bytes name;
    uint32_t dims;
    uint64_t ne[4]; // ne[0] is the fastest: cols
    uint32_t type;  // the file's own number
    uint64_t at;
};

struct gguf {
    const char *path;
    struct file_map map;
    uint32_t version;
    uint64_t alignment;
    struct gguf_key *keys;
    size_t key_count;
    struct gguf_entry *entries;
    size_t entry_count;
    uint64_t data_at; // from the start of the file
    char *names;      // terminated copies of all tensor names
};

extern const struct format format_gguf;

// Parses header, metadata and tensor entries; nothing is known of models here.
bool gguf_open(struct gguf *gguf, const char *path);
void gguf_close(struct gguf *gguf);

// NULL if the file has no such key.
const struct gguf_key *gguf_find(const struct gguf *gguf, const char *key);

// Typed getters. A missing key leaves *value as it was (the default) and returns true; a key of
// another kind, or a number that does not fit, fails. Any integer type is accepted for integers.
bool gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *value);
bool gguf_get_i64(const struct gguf *gguf, const char *key, int64_t *value);
bool gguf_get_f32(const struct gguf *gguf, const char *key, float *value);
bool gguf_get_bool(const struct gguf *gguf, const char *key, bool *value);
bool gguf_get_text(const struct gguf *gguf, const char *key, struct bytes *value);
bool gguf_get_texts(const struct gguf *gguf, const char *key, struct bytes **items, size_t *count);
bool gguf_get_i32s(const struct gguf *gguf, const char *key, int32_t **items, size_t *count);

// The name a file's tensor type has, "type 99" if it is unknown; and ours for it, -1 if none.
const char *gguf_type_name(uint32_t type, char text[static 16]);
int gguf_type_dtype(uint32_t type);
uint32_t gguf_dtype_type(enum dtype dtype);

// The source with some tensors replaced and notes appended (a key of the same name is replaced).
bool gguf_write_edited(const struct gguf *gguf, const struct weights *weights, const char *path,
                       const struct replacement *edits, size_t edit_count, const struct meta *notes,
                       size_t note_count);

// A new file of version 3. A tensor with rows 1 is written with one dimension.
bool gguf_write_new(const char *path, const struct meta *metas, size_t meta_count,
                    const struct tensor *tensors, size_t tensor_count);
