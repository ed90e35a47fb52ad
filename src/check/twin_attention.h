// Attention (attend.glsl): keys, or rows that see a key, in chunks; a weighted sum is made of
// SHARES, of every fourth item each.
#pragma once
#include "check/twin_real.h"

enum { ITEMS = 256, SHARES = 4, DIM_MAX = 256 };

static real dot_in_order(const real *x, const real *y, uint32_t n)
{
    real sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

struct shares {
    real part[SHARES][DIM_MAX];
};

// part = part * shrink, or 0 in the first chunk; then the items' rows, `stride` apart, by weight.
static void shares_scale(struct shares *s, bool first, real shrink, uint32_t dim)
{
    for (uint32_t share = 0; share < SHARES; share++)
        for (uint32_t d = 0; d < dim; d++)
            s->part[share][d] = first ? 0 : s->part[share][d] * shrink;
}

static void shares_add(struct shares *s, uint32_t item, real weight, const real *row, uint32_t dim)
{
    for (uint32_t d = 0; d < dim; d++) s->part[item % SHARES][d] += weight * row[d];
}

static real shares_sum(const struct shares *s, uint32_t d)
{
    return s->part[0][d] + s->part[1][d] + s->part[2][d] + s->part[3][d];
}

struct keys { // that a row sees
    const real *k, *v;
    uint32_t count, stride;
};

#define KEYS(a, row, head)                                                                         \
    keys_of(a->k, a->v, words(a->first)[row], words(a->count)[row], a->window,                     \
            (head) / (a->heads / a->kv_heads), a->kv_heads, a->dim)

static struct keys keys_of(fbuf k, fbuf v, uint32_t first, uint32_t count, uint32_t window,
                           uint32_t kv, uint32_t kv_heads, uint32_t dim)
{
    uint32_t skipped = window && count > window ? count - window : 0;
    uint64_t at = ((uint64_t)(first + skipped) * kv_heads + kv) * dim;
    return (struct keys){reals(k) + at, reals(v) + at, count - skipped, kv_heads * dim};
}

TWIN(attention)
{
    for (uint32_t row = 0; row < a->rows; row++)
        for (uint32_t head = 0; head < a->heads; head++) {
            const struct keys keys = KEYS(a, row, head);
            const uint64_t at = (uint64_t)row * a->heads + head;
            const real *q = reals(a->q) + at * a->dim;
            struct shares sums;
            real top = R(-3.0e38), total = 0;
            for (uint32_t chunk = 0; chunk < keys.count; chunk += ITEMS) {
                uint32_t items = keys.count - chunk < ITEMS ? keys.count - chunk : ITEMS;
                const real *k = keys.k + (uint64_t)chunk * keys.stride;
                const real *v = keys.v + (uint64_t)chunk * keys.stride;
                real weight[ITEMS], before = top;
                for (uint32_t j = 0; j < items; j++) {
                    weight[j] = dot_in_order(q, k + (uint64_t)j * keys.stride, a->dim) *
                                (real)a->scale;
                    top = larger(top, weight[j]);
                }
                real shrink = power(before - top);
                total *= shrink;
                shares_scale(&sums, chunk == 0, shrink, a->dim);
                for (uint32_t j = 0; j < items; j++) {
                    real w = power(weight[j] - top);
                    total += w;
                    shares_add(&sums, j, w, v + (uint64_t)j * keys.stride, a->dim);
                }
            }
            for (uint32_t d = 0; d < a->dim; d++)
                reals(a->o)[at * a->dim + d] = calm(quotient(shares_sum(&sums, d), total));
            reals(a->lse)[at] = top + logarithm(total);
        }
}

TWIN(attention_back_q)
{
    for (uint32_t row = 0; row < a->rows; row++)
        for (uint32_t head = 0; head < a->heads; head++) {
            const struct keys keys = KEYS(a, row, head);
            const uint64_t at = (uint64_t)row * a->heads + head;
            const real *q = reals(a->q) + at * a->dim, *dy = reals(a->dy) + at * a->dim;
            real product = dot_in_order(reals(a->o) + at * a->dim, dy, a->dim);
            struct shares sums;
            shares_scale(&sums, true, 0, a->dim);
            for (uint32_t j = 0; j < keys.count; j++) {
                const real *k = keys.k + (uint64_t)j * keys.stride;
                real score = dot_in_order(q, k, a->dim) * (real)a->scale;
                real along = dot_in_order(dy, keys.v + (uint64_t)j * keys.stride, a->dim);
                real weight = power(score - reals(a->lse)[at]) * (along - product);
                shares_add(&sums, j, weight, k, a->dim); // ITEMS is a multiple of SHARES
            }
            for (uint32_t d = 0; d < a->dim; d++)
                reals(a->dq)[at * a->dim + d] = calm((real)a->scale * shares_sum(&sums, d));
            reals(a->dot)[at] = product;
        }
}

// Items are rows from the key's own to the end of its sequence, and in each the group's heads.
TWIN(attention_back_kv)
{
    const uint32_t group = a->heads / a->kv_heads, dim = a->dim;
    for (uint32_t row = 0; row < a->rows; row++)
        for (uint32_t kv = 0; kv < a->kv_heads; kv++) {
            const uint64_t key = ((uint64_t)words(a->slot)[row] * a->kv_heads + kv) * dim;
            const uint64_t to = ((uint64_t)row * a->kv_heads + kv) * dim;
            uint32_t last = words(a->last)[row], item = 0;
            if (a->window && row + a->window < last) last = row + a->window;
            struct shares dk, dv;
            shares_scale(&dk, true, 0, dim);
            shares_scale(&dv, true, 0, dim);
            for (uint32_t r = row; r < last; r++)
                for (uint32_t head = kv * group; head < (kv + 1) * group; head++, item++) {
                    const uint64_t at = (uint64_t)r * a->heads + head;
                    const real *q = reals(a->q) + at * dim, *dy = reals(a->dy) + at * dim;
                    real score = dot_in_order(q, reals(a->k) + key, dim);
                    real along = dot_in_order(dy, reals(a->v) + key, dim);
                    real p = power(score * (real)a->scale - reals(a->lse)[at]);
                    shares_add(&dk, item, p * (along - reals(a->dot)[at]), q, dim);
                    shares_add(&dv, item, p, dy, dim);
                }
            for (uint32_t d = 0; d < dim; d++) {
                reals(a->dk)[to + d] = calm((real)a->scale * shares_sum(&dk, d));
                reals(a->dv)[to + d] = calm(shares_sum(&dv, d));
            }
        }
}

TWIN(causal_softmax)
{
    for (uint64_t id = 0; id < (uint64_t)a->rows * a->heads; id++) {
        uint32_t row = (uint32_t)(id % a->rows);
        uint32_t first = a->window && row + 1 > a->window ? row + 1 - a->window : 0;
        real *s = reals(a->s) + id * a->rows, top = R(-3.0e38), sum = 0;
        for (uint32_t i = first; i <= row; i++) top = larger(top, s[i]);
        for (uint32_t i = first; i <= row; i++) {
            s[i] = power((real)a->scale * (s[i] - top));
            sum += s[i];
        }
        real over = quotient(1, sum);
        for (uint32_t i = 0; i < a->rows; i++)
            s[i] = i >= first && i <= row ? calm(s[i] * over) : 0;
    }
}

TWIN(causal_softmax_back)
{
    for (uint64_t id = 0; id < (uint64_t)a->rows * a->heads; id++) {
        uint32_t row = (uint32_t)(id % a->rows);
        const real *p = reals(a->p) + id * a->rows;
        real *ds = reals(a->ds) + id * a->rows, sum = dot_in_order(p, ds, row + 1);
        for (uint32_t i = 0; i < a->rows; i++)
            ds[i] = i <= row ? calm((real)a->scale * p[i] * (ds[i] - sum)) : 0;
    }
}
