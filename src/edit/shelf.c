#define XXH_INLINE_ALL
#include "edit/shelf.h"

#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"

// Of everything that prepare() reads.
static uint64_t key_of(const struct prompts *prompts, uint32_t count, uint32_t layer)
{
    uint64_t key = XXH3_64bits_withSeed(&count, sizeof count, layer);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < prompts[i].count; j++) {
            const struct prompt *p = &prompts[i].items[j];
            key = XXH3_64bits_withSeed(p->tokens, p->count * sizeof *p->tokens,
                                       key ^ (uint64_t)p->count << 32 ^ j);
        }
    return key;
}

// Whose it is stays with the shelf.
static struct prepared lent(const struct shelf_item *item)
{
    struct prepared prepared = item->prepared;
    prepared.dev = NULL;
    return prepared;
}

bool shelf_prepare(struct shelf *s, struct prepared *prepared, const struct model *model,
                   const struct prompts *prompts, uint32_t count, uint32_t layer)
{
    uint64_t key = s ? key_of(prompts, count, layer) : 0;
    for (size_t i = 0; s && i < s->count; i++)
        if (s->items[i].key == key) {
            *prepared = lent(&s->items[i]);
            return true;
        }
    if (!prepare(prepared, model, prompts, count, &layer, 1)) return false;
    uint64_t bytes = 4ull * prepared->rows * (model->config.dim + model->config.ffn);
    if (!s || s->bytes + bytes > s->limit) return true;
    if (!mem_grow(&s->items, &s->capacity, s->count + 1, sizeof *s->items, "prepared batches")) {
        prepared_free(prepared);
        return false;
    }
    s->bytes += bytes;
    s->items[s->count++] = (struct shelf_item){.key = key, .prepared = *prepared};
    *prepared = lent(&s->items[s->count - 1]);
    return true;
}

void shelf_free(struct shelf *s)
{
    for (size_t i = 0; i < s->count; i++) prepared_free(&s->items[i].prepared);
    free(s->items);
    *s = (struct shelf){.limit = s->limit};
}
