// Writing GGUF files: edited copies of a source, and small new ones.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/gguf.h"
#include "io/pack_write.h"

// One tensor to be written, from bytes as they are or from floats.
struct item {
    struct bytes name;
    uint32_t dims;
    uint64_t ne[4];
    enum dtype dtype;
    const uint8_t *raw;
    const float *floats;
    uint64_t bytes, at;
};

// A whole file to be written. `order` says in which order the items' data lie.
struct plan {
    uint32_t version;
    uint64_t alignment;
    const struct bytes *records; // metadata entries taken over as they are
    size_t record_count;
    const struct meta *metas;
    size_t meta_count;
    struct item *items;
    size_t *order;
    size_t item_count;
};

struct writer {
    struct file_out file;
    uint64_t at;
};

static bool put(struct writer *writer, const void *data, size_t size)
{
    writer->at += size;
    return file_out_write(&writer->file, data, size);
}

static bool put_u32(struct writer *writer, uint32_t value)
{
    return put(writer, &value, sizeof value);
}

static bool put_u64(struct writer *writer, uint64_t value)
{
    return put(writer, &value, sizeof value);
}

static bool put_text(struct writer *writer, const char *text, size_t size)
{
    return put_u64(writer, size) && put(writer, text, size);
}

// Zeros up to the next multiple of the alignment.
static bool put_padding(struct writer *writer, uint64_t alignment)
{
    static const uint8_t zeros[256];
    uint64_t missing = (alignment - writer->at % alignment) % alignment;
    for (uint64_t step; missing; missing -= step) {
        step = missing < sizeof zeros ? missing : sizeof zeros;
        if (!put(writer, zeros, (size_t)step)) return false;
    }
    return true;
}

// Name, type, value; an array has its items' type and number before them.
static bool put_meta(struct writer *writer, const struct meta *meta)
{
    uint8_t truth = meta->u32 != 0;
    if (!put_text(writer, meta->key, strlen(meta->key))) return false;
    switch (meta->kind) {
    case META_TEXT:
        return put_u32(writer, GGUF_TEXT) && put_text(writer, meta->text, strlen(meta->text));
    case META_U32:
        return put_u32(writer, GGUF_U32) && put_u32(writer, meta->u32);
    case META_F32:
        return put_u32(writer, GGUF_F32) && put(writer, &meta->f32, sizeof meta->f32);
    case META_BOOL:
        return put_u32(writer, GGUF_BOOL) && put(writer, &truth, 1);
    case META_TEXTS:
        if (!put_u32(writer, GGUF_ARRAY) || !put_u32(writer, GGUF_TEXT) ||
            !put_u64(writer, meta->count))
            return false;
        for (size_t i = 0; i < meta->count; i++)
            if (!put_text(writer, meta->texts[i], strlen(meta->texts[i]))) return false;
        return true;
    case META_I32S:
        return put_u32(writer, GGUF_ARRAY) && put_u32(writer, GGUF_I32) &&
               put_u64(writer, meta->count) &&
               put(writer, meta->i32s, meta->count * sizeof *meta->i32s);
    }
    return false;
}

// A tensor's entry: name, shape, type, offset.
static bool put_entry(struct writer *writer, const struct item *item)
{
    bool ok = put_text(writer, item->name.data, item->name.size) && put_u32(writer, item->dims);
    for (uint32_t i = 0; ok && i < item->dims; i++) ok = put_u64(writer, item->ne[i]);
    return ok && put_u32(writer, gguf_dtype_type(item->dtype)) && put_u64(writer, item->at);
}

// Floats in the item's type; what that cannot hold is refused.
static bool put_floats(struct writer *writer, const struct item *item)
{
    writer->at += item->bytes;
    return pack_write(&writer->file, item->name, item->dtype, item->floats,
                      item->ne[1] * item->ne[2] * item->ne[3], item->ne[0]);
}

// Offsets count from the start of the data; each tensor, the last one too, is padded.
static void plan_offsets(struct plan *plan)
{
    uint64_t at = 0;
    for (size_t i = 0; i < plan->item_count; i++) {
        struct item *item = &plan->items[plan->order[i]];
        item->at = at;
        at += (item->bytes + plan->alignment - 1) / plan->alignment * plan->alignment;
    }
}

// The parts in the order of the file: header, metadata, entries, data.
static bool plan_put(const struct plan *plan, struct writer *writer)
{
    bool ok = put(writer, "GGUF", 4) && put_u32(writer, plan->version) &&
              put_u64(writer, plan->item_count) &&
              put_u64(writer, plan->record_count + plan->meta_count);
    for (size_t i = 0; ok && i < plan->record_count; i++)
        ok = put(writer, plan->records[i].data, plan->records[i].size);
    for (size_t i = 0; ok && i < plan->meta_count; i++) ok = put_meta(writer, &plan->metas[i]);
    for (size_t i = 0; ok && i < plan->item_count; i++) ok = put_entry(writer, &plan->items[i]);
    ok = ok && put_padding(writer, plan->alignment);
    for (size_t i = 0; ok && i < plan->item_count; i++) {
        const struct item *item = &plan->items[plan->order[i]];
        ok = item->floats ? put_floats(writer, item) : put(writer, item->raw, (size_t)item->bytes);
        ok = ok && put_padding(writer, plan->alignment);
    }
    return ok;
}

static bool plan_write(struct plan *plan, const char *path)
{
    struct writer writer = {0};
    plan_offsets(plan);
    if (!file_out_open(&writer.file, path)) return false;
    bool ok = plan_put(plan, &writer);
    return file_out_close(&writer.file, ok);
}

// All metadata of the source but what a note of the same name replaces.
static bool records_collect(const struct gguf *gguf, const struct meta *notes, size_t note_count,
                            struct bytes **records, size_t *count)
{
    *records = mem_new(gguf->key_count, sizeof **records, "metadata");
    if (!*records) return false;
    for (size_t i = 0; i < gguf->key_count; i++) {
        const struct gguf_key *key = &gguf->keys[i];
        bool replaced = false;
        for (size_t j = 0; j < note_count; j++)
            replaced = replaced || (strlen(notes[j].key) == key->name.size &&
                                    memcmp(notes[j].key, key->name.data, key->name.size) == 0);
        if (!replaced) (*records)[(*count)++] = key->record;
    }
    return true;
}

struct place {
    uint64_t at;
    size_t index;
};

static int place_order(const void *left, const void *right)
{
    const struct place *a = left, *b = right;
    return (a->at > b->at) - (a->at < b->at);
}

// The order of the source's data, which need not be that of its entries.
static bool order_collect(const struct gguf *gguf, size_t *order)
{
    struct place *places = mem_new(gguf->entry_count, sizeof *places, "tensors");
    if (!places) return false;
    for (size_t i = 0; i < gguf->entry_count; i++)
        places[i] = (struct place){gguf->entries[i].at, i};
    qsort(places, gguf->entry_count, sizeof *places, place_order);
    for (size_t i = 0; i < gguf->entry_count; i++) order[i] = places[i].index;
    free(places);
    return true;
}

// One tensor of the copy: the source's bytes, or the floats of the edit that replaces it.
static void item_fill(struct item *item, const struct gguf_entry *entry,
                      const struct tensor *tensor, const struct replacement *edits,
                      size_t edit_count)
{
    *item = (struct item){.name = entry->name,
                          .dims = entry->dims,
                          .dtype = tensor->dtype,
                          .raw = tensor->data,
                          .bytes = tensor->bytes};
    memcpy(item->ne, entry->ne, sizeof item->ne);
    for (size_t i = 0; i < edit_count; i++) {
        if (edits[i].tensor != tensor) continue;
        const struct dtype_info *info = &dtype_table[edits[i].dtype];
        assert(tensor->cols % info->block == 0);
        item->dtype = edits[i].dtype;
        item->floats = edits[i].data;
        item->bytes = tensor->rows * tensor->cols / info->block * info->bytes;
    }
}

bool gguf_write_edited(const struct gguf *gguf, const struct weights *weights, const char *path,
                       const struct replacement *edits, size_t edit_count, const struct meta *notes,
                       size_t note_count)
{
    if (file_same(gguf->path, path))
        return fail(STATUS_FAILED, "cannot write %s: it is the model that is being read (%s)", path,
                    gguf->path);
    struct bytes *records = NULL;
    struct plan plan = {.version = gguf->version,
                        .alignment = gguf->alignment,
                        .metas = notes,
                        .meta_count = note_count,
                        .item_count = gguf->entry_count};
    plan.items = mem_new(plan.item_count, sizeof *plan.items, "tensors");
    plan.order = mem_new(plan.item_count, sizeof *plan.order, "tensors");
    bool ok = plan.items && plan.order && order_collect(gguf, plan.order) &&
              records_collect(gguf, notes, note_count, &records, &plan.record_count);
    plan.records = records;
    for (size_t i = 0; ok && i < plan.item_count; i++)
        item_fill(&plan.items[i], &gguf->entries[i], &weights->tensors[i], edits, edit_count);
    ok = ok && plan_write(&plan, path);
    free(records);
    free(plan.items);
    free(plan.order);
    return ok;
}

bool gguf_write_new(const char *path, const struct meta *metas, size_t meta_count,
                    const struct tensor *tensors, size_t tensor_count)
{
    struct plan plan = {.version = 3,
                        .alignment = 32,
                        .metas = metas,
                        .meta_count = meta_count,
                        .item_count = tensor_count};
    for (size_t i = 0; i < meta_count; i++)
        if (strcmp(metas[i].key, "general.alignment") == 0) plan.alignment = metas[i].u32;
    plan.items = mem_new(tensor_count, sizeof *plan.items, "tensors");
    plan.order = mem_new(tensor_count, sizeof *plan.order, "tensors");
    bool ok = plan.items && plan.order;
    for (size_t i = 0; ok && i < tensor_count; i++) {
        const struct tensor *tensor = &tensors[i];
        plan.order[i] = i;
        plan.items[i] = (struct item){
            .name = {tensor->name, strlen(tensor->name)},
            .dims = tensor->rows == 1 ? 1 : 2,
            .ne = {tensor->cols, tensor->rows, 1, 1},
            .dtype = tensor->dtype,
            .raw = tensor->data,
            .bytes = tensor->bytes,
        };
    }
    ok = ok && plan_write(&plan, path);
    free(plan.items);
    free(plan.order);
    return ok;
}
