#include "edit/need_parts.h"

#include "edit/stats.h"
#include "linalg/jacobi.h"
#include "linalg/orth.h"
#include "linalg/range.h"
#include "ops/gemm.h"
#include "vk/buffer.h"

void amount_add(struct amount *sum, uint64_t bytes, uint64_t times)
{
    const uint64_t room = buffer_room(bytes);
    if (!times) return;
    sum->bytes += times * room;
    if (buffer_apart(room)) sum->apart += times * room;
    if (room > sum->largest) sum->largest = room;
}

void amount_both(struct amount *sum, struct amount other, uint64_t times)
{
    if (!times) return;
    sum->bytes += times * other.bytes;
    sum->apart += times * other.apart;
    if (other.largest > sum->largest) sum->largest = other.largest;
}

struct rows rows_of_text(uint64_t count, uint64_t block)
{
    if (block > count) block = count;
    if (!block) block = 1;
    uint64_t texts = block < STATS_ROWS ? STATS_ROWS / block : 1;
    const uint64_t all = CEIL(count, block);
    if (texts > all) texts = all;
    return (struct rows){texts * block < count ? texts * block : count, texts, block};
}

// Texts of some length run as matrix products, which keep scores (model/batch.c).
static bool whole(struct rows r)
{
    return r.texts && r.rows >= BATCH_WHOLE_ROWS * r.texts;
}

static uint64_t queries(const struct config *c)
{
    return 4ull * c->heads * c->head_dim;
}

static uint64_t keys(const struct config *c)
{
    return 4ull * c->kv_heads * c->head_dim;
}

void need_batch(struct amount *sum, struct rows r)
{
    enum { FIELDS = 6 }; // token, position, slot, first, count, last
    amount_add(sum, 4 * r.rows, FIELDS);
}

void need_cache(struct amount *sum, const struct config *c, uint64_t layers, uint64_t slots)
{
    amount_add(sum, slots * keys(c), 2 * layers);
}

static void need_scores(struct amount *sum, const struct config *c, struct rows r)
{
    if (whole(r)) amount_add(sum, 4ull * c->heads * r.longest * r.longest, 1);
}

void need_acts(struct amount *sum, const struct config *c, uint64_t layers, struct rows r,
               bool kept)
{
    const uint64_t each = kept ? layers : layers > 0, n = 4 * r.rows;
    amount_add(sum, n * c->dim, kept ? layers + 1 : 1);      // streams
    amount_add(sum, r.rows * queries(c), 2 * each);          // queries, attention
    amount_add(sum, n * c->heads, each);                     // sums
    amount_add(sum, n * c->dim, each);                       // between attention and FFN
    amount_add(sum, n * c->ffn, 2 * each);                   // gates, ups
    amount_add(sum, n * c->dim, 1);                          // normed
    amount_add(sum, r.rows * keys(c), 2);
    amount_add(sum, n * c->ffn, 1);                          // FFN keys
    need_scores(sum, c, r);
}

void need_head(struct amount *sum, const struct config *c, uint64_t count)
{
    amount_add(sum, 4 * count, 1);
    amount_add(sum, 4 * count * c->dim, 2);
    amount_add(sum, 4 * count * c->vocab, 1);
}

// Scratch of the largest product of the backward pass.
static uint64_t parts_of(const struct weights *weights, uint32_t rows)
{
    static const enum part parts[] = {PART_Q, PART_K, PART_V, PART_ATTN_OUTPUT, PART_FFN_GATE,
                                      PART_FFN_UP, PART_FFN_DOWN, PART_EMBED};
    const struct config *c = &weights->config;
    uint64_t most = 1;
    for (uint32_t layer = 0; layer < c->layers; layer++)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            const struct tensor *t = weights_part(weights, parts[i], layer);
            uint64_t size = gemm_backward_parts(
                weight_of(0, (uint32_t)t->rows, (uint32_t)t->cols), rows);
            if (size > most) most = size;
        }
    return 4 * most;
}

void need_grads(struct amount *sum, const struct weights *weights, struct rows r, uint64_t most)
{
    const struct config *c = &weights->config;
    const uint64_t n = 4 * most;
    amount_add(sum, n * c->dim, 2);
    amount_add(sum, most * queries(c), 2);
    amount_add(sum, most * keys(c), 3);
    amount_add(sum, n * c->heads, 1);
    amount_add(sum, n * c->ffn, 3);
    amount_add(sum, parts_of(weights, (uint32_t)most), 1);
    need_scores(sum, c, r);
}

void need_pass(struct amount *sum, const struct config *c, uint64_t layers, struct rows r,
               bool kept)
{
    need_batch(sum, r);
    need_cache(sum, c, kept ? layers : 1, r.rows);
    need_acts(sum, c, layers, r, kept);
}

void need_factor(struct amount *sum, uint64_t n)
{
    enum { BLOCK = 64, VECTORS = 5 + BLOCK, STATE = 8 }; // as in linalg/solve.c
    amount_add(sum, 4 * n * n, 1);
    amount_add(sum, 4 * CEIL(n, BLOCK) * BLOCK * BLOCK, 1);
    amount_add(sum, 4 * STATE, 1);
    amount_add(sum, 4 * VECTORS * ((n + 3) / 4 * 4), 1);
}

static void need_orth(struct amount *sum, uint64_t rows)
{
    amount_add(sum, 4 * rows, 1);
    amount_add(sum, 4 * (2ull * ORTH_PANEL * ORTH_PANEL + ORTH_PANEL * (rows + 4)), 1);
}

void need_svd(struct amount *sum, uint64_t d, uint64_t m, bool u, bool v)
{
    enum { LINE = 16 }; // floats; the rows' stride is an odd number of lines
    const uint64_t n = d < m ? d : m, w = d < m ? m : d;
    const uint64_t np = CEIL(n, JACOBI_PAIR) * JACOBI_PAIR, mp = CEIL(w, 4) * 4;
    const bool right = d > m ? u : v;
    uint64_t lines = CEIL(np + (right ? mp : 0), LINE);
    lines += lines % 2 == 0;
    amount_add(sum, 4 * np * mp, 1);
    amount_add(sum, 4 * np * (np > mp ? np : mp), 1);
    amount_add(sum, 4 * np * lines * LINE, 2);
    amount_add(sum, 4 * np, 4);
    amount_add(sum, 4 * (d + 1), 1);
    need_orth(sum, np);
    const uint64_t pairs = np / JACOBI_PAIR;
    amount_add(sum, 4ull * pairs * JACOBI_PAIR * JACOBI_PAIR, 2);
    amount_add(sum, 4 * np, 1);
    amount_add(sum, 4 * pairs, 2);
    amount_add(sum, 4, 1);
}

void need_pairs_svd(struct amount *sum, uint64_t t, uint64_t d, uint64_t m)
{
    const uint64_t padded = CEIL(t, 4) * 4;
    if (t > (d < m ? d : m)) {
        amount_add(sum, 4 * d * m, 1);
        need_svd(sum, d, m, true, true);
        return;
    }
    amount_add(sum, 4 * padded * d, 1);
    amount_add(sum, 4 * padded * m, 1);
    amount_add(sum, 4 * padded * padded, 5);
    amount_add(sum, 4 * padded, 1);
    need_svd(sum, padded, padded, true, true);
}

void need_range(struct amount *sum, uint64_t d, uint64_t m, uint64_t count)
{
    enum { WITNESSES = 10, NORMS = 41 * WITNESSES }; // as in linalg/range.c
    const uint64_t l = range_probes((uint32_t)count), rows = count > WITNESSES ? count : WITNESSES;
    amount_add(sum, 4 * l * d, 1);
    amount_add(sum, 4 * l * m, 1);
    amount_add(sum, 4 * rows * d, 1);
    amount_add(sum, 4 * l * l, 1);
    amount_add(sum, 4 * l, 1);
    amount_add(sum, 4 * rows * (CEIL(count, 4) * 4), 1);
    amount_add(sum, 4 * ((d > NORMS ? d : NORMS) + 1), 1);
    need_orth(sum, l);
    need_svd(sum, l, m, true, false);
}

void need_basis(struct amount *sum, uint64_t dim, uint64_t capacity)
{
    capacity = CEIL(capacity, 4) * 4;
    amount_add(sum, 4 * capacity * dim, 1);
    amount_add(sum, 4 * (capacity + CEIL(dim, 4) * 4 + 8), 1);
}

struct amount need_unpack(struct amount *sum, const struct tensor *t)
{
    struct amount beside = {0};
    amount_add(&beside, t->bytes, 1);
    amount_add(&beside, 4 * t->rows, 1);
    amount_add(sum, 4 * t->rows * t->cols, 1);
    return beside;
}
