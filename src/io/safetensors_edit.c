// Edited copies of folders: only the shard that holds an edited tensor is written anew.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "io/folder_out.h"
#include "io/pack_write.h"
#include "io/safetensors.h"

// What is being written.
struct copy {
    const struct weights *weights;
    const struct safetensors *set;
    struct folder_out out;
    const struct replacement *edits;
    size_t edit_count;
    const struct meta *notes;
    size_t note_count;
    int64_t grown; // bytes that the tensors take more than the source's
};

static const struct replacement *edit_find(const struct copy *copy, const char *name)
{
    for (size_t i = 0; i < copy->edit_count; i++)
        if (strcmp(copy->edits[i].tensor->name, name) == 0) return &copy->edits[i];
    return NULL;
}

static bool shard_edited(const struct copy *copy, uint32_t number)
{
    for (size_t i = 0; i < copy->set->entry_count; i++)
        if (copy->set->entries[i].shard == number && edit_find(copy, copy->set->entries[i].name))
            return true;
    return false;
}

static uint64_t entry_bytes(const struct shard_entry *entry, const struct replacement *edit)
{
    if (!edit) return entry->end - entry->begin;
    const struct dtype_info *info = &dtype_table[edit->dtype];
    return edit->tensor->rows * edit->tensor->cols / info->block * info->bytes;
}

// The provenance: texts and numbers under their keys, as one text, since metadata holds no other.
static char *notes_text(const struct copy *copy)
{
    cJSON *root = cJSON_CreateObject();
    for (size_t i = 0; i < copy->note_count; i++) {
        const struct meta *note = &copy->notes[i];
        if (note->kind == META_TEXT) cJSON_AddStringToObject(root, note->key, note->text);
        if (note->kind == META_U32) cJSON_AddNumberToObject(root, note->key, note->u32);
    }
    char *text = json_text(root, false, "the provenance");
    cJSON_Delete(root);
    return text;
}

// The source's header with the notes, and with new places where a type has changed.
static char *header_text(const struct copy *copy, uint32_t number)
{
    char *notes = notes_text(copy), *text = NULL;
    cJSON *root = notes ? cJSON_Duplicate(copy->set->shards[number].header, true) : NULL;
    cJSON *meta = cJSON_GetObjectItemCaseSensitive(root, "__metadata__");
    uint64_t at = 0;
    if (root && !meta) meta = cJSON_AddObjectToObject(root, "__metadata__");
    cJSON_DeleteItemFromObjectCaseSensitive(meta, "oedit");
    cJSON_AddStringToObject(meta, "oedit", notes ? notes : "");
    for (size_t i = 0; root && i < copy->set->entry_count; i++) {
        const struct shard_entry *entry = &copy->set->entries[i];
        if (entry->shard != number) continue;
        const struct replacement *edit = edit_find(copy, entry->name);
        cJSON *json = cJSON_GetObjectItemCaseSensitive(root, entry->name);
        cJSON *offsets = cJSON_GetObjectItemCaseSensitive(json, "data_offsets");
        uint64_t end = at + entry_bytes(entry, edit);
        if (edit)
            cJSON_ReplaceItemInObjectCaseSensitive(
                json, "dtype", cJSON_CreateString(dtype_table[edit->dtype].name));
        if (offsets) cJSON_SetNumberHelper(offsets->child, (double)at);
        if (offsets) cJSON_SetNumberHelper(offsets->child->next, (double)end);
        at = end;
    }
    text = json_text(root, false, "a safetensors header");
    cJSON_Delete(root);
    cJSON_free(notes);
    return text;
}

static bool tensors_put(struct copy *copy, uint32_t number, struct file_out *file)
{
    const struct shard *shard = &copy->set->shards[number];
    for (size_t i = 0; i < copy->set->entry_count; i++) {
        const struct shard_entry *entry = &copy->set->entries[i];
        const struct replacement *edit = edit_find(copy, entry->name);
        if (entry->shard != number) continue;
        copy->grown += (int64_t)(entry_bytes(entry, edit) - (entry->end - entry->begin));
        bool ok = edit ? pack_write(file, (struct bytes){entry->name, strlen(entry->name)},
                                    edit->dtype, edit->data, edit->tensor->rows,
                                    edit->tensor->cols)
                       : file_out_write(file, shard->map.data + shard->data_at + entry->begin,
                                        entry->end - entry->begin);
        if (!ok) return false;
    }
    return true;
}

static bool shard_write(struct copy *copy, uint32_t number)
{
    char *path = folder_out_path(&copy->out, copy->set->shards[number].name);
    char *text = path ? header_text(copy, number) : NULL;
    uint64_t used = text ? strlen(text) : 0, size = (used + 7) / 8 * 8;
    struct file_out file = {0};
    bool ok = text && file_out_open(&file, path);
    if (ok) {
        ok = file_out_write(&file, &size, sizeof size) && file_out_write(&file, text, used) &&
             file_out_write(&file, "       ", size - used) && tensors_put(copy, number, &file);
        ok = file_out_close(&file, ok);
    }
    cJSON_free(text);
    free(path);
    return ok;
}

static bool shards_write(struct copy *copy)
{
    for (uint32_t i = 0; i < copy->set->shard_count; i++) {
        const struct shard *shard = &copy->set->shards[i];
        if (!(shard_edited(copy, i) ? shard_write(copy, i)
                                    : folder_out_copy(&copy->out, shard->path, shard->name, true)))
            return false;
    }
    return true;
}

// The index says how many bytes there are in all; it is copied as it is where that has not changed.
static bool index_write(const struct copy *copy)
{
    const char *from = copy->set->index;
    if (!from) return true;
    const char *name = strrchr(from, '/') ? strrchr(from, '/') + 1 : from;
    if (copy->grown == 0) return folder_out_copy(&copy->out, from, name, false);
    cJSON *root = json_file(from);
    cJSON *total = cJSON_GetObjectItemCaseSensitive(
        cJSON_GetObjectItemCaseSensitive(root, "metadata"), "total_size");
    if (cJSON_IsNumber(total))
        cJSON_SetNumberHelper(total, total->valuedouble + (double)copy->grown);
    char *text = root ? json_text(root, true, "an index") : NULL;
    char *path = folder_out_path(&copy->out, name);
    struct file_out file = {0};
    bool ok = text && path && file_out_open(&file, path);
    if (ok) ok = file_out_close(&file, file_out_write(&file, text, strlen(text)));
    cJSON_Delete(root);
    cJSON_free(text);
    free(path);
    return ok;
}

// Files that are no part of this model: weights in other formats, and what is hidden.
static bool wanted(const struct copy *copy, const char *name)
{
    static const char *const others[] = {".safetensors", ".bin", ".pt",   ".pth", ".gguf", ".h5",
                                         ".msgpack",     ".ot",  ".onnx", ".journal",
                                         ".safetensors.index.json"};
    size_t length = strlen(name);
    if (name[0] == '.') return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        size_t size = strlen(others[i]);
        if (length > size && strcmp(name + length - size, others[i]) == 0) return false;
    }
    for (size_t i = 0; i < copy->set->shard_count; i++)
        if (strcmp(copy->set->shards[i].name, name) == 0) return false;
    return true;
}

static bool other_write(void *user, const char *name, enum folder_thing what)
{
    const struct copy *copy = user;
    if (what != THING_FILE || !wanted(copy, name)) return true;
    char *from = safetensors_path(copy->set, name);
    bool ok = from && folder_out_copy(&copy->out, from, name, false);
    free(from);
    return ok;
}

bool safetensors_write_edited(const struct weights *weights, const char *path,
                              const struct replacement *edits, size_t edit_count,
                              const struct meta *notes, size_t note_count)
{
    struct copy copy = {.weights = weights, .set = weights->state, .edits = edits,
                        .edit_count = edit_count, .notes = notes, .note_count = note_count};
    if (file_same(copy.set->folder, path))
        return fail(STATUS_FAILED, "cannot write %s: it is the model that is being read (%s)", path,
                    weights->path);
    for (size_t i = 0; i < edit_count; i++)
        if (edits[i].dtype > DTYPE_BF16)
            return fail(STATUS_FAILED, "cannot write %s: safetensors have no %s, wanted F32, F16 "
                                       "or BF16", path, dtype_table[edits[i].dtype].name);
    if (!folder_out_open(&copy.out, path, "config.json")) return false;
    // The rest is config.json, the tokenizer's files, generation_config.json and what else is
    // there.
    bool ok = shards_write(&copy) && index_write(&copy) &&
              folder_each(copy.set->folder, other_write, &copy);
    return folder_out_close(&copy.out, ok);
}
