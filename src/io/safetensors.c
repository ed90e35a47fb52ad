#include "io/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"

#define LLU(x) ((unsigned long long)(x))
#define HEADER_MOST (100 << 20) // as the reference library has it
#define INDEX "model.safetensors.index.json"

bool shard_open(struct shard *shard, const char *path)
{
    uint64_t size = 0;
    const char *slash = strrchr(path, '/');
    *shard = (struct shard){.path = mem_text(path, strlen(path), "a path")};
    if (!shard->path || !file_map_open(&shard->map, path)) return false;
    shard->name = shard->path + (slash ? slash + 1 - path : 0);
    if (shard->map.size < sizeof size)
        return fail(STATUS_BAD_DATA, "%s is cut short: it has %zu bytes", path, shard->map.size);
    memcpy(&size, shard->map.data, sizeof size);
    if (size > HEADER_MOST || size > shard->map.size - sizeof size)
        return fail(STATUS_BAD_DATA,
                    "%s is no safetensors file or cut short: a header of %llu bytes in a file of "
                    "%zu, wanted at most 100 MiB", path, LLU(size), shard->map.size);
    shard->data_at = sizeof size + size;
    shard->header = json_object((const char *)shard->map.data + sizeof size, (size_t)size, path);
    return shard->header != NULL;
}

void shard_close(struct shard *shard)
{
    file_map_close(&shard->map);
    cJSON_Delete(shard->header);
    free(shard->path);
    *shard = (struct shard){0};
}

// A number of bytes or elements: whole, and small enough that a double holds it.
static bool count_read(const cJSON *item, uint64_t *value)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 0x1p53))
        return false;
    *value = (uint64_t)item->valuedouble;
    return (double)*value == item->valuedouble;
}

// Bytes of an element; 0 for what we do not know, which only matters if the model has it.
static uint64_t dtype_size(const char *name)
{
    static const struct {
        const char *name;
        uint64_t size;
    } sizes[] = {{"F64", 8}, {"I64", 8}, {"U64", 8}, {"F32", 4},  {"I32", 4}, {"U32", 4},
                 {"F16", 2}, {"BF16", 2}, {"I16", 2}, {"U16", 2}, {"I8", 1},  {"U8", 1},
                 {"BOOL", 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(name, sizes[i].name) == 0) return sizes[i].size;
    return 0;
}

// {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
static bool entry_read(const struct shard *shard, const cJSON *json, struct shard_entry *entry)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(json, "dtype");
    const cJSON *shape = cJSON_GetObjectItemCaseSensitive(json, "shape");
    const cJSON *offsets = cJSON_GetObjectItemCaseSensitive(json, "data_offsets");
    if (!cJSON_IsString(dtype) || !cJSON_IsArray(shape) || !cJSON_IsArray(offsets) ||
        cJSON_GetArraySize(offsets) != 2)
        return fail(STATUS_BAD_DATA,
                    "%s: tensor %s lacks one of dtype, shape and data_offsets", shard->path,
                    json->string);
    *entry = (struct shard_entry){.name = json->string, .dtype = dtype->valuestring, .json = json,
                                  .shape = {1, 1}};
    uint64_t room = shard->map.size - shard->data_at, bytes = dtype_size(entry->dtype), length;
    for (const cJSON *item = shape->child; item; item = item->next, entry->dims++) {
        if (!count_read(item, &length) || (length && bytes > UINT64_MAX / length))
            return fail(STATUS_BAD_DATA, "%s: tensor %s has an impossible shape", shard->path,
                        entry->name);
        bytes *= length;
        if (entry->dims < 2) entry->shape[entry->dims] = length;
    }
    if (!count_read(offsets->child, &entry->begin) ||
        !count_read(offsets->child->next, &entry->end) || entry->begin > entry->end ||
        entry->end > room)
        return fail(STATUS_BAD_DATA,
                    "%s is cut short or corrupted: tensor %s lies at data_offsets [%.17g, %.17g], "
                    "the file has %llu bytes of data", shard->path, entry->name,
                    offsets->child->valuedouble, offsets->child->next->valuedouble, LLU(room));
    if (dtype_size(entry->dtype) && bytes != entry->end - entry->begin)
        return fail(STATUS_BAD_DATA,
                    "%s: tensor %s of type %s and its shape take %llu bytes, its data_offsets %llu",
                    shard->path, entry->name, entry->dtype, LLU(bytes),
                    LLU(entry->end - entry->begin));
    return true;
}

static int entry_order(const void *left, const void *right)
{
    const struct shard_entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    return (a->end > b->end) - (a->end < b->end);
}

// Every byte belongs to one tensor, as the format demands.
static bool places_check(const struct shard *shard, const struct shard_entry *entries, size_t count)
{
    uint64_t at = 0, room = shard->map.size - shard->data_at;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].begin < at)
            return fail(STATUS_BAD_DATA, "%s: the data of tensors %s and %s overlap", shard->path,
                        entries[i - 1].name, entries[i].name);
        if (entries[i].begin > at)
            return fail(STATUS_BAD_DATA, "%s: %llu bytes before tensor %s belong to no tensor",
                        shard->path, LLU(entries[i].begin - at), entries[i].name);
        at = entries[i].end;
    }
    return at == room || fail(STATUS_BAD_DATA, "%s: %llu bytes at its end belong to no tensor",
                              shard->path, LLU(room - at));
}

bool shard_entries(const struct shard *shard, uint32_t number, struct safetensors *set)
{
    size_t first = set->entry_count;
    for (const cJSON *json = shard->header->child; json; json = json->next) {
        if (strcmp(json->string, "__metadata__") == 0) continue;
        if (!mem_grow(&set->entries, &set->entry_capacity, set->entry_count + 1,
                      sizeof *set->entries, "tensors") ||
            !entry_read(shard, json, &set->entries[set->entry_count]))
            return false;
        set->entries[set->entry_count++].shard = number;
    }
    if (set->entry_count == first) return places_check(shard, NULL, 0);
    qsort(set->entries + first, set->entry_count - first, sizeof *set->entries, entry_order);
    return places_check(shard, set->entries + first, set->entry_count - first);
}

char *safetensors_path(const struct safetensors *set, const char *name)
{
    size_t size = strlen(set->folder) + strlen(name) + 1;
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s%s", set->folder, name);
    return path;
}

static int name_order(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

// The different files of the index, sorted. They must lie in the folder itself.
static bool index_names(struct safetensors *set, const char ***names, size_t *count)
{
    size_t all = (size_t)cJSON_GetArraySize(set->weight_map), kept = 0;
    *names = mem_new(all, sizeof **names, "an index");
    if (!*names) return false;
    for (const cJSON *item = set->weight_map->child; item; item = item->next) {
        const char *name = cJSON_IsString(item) ? item->valuestring : "";
        if (!*name || *name == '.' || strchr(name, '/'))
            return fail(STATUS_BAD_DATA, "%s: tensor %s lies in '%s', wanted a file of the same "
                                         "folder", set->index, item->string, name);
        (*names)[kept++] = name;
    }
    qsort(*names, kept, sizeof **names, name_order);
    for (size_t i = 0; i < kept; i++)
        if (*count == 0 || strcmp((*names)[*count - 1], (*names)[i]) != 0)
            (*names)[(*count)++] = (*names)[i];
    return true;
}

static int entry_name_order(const void *left, const void *right)
{
    const struct shard_entry *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static int json_name_order(const void *left, const void *right)
{
    const cJSON *const *a = left, *const *b = right;
    return strcmp((*a)->string, (*b)->string);
}

// The index names every tensor once, and the shard that has it.
static bool index_check(const struct safetensors *set, const cJSON **lines,
                        const struct shard_entry **entries)
{
    size_t count = 0;
    for (const cJSON *item = set->weight_map->child; item; item = item->next) lines[count++] = item;
    for (size_t i = 0; i < set->entry_count; i++) entries[i] = &set->entries[i];
    qsort(lines, count, sizeof *lines, json_name_order);
    qsort(entries, set->entry_count, sizeof *entries, entry_name_order);
    for (size_t i = 0, k = 0; i < count || k < set->entry_count; i++, k++) {
        int order = i == count               ? 1
                    : k == set->entry_count ? -1
                                            : strcmp(lines[i]->string, entries[k]->name);
        if (order > 0)
            return fail(STATUS_BAD_DATA, "%s does not name tensor %s of %s", set->index,
                        entries[k]->name, set->shards[entries[k]->shard].name);
        const char *file = lines[i]->valuestring;
        if (order < 0 || strcmp(set->shards[entries[k]->shard].name, file) != 0)
            return fail(STATUS_BAD_DATA, "%s: tensor %s is not in %s", set->index, lines[i]->string,
                        file);
    }
    return true;
}

static bool shards_open(struct safetensors *set, const char *const *names, size_t count)
{
    set->shards = mem_new(count, sizeof *set->shards, "files");
    if (!set->shards) return false;
    for (; set->shard_count < count; set->shard_count++) {
        struct shard *shard = &set->shards[set->shard_count];
        char *path = safetensors_path(set, names[set->shard_count]);
        bool ok = path && shard_open(shard, path) &&
                  shard_entries(shard, (uint32_t)set->shard_count, set);
        free(path);
        if (!ok) {
            shard_close(shard);
            return false;
        }
    }
    return true;
}

static bool index_open(struct safetensors *set)
{
    const char **names = NULL;
    size_t count = 0;
    cJSON *root = json_file(set->index);
    if (!root) return false;
    set->weight_map = cJSON_DetachItemFromObjectCaseSensitive(root, "weight_map");
    cJSON_Delete(root);
    if (!cJSON_IsObject(set->weight_map))
        return fail(STATUS_BAD_DATA, "%s: key weight_map is missing or no object", set->index);
    bool ok = index_names(set, &names, &count) && shards_open(set, names, count);
    free(names);
    if (!ok) return false;
    const cJSON **lines = mem_new((size_t)cJSON_GetArraySize(set->weight_map), sizeof *lines,
                                  "an index");
    const struct shard_entry **entries = mem_new(set->entry_count, sizeof *entries, "an index");
    ok = lines && entries && index_check(set, lines, entries);
    free(lines);
    free(entries);
    return ok;
}

static bool is_file(const char *path)
{
    struct stat info;
    return path && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool ends_in(const char *path, const char *tail)
{
    size_t length = strlen(path), size = strlen(tail);
    return length >= size && strcmp(path + length - size, tail) == 0;
}

// The folder of a path, which may be one itself; *name: of the file, NULL for a folder.
static bool folder_find(struct safetensors *set, const char *path, const char **name)
{
    struct stat info;
    bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    const char *slash = strrchr(path, '/');
    size_t length = folder ? strlen(path) : slash ? (size_t)(slash - path) + 1 : 0;
    size_t size = length + 4;
    *name = folder ? NULL : slash ? slash + 1 : path;
    set->folder = mem_new(size, 1, "a path");
    if (!set->folder) return false;
    snprintf(set->folder, size, "%.*s%s", (int)length, path,
             length == 0 ? "./" : path[length - 1] == '/' ? "" : "/");
    return true;
}

bool safetensors_open(struct safetensors *set, const char *path)
{
    static const char *const single = "model.safetensors";
    const char *name;
    *set = (struct safetensors){0};
    if (!folder_find(set, path, &name)) return false;
    char *file = safetensors_path(set, single), *index = safetensors_path(set, INDEX);
    if (name && ends_in(name, ".index.json")) {
        free(index);
        index = mem_text(path, strlen(path), "a path");
    }
    bool sharded = name ? ends_in(name, ".index.json") : !is_file(file) && is_file(index);
    bool ok = file && index;
    if (ok && !name && !sharded && !is_file(file))
        ok = fail(STATUS_BAD_DATA, "%s holds no model: wanted %s or %s in it", path, single, INDEX);
    if (ok && sharded) {
        set->index = index;
        index = NULL;
        ok = index_open(set);
    } else if (ok) {
        ok = shards_open(set, name ? &name : &single, 1);
    }
    free(file);
    free(index);
    return ok;
}

void safetensors_close(struct safetensors *set)
{
    for (size_t i = 0; i < set->shard_count; i++) shard_close(&set->shards[i]);
    cJSON_Delete(set->weight_map);
    cJSON_Delete(set->config);
    cJSON_Delete(set->notes);
    free(set->shards);
    free(set->entries);
    free(set->folder);
    free(set->index);
    free(set->tokenizer);
    *set = (struct safetensors){0};
}
