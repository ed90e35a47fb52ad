#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "model/forward.h"

enum { TOKENS, POS, SLOT, FIRST, COUNT, LAST, FIELDS };

static bool fill_rows(struct batch *batch, const struct model *model,
                      const struct sequence *sequences, size_t count, uint32_t *fields)
{
    uint32_t row = 0, rows = batch->rows;
    for (size_t s = 0; s < count; s++) {
        const struct sequence *q = &sequences[s];
        if (q->end > model->positions)
            return fail(STATUS_BAD_DATA, "a text of %u tokens, wanted at most %u (the context)",
                        q->end, model->positions);
        uint32_t last = row + q->end - q->begin;
        if (q->end > batch->longest) batch->longest = q->end;
        for (uint32_t p = q->begin; p < q->end; p++, row++) {
            if (q->tokens[p] >= model->config.vocab)
                return fail(STATUS_BAD_DATA, "token %u at position %u, wanted less than %u",
                            q->tokens[p], p, model->config.vocab);
            fields[TOKENS * rows + row] = q->tokens[p];
            fields[POS * rows + row] = p;
            fields[SLOT * rows + row] = q->slot + p;
            fields[FIRST * rows + row] = q->slot;
            fields[COUNT * rows + row] = p + 1;
            fields[LAST * rows + row] = last;
            batch->work += p + 1;
        }
    }
    return true;
}

// Texts of BATCH_WHOLE_ROWS rows on the average, all from their beginning, are worth matrix
// products.
static bool texts_make(struct batch *batch, const struct sequence *sequences, size_t count)
{
    batch->whole = count > 0 && batch->rows >= BATCH_WHOLE_ROWS * count;
    for (size_t s = 0; s < count; s++)
        if (sequences[s].begin > 0 || sequences[s].end == 0) batch->whole = false;
    if (!batch->whole) return true;
    batch->texts = mem_new(count, sizeof *batch->texts, "a batch");
    uint32_t row = 0;
    for (size_t s = 0; batch->texts && s < count; s++) {
        batch->texts[s] =
            (struct text){.row = row, .slot = sequences[s].slot, .rows = sequences[s].end};
        row += sequences[s].end;
    }
    batch->text_count = (uint32_t)count;
    return batch->texts != NULL;
}

bool batch_new(struct batch *batch, const struct model *model, const struct sequence *sequences,
               size_t count)
{
    *batch = (struct batch){.dev = model->dev};
    for (size_t s = 0; s < count; s++) batch->rows += sequences[s].end - sequences[s].begin;
    uint32_t rows = batch->rows;
    uint32_t *fields = mem_new((size_t)FIELDS * rows, sizeof *fields, "a batch");
    bool ok = fields && fill_rows(batch, model, sequences, count, fields) &&
              texts_make(batch, sequences, count);
    struct buffer **buffers[FIELDS] = {&batch->tokens, &batch->pos,   &batch->slot,
                                       &batch->first,  &batch->count, &batch->last};
    for (size_t i = 0; ok && i < FIELDS; i++)
        ok = buffer_from(model->dev, fields + i * rows, rows * sizeof *fields, "a batch",
                         buffers[i]);
    free(fields);
    if (!ok) batch_free(batch);
    return ok;
}

void batch_free(struct batch *batch)
{
    if (!batch->dev) return;
    free(batch->texts);
    buffer_free(batch->dev, &batch->tokens);
    buffer_free(batch->dev, &batch->pos);
    buffer_free(batch->dev, &batch->slot);
    buffer_free(batch->dev, &batch->first);
    buffer_free(batch->dev, &batch->count);
    buffer_free(batch->dev, &batch->last);
    *batch = (struct batch){0};
}

bool cache_new(struct cache *cache, const struct model *model, uint32_t from, uint32_t to,
               uint32_t slots, bool shared)
{
    *cache = (struct cache){.dev = model->dev, .from = from, .to = to, .shared = shared};
    uint64_t bytes = (uint64_t)slots * model->config.kv_heads * model->config.head_dim * 4;
    size_t layers = to - from;
    cache->k = mem_new(layers, sizeof *cache->k, "a cache");
    cache->v = mem_new(layers, sizeof *cache->v, "a cache");
    bool ok = cache->k && cache->v;
    for (size_t i = 0; ok && i < layers; i++) {
        if (shared && i > 0) {
            cache->k[i] = cache->k[0];
            cache->v[i] = cache->v[0];
            continue;
        }
        ok = buffer_new(model->dev, bytes, "cached keys", &cache->k[i]) &&
             buffer_new(model->dev, bytes, "cached values", &cache->v[i]);
    }
    if (!ok) cache_free(cache);
    return ok;
}

void cache_free(struct cache *cache)
{
    if (!cache->dev) return;
    size_t own = cache->shared ? 1 : cache->to - cache->from;
    for (size_t i = 0; i < own && cache->k && cache->v && i < cache->to - cache->from; i++) {
        buffer_free(cache->dev, &cache->k[i]);
        buffer_free(cache->dev, &cache->v[i]);
    }
    free(cache->k);
    free(cache->v);
    *cache = (struct cache){0};
}
