#include "cli/bench_need.h"

// Pairs of a query and a key it sees, for positions [begin, end) of a text.
static double pairs(uint32_t begin, uint32_t end)
{
    return 0.5 * ((double)end * (end + 1.0) - (double)begin * (begin + 1.0));
}

struct bench_need bench_need_of(const struct config *c, uint32_t layer, const struct prompts *p)
{
    const double queries = (double)c->heads * c->head_dim, keys = (double)c->kv_heads * c->head_dim;
    const double down = (double)c->dim * c->ffn, wide = (double)c->ffn * c->ffn;
    const double weights = 2 * c->dim * (queries + keys) + 3 * down; // of a layer
    const double above = c->layers - layer - 1.0;
    double seen = 0, seen_before = 0, seen_behind = 0;
    struct bench_need n = {.heads = (p->count - 1) * p->target_count + 1};
    for (uint32_t i = 0; i < p->count; i++) {
        const struct prompt *q = &p->items[i];
        n.rows += q->count;
        n.before += q->lookup;
        n.behind += q->count - q->lookup;
        seen += pairs(0, q->count);
        seen_before += pairs(0, q->lookup);
        seen_behind += pairs(q->lookup, q->count);
    }
    // A pair costs a product with the key and one with the value; backward two more of each.
    n.prepare = 2 * n.rows * (weights * (layer + 1.0) - down) + 4 * seen * queries * (layer + 1.0);
    n.keys = 2 * down;
    n.prefix = 2 * n.rows * down + (2 * n.before * weights + 4 * seen_before * queries) * above;
    n.step = (4 * n.behind * weights + 12 * seen_behind * queries) * above +
             4.0 * n.heads * c->dim * c->vocab;
    n.solve = 2 * wide; // L, then its transpose
    n.update = 2 * down;
    return n;
}
