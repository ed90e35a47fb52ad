#include "io/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

#define LLU(x) ((unsigned long long)(x))

// Nothing in a file of unknown origin is trusted: every count, length and offset is compared with
// what is left of the file before it is used, and sums are arranged so that they cannot overflow.

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the reader takes numbers from the file as they lie in memory: little endian"
#endif

static const struct {
    const char *name;
    uint8_t size; // bytes; 0: not of fixed size
} value_types[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_TEXT] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

// The tensor types of the file format by number; dtype -1: known by name only.
static const struct {
    uint32_t type;
    int dtype;
    const char *name;
} tensor_types[] = {
    {0, DTYPE_F32, "F32"},    {1, DTYPE_F16, "F16"},    {2, DTYPE_Q4_0, "Q4_0"},
    {3, DTYPE_Q4_1, "Q4_1"},  {6, DTYPE_Q5_0, "Q5_0"},  {7, DTYPE_Q5_1, "Q5_1"},
    {8, DTYPE_Q8_0, "Q8_0"},  {9, -1, "Q8_1"},          {10, -1, "Q2_K"},
    {11, -1, "Q3_K"},         {12, DTYPE_Q4_K, "Q4_K"}, {13, DTYPE_Q5_K, "Q5_K"},
    {14, DTYPE_Q6_K, "Q6_K"}, {15, -1, "Q8_K"},         {16, -1, "IQ2_XXS"},
    {17, -1, "IQ2_XS"},       {18, -1, "IQ3_XXS"},      {19, -1, "IQ1_S"},
    {20, -1, "IQ4_NL"},       {21, -1, "IQ3_S"},        {22, -1, "IQ2_S"},
    {23, -1, "IQ4_XS"},       {24, -1, "I8"},           {25, -1, "I16"},
    {26, -1, "I32"},          {27, -1, "I64"},          {28, -1, "F64"},
    {29, -1, "IQ1_M"},        {30, DTYPE_BF16, "BF16"}, {34, -1, "TQ1_0"},
    {35, -1, "TQ2_0"},        {39, -1, "MXFP4"},        {40, -1, "NVFP4"},
};
#define TENSOR_TYPES (sizeof tensor_types / sizeof *tensor_types)

const char *gguf_type_name(uint32_t type, char text[static 16])
{
    for (size_t i = 0; i < TENSOR_TYPES; i++)
        if (tensor_types[i].type == type) return tensor_types[i].name;
    snprintf(text, 16, "type %u", type);
    return text;
}

int gguf_type_dtype(uint32_t type)
{
    for (size_t i = 0; i < TENSOR_TYPES; i++)
        if (tensor_types[i].type == type) return tensor_types[i].dtype;
    return -1;
}

uint32_t gguf_dtype_type(enum dtype dtype)
{
    for (size_t i = 0; i < TENSOR_TYPES; i++)
        if (tensor_types[i].dtype == (int)dtype) return tensor_types[i].type;
    return UINT32_MAX;
}

// A place in the file; every read is checked against the end.
struct cursor {
    const char *path;
    const uint8_t *data;
    size_t at, size;
};

// The next `size` bytes of the file; `what` is for the message.
static bool cursor_take(struct cursor *cursor, uint64_t size, const char *what,
                        const uint8_t **bytes)
{
    if (size > cursor->size - cursor->at) {
        fail(STATUS_BAD_DATA,
             "%s is cut short or corrupted: %s at byte %zu takes %llu bytes, the file has %zu "
             "left",
             cursor->path, what, cursor->at, LLU(size), cursor->size - cursor->at);
        return false; // said so that the compiler sees it, too
    }
    *bytes = cursor->data + cursor->at;
    cursor->at += (size_t)size;
    return true;
}

static bool cursor_u32(struct cursor *cursor, const char *what, uint32_t *value)
{
    const uint8_t *bytes;
    if (!cursor_take(cursor, sizeof *value, what, &bytes)) return false;
    memcpy(value, bytes, sizeof *value);
    return true;
}

static bool cursor_u64(struct cursor *cursor, const char *what, uint64_t *value)
{
    const uint8_t *bytes;
    if (!cursor_take(cursor, sizeof *value, what, &bytes)) return false;
    memcpy(value, bytes, sizeof *value);
    return true;
}

// u64 size, then the bytes; not terminated.
static bool cursor_text(struct cursor *cursor, const char *what, struct bytes *text)
{
    uint64_t size;
    const uint8_t *bytes;
    if (!cursor_u64(cursor, what, &size) || !cursor_take(cursor, size, what, &bytes)) return false;
    *text = (struct bytes){(const char *)bytes, (size_t)size};
    return true;
}

// Text of the file in a message: at most 60 bytes of it.
static int shown(struct bytes text)
{
    return text.size < 60 ? (int)text.size : 60;
}

// The value of one metadata entry, whose type is read already.
static bool key_value_read(struct cursor *cursor, struct gguf_key *key)
{
    size_t start = cursor->at;
    uint32_t item;
    const uint8_t *bytes;
    key->item = key->type;
    key->count = 1;
    if (key->type == GGUF_ARRAY) {
        if (!cursor_u32(cursor, "an array's type", &item)) return false;
        if (item >= GGUF_TYPE_COUNT || item == GGUF_ARRAY)
            return fail(STATUS_BAD_DATA,
                        "%s: metadata %.*s is an array of %s, wanted numbers, bools or strings",
                        cursor->path, shown(key->name), key->name.data,
                        item == GGUF_ARRAY ? "arrays" : "an unknown type");
        key->item = (enum gguf_type)item;
        if (!cursor_u64(cursor, "an array's length", &key->count)) return false;
        start = cursor->at;
    }
    uint64_t size = value_types[key->item].size;
    if (size && key->count > UINT64_MAX / size) size = 1; // refused by the next line all the same
    if (size && !cursor_take(cursor, key->count * size, "a metadata value", &bytes)) return false;
    for (uint64_t i = 0; i < key->count && !size; i++) {
        struct bytes text;
        if (!cursor_text(cursor, "a metadata string", &text)) return false;
    }
    key->data = (struct bytes){(const char *)cursor->data + start, cursor->at - start};
    return true;
}

// By bytes, a shorter name before a longer one that starts like it.
static int key_order(const void *left, const void *right)
{
    const struct bytes *a = &(*(const struct gguf_key *const *)left)->name;
    const struct bytes *b = &(*(const struct gguf_key *const *)right)->name;
    int order = memcmp(a->data, b->data, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

// Sorted rather than compared pair by pair: a hostile file may have a million keys.
static bool keys_unique(const struct gguf *gguf)
{
    const struct gguf_key **sorted = mem_new(gguf->key_count, sizeof *sorted, "metadata");
    if (!sorted) return false;
    for (size_t i = 0; i < gguf->key_count; i++) sorted[i] = &gguf->keys[i];
    qsort(sorted, gguf->key_count, sizeof *sorted, key_order);
    bool ok = true;
    for (size_t i = 1; i < gguf->key_count && ok; i++)
        if (key_order(&sorted[i - 1], &sorted[i]) == 0)
            ok = fail(STATUS_BAD_DATA, "%s: metadata %.*s stands there twice", gguf->path,
                      shown(sorted[i]->name), sorted[i]->name.data);
    free(sorted);
    return ok;
}

// Each entry: name, u32 type, value.
static bool keys_read(struct gguf *gguf, struct cursor *cursor, uint64_t count)
{
    // The shortest entry has 13 bytes, so a hostile count cannot ask for much memory.
    if (count > (cursor->size - cursor->at) / 13)
        return fail(STATUS_BAD_DATA,
                    "%s is cut short or corrupted: %llu metadata entries in %zu bytes",
                    cursor->path, LLU(count), cursor->size - cursor->at);
    gguf->keys = mem_new((size_t)count, sizeof *gguf->keys, "metadata");
    if (!gguf->keys) return false;
    for (; gguf->key_count < count; gguf->key_count++) {
        struct gguf_key *key = &gguf->keys[gguf->key_count];
        size_t start = cursor->at;
        uint32_t type;
        if (!cursor_text(cursor, "a metadata name", &key->name) ||
            !cursor_u32(cursor, "a metadata type", &type))
            return false;
        if (type >= GGUF_TYPE_COUNT)
            return fail(STATUS_BAD_DATA, "%s: metadata %.*s has the unknown type %u", cursor->path,
                        shown(key->name), key->name.data, type);
        key->type = (enum gguf_type)type;
        if (!key_value_read(cursor, key)) return false;
        key->record = (struct bytes){(const char *)cursor->data + start, cursor->at - start};
    }
    return keys_unique(gguf);
}

// Name, u32 dimensions, u64 ne[dimensions], u32 type, u64 offset. What they mean for a model is
// checked where tensors are made of them (gguf_model.c).
static bool entry_read(struct cursor *cursor, struct gguf_entry *entry)
{
    if (!cursor_text(cursor, "a tensor's name", &entry->name) ||
        !cursor_u32(cursor, "a tensor's dimensions", &entry->dims))
        return false;
    if (entry->dims < 1 || entry->dims > 4)
        return fail(STATUS_BAD_DATA, "%s: tensor %.*s has %u dimensions, wanted 1 to 4",
                    cursor->path, shown(entry->name), entry->name.data, entry->dims);
    for (uint32_t i = 0; i < 4; i++) {
        entry->ne[i] = 1;
        if (i < entry->dims && !cursor_u64(cursor, "a tensor's shape", &entry->ne[i])) return false;
    }
    return cursor_u32(cursor, "a tensor's type", &entry->type) &&
           cursor_u64(cursor, "a tensor's offset", &entry->at);
}

static bool entries_read(struct gguf *gguf, struct cursor *cursor, uint64_t count)
{
    if (count > (cursor->size - cursor->at) / 32) // the shortest entry's size
        return fail(STATUS_BAD_DATA, "%s is cut short or corrupted: %llu tensors in %zu bytes",
                    cursor->path, LLU(count), cursor->size - cursor->at);
    gguf->entries = mem_new((size_t)count, sizeof *gguf->entries, "tensors");
    if (!gguf->entries) return false;
    for (; gguf->entry_count < count; gguf->entry_count++)
        if (!entry_read(cursor, &gguf->entries[gguf->entry_count])) return false;
    return true;
}

// Magic word, u32 version, u64 tensors, u64 metadata entries. Version 1 had 32-bit counts.
static bool header_read(struct gguf *gguf, struct cursor *cursor, uint64_t *tensors, uint64_t *keys)
{
    const uint8_t *magic;
    if (!cursor_take(cursor, 4, "the magic word", &magic)) return false;
    if (memcmp(magic, "GGUF", 4) != 0)
        return fail(STATUS_BAD_DATA, "%s is no GGUF file: it starts with %02x %02x %02x %02x",
                    cursor->path, magic[0], magic[1], magic[2], magic[3]);
    if (!cursor_u32(cursor, "the version", &gguf->version)) return false;
    if (gguf->version && (gguf->version & 0xffff) == 0)
        return fail(STATUS_BAD_DATA, "%s is a big-endian GGUF file, wanted little endian",
                    cursor->path);
    if (gguf->version != 2 && gguf->version != 3)
        return fail(STATUS_BAD_DATA, "%s has GGUF version %u, wanted 2 or 3", cursor->path,
                    gguf->version);
    return cursor_u64(cursor, "the number of tensors", tensors) &&
           cursor_u64(cursor, "the number of metadata entries", keys);
}

bool gguf_open(struct gguf *gguf, const char *path)
{
    *gguf = (struct gguf){.path = path};
    if (!file_map_open(&gguf->map, path)) return false;
    struct cursor cursor = {.path = path, .data = gguf->map.data, .size = gguf->map.size};
    uint64_t tensors = 0, keys = 0;
    uint32_t alignment = 32;
    bool ok = header_read(gguf, &cursor, &tensors, &keys) && keys_read(gguf, &cursor, keys) &&
              entries_read(gguf, &cursor, tensors) &&
              gguf_get_u32(gguf, "general.alignment", &alignment);
    if (ok && (alignment < 8 || alignment > 1u << 20 || (alignment & (alignment - 1))))
        ok = fail(STATUS_BAD_DATA,
                  "%s: general.alignment is %u, wanted a power of two from 8 to 2^20", path,
                  alignment);
    gguf->alignment = alignment;
    gguf->data_at = ok ? (cursor.at + alignment - 1) / alignment * alignment : 0;
    if (ok && gguf->entry_count && gguf->data_at > cursor.size)
        ok =
            fail(STATUS_BAD_DATA, "%s is cut short: the data starts at byte %llu, the file has %zu",
                 path, LLU(gguf->data_at), cursor.size);
    if (!ok) gguf_close(gguf);
    return ok;
}

void gguf_close(struct gguf *gguf)
{
    file_map_close(&gguf->map);
    free(gguf->keys);
    free(gguf->entries);
    free(gguf->names);
    *gguf = (struct gguf){0};
}

const struct gguf_key *gguf_find(const struct gguf *gguf, const char *key)
{
    size_t size = strlen(key);
    for (size_t i = 0; i < gguf->key_count; i++) {
        const struct bytes *name = &gguf->keys[i].name;
        if (name->size == size && memcmp(name->data, key, size) == 0) return &gguf->keys[i];
    }
    return NULL;
}

static bool wrong_type(const struct gguf *gguf, const char *name, const struct gguf_key *key,
                       const char *wanted)
{
    return fail(STATUS_BAD_DATA, "%s: metadata %s is %s%s, wanted %s", gguf->path, name,
                key->type == GGUF_ARRAY ? "an array of " : "of type ", value_types[key->item].name,
                wanted);
}

// The integer at `data`, of any integer type; false if the type is none.
static bool integer_read(enum gguf_type type, const char *data, int64_t *value)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } raw;
    if (type == GGUF_TEXT || type == GGUF_ARRAY) return false;
    memcpy(&raw, data, value_types[type].size);
    switch (type) {
    case GGUF_U8:
        *value = raw.u8;
        return true;
    case GGUF_I8:
        *value = raw.i8;
        return true;
    case GGUF_U16:
        *value = raw.u16;
        return true;
    case GGUF_I16:
        *value = raw.i16;
        return true;
    case GGUF_U32:
        *value = raw.u32;
        return true;
    case GGUF_I32:
        *value = raw.i32;
        return true;
    case GGUF_U64:
        *value = raw.u64 > INT64_MAX ? INT64_MAX : (int64_t)raw.u64;
        return true;
    case GGUF_I64:
        *value = raw.i64;
        return true;
    default:
        return false;
    }
}

bool gguf_get_i64(const struct gguf *gguf, const char *key, int64_t *value)
{
    const struct gguf_key *found = gguf_find(gguf, key);
    if (!found) return true;
    if (integer_read(found->type, found->data.data, value)) return true;
    return wrong_type(gguf, key, found, "an integer");
}

// Writers differ in the integer types they choose, so any is read and its value is checked.
bool gguf_get_u32(const struct gguf *gguf, const char *key, uint32_t *value)
{
    int64_t wide = *value;
    if (!gguf_get_i64(gguf, key, &wide)) return false;
    if (wide < 0 || wide > UINT32_MAX)
        return fail(STATUS_BAD_DATA, "%s: metadata %s is %lld, wanted 0 to 4294967295", gguf->path,
                    key, (long long)wide);
    *value = (uint32_t)wide;
    return true;
}

bool gguf_get_f32(const struct gguf *gguf, const char *key, float *value)
{
    const struct gguf_key *found = gguf_find(gguf, key);
    if (!found) return true;
    double wide = 0;
    if (found->type == GGUF_F32)
        memcpy(value, found->data.data, sizeof *value);
    else if (found->type == GGUF_F64)
        memcpy(&wide, found->data.data, sizeof wide);
    else
        return wrong_type(gguf, key, found, "f32");
    if (found->type == GGUF_F64) *value = fabs(wide) > 3.4e38 ? (float)INFINITY : (float)wide;
    return true;
}

bool gguf_get_bool(const struct gguf *gguf, const char *key, bool *value)
{
    const struct gguf_key *found = gguf_find(gguf, key);
    if (!found) return true;
    if (found->type != GGUF_BOOL) return wrong_type(gguf, key, found, "bool");
    *value = found->data.data[0] != 0;
    return true;
}

bool gguf_get_text(const struct gguf *gguf, const char *key, struct bytes *value)
{
    const struct gguf_key *found = gguf_find(gguf, key);
    if (!found) return true;
    if (found->type != GGUF_TEXT) return wrong_type(gguf, key, found, "a string");
    *value = (struct bytes){found->data.data + 8, found->data.size - 8};
    return true;
}

bool gguf_get_texts(const struct gguf *gguf, const char *key, struct bytes **items, size_t *count)
{
    const struct gguf_key *found = gguf_find(gguf, key);
    if (!found) return true;
    if (found->type != GGUF_ARRAY || found->item != GGUF_TEXT)
        return wrong_type(gguf, key, found, "an array of strings");
    *items = mem_new((size_t)found->count, sizeof **items, key);
    if (!*items) return false;
    *count = (size_t)found->count;
    const char *at = found->data.data; // checked when the key was read
    for (size_t i = 0; i < *count; i++) {
        uint64_t size;
        memcpy(&size, at, sizeof size);
        (*items)[i] = (struct bytes){at + 8, (size_t)size};
        at += 8 + size;
    }
    return true;
}

bool gguf_get_i32s(const struct gguf *gguf, const char *key, int32_t **items, size_t *count)
{
    const struct gguf_key *found = gguf_find(gguf, key);
    if (!found) return true;
    int64_t wide = 0;
    if (found->type != GGUF_ARRAY || found->item == GGUF_TEXT ||
        (found->count && !integer_read(found->item, found->data.data, &wide)))
        return wrong_type(gguf, key, found, "an array of integers");
    *items = mem_new((size_t)found->count, sizeof **items, key);
    if (!*items) return false;
    *count = (size_t)found->count;
    for (size_t i = 0; i < *count; i++) {
        integer_read(found->item, found->data.data + i * value_types[found->item].size, &wide);
        if (wide < INT32_MIN || wide > INT32_MAX)
            return fail(STATUS_BAD_DATA, "%s: metadata %s, item %zu is %lld, wanted 32 bits",
                        gguf->path, key, i, (long long)wide);
        (*items)[i] = (int32_t)wide;
    }
    return true;
}
