// Attention forward and backward: groups of heads, windows, ragged sequences, cached prefixes.
#include <math.h>
#include <stdlib.h>

#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_rig.h"

enum { ROWS_MAX = 512 };

// Sequences of `lengths` tokens, of which the first `cached` have been run before: their keys are
// in the slots, they are no rows now.
struct shape {
    uint32_t heads, kv_heads, dim, window, sequences;
    uint32_t lengths[3], cached[3];
};

// dim is a multiple of 4, as model_open wants it; keys come in chunks of 256.
static const struct shape shapes[] = {
    {1, 1, 4, 0, 1, {1}, {0}},
    {4, 4, 16, 0, 2, {31, 1}, {0, 0}},
    {9, 3, 64, 0, 2, {70, 9}, {0, 5}},
    {8, 1, 8, 0, 3, {65, 64, 2}, {60, 0, 1}},
    {3, 1, 32, 5, 2, {40, 4}, {0, 0}},         // window shorter than the text
    {6, 2, 16, 64, 2, {130, 64}, {7, 0}},
    {4, 2, 12, 0, 2, {600, 256}, {570, 254}},  // several chunks of keys
    {2, 1, 8, 256, 1, {700}, {650}},           // window of a whole chunk
    {2, 1, 256, 0, 1, {9}, {2}},               // the largest heads
    {2, 2, 80, 1, 1, {20}, {0}},               // a row sees itself alone
    {3, 3, 4, 100, 1, {257}, {250}},           // window begins among the cached keys
};

struct tables { // one attention call, on the host
    struct ref_attention ref;
    uint32_t slots;
    uint32_t first[ROWS_MAX], count[ROWS_MAX], slot[ROWS_MAX], last[ROWS_MAX];
    uint64_t queries, keys; // numbers in q and in k
    float *q, *k, *v, *dy;
    double *wide[4];
};

static void tables_fill(struct rig *rig, const struct shape *s, struct tables *t)
{
    uint32_t rows = 0, slot = 3; // the first slots belong to nobody
    for (uint32_t i = 0; i < s->sequences; i++) {
        uint32_t begin = rows, more = s->lengths[i] - s->cached[i];
        for (uint32_t p = s->cached[i]; p < s->lengths[i]; p++, rows++) {
            t->first[rows] = slot;
            t->count[rows] = p + 1;
            t->slot[rows] = slot + p;
            t->last[rows] = begin + more;
        }
        slot += s->lengths[i] + 2;
    }
    t->slots = slot;
    t->queries = (uint64_t)rows * s->heads * s->dim;
    t->keys = (uint64_t)slot * s->kv_heads * s->dim;
    t->q = rig_random(rig, t->queries, 1);
    t->k = rig_random(rig, t->keys, 1);
    t->v = rig_random(rig, t->keys, 1);
    t->dy = rig_random(rig, t->queries, 1);
    t->wide[0] = ref_wide(t->q, t->queries);
    t->wide[1] = ref_wide(t->k, t->keys);
    t->wide[2] = ref_wide(t->v, t->keys);
    t->wide[3] = ref_wide(t->dy, t->queries);
    const float scale = 1 / sqrtf((float)s->dim);
    t->ref = (struct ref_attention){
        .rows = rows, .heads = s->heads, .kv_heads = s->kv_heads, .dim = s->dim,
        .window = s->window, .scale = (double)scale, .q = t->wide[0], .k = t->wide[1],
        .v = t->wide[2], .first = t->first, .count = t->count};
}

static void tables_free(struct tables *t)
{
    float *mine[] = {t->q, t->k, t->v, t->dy};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    for (size_t i = 0; i < COUNT(t->wide); i++) free(t->wide[i]);
}

// |q|, |k|, |v|, |dy| <= 1. A score is a sum of dim terms, |score| <= s = sqrt(dim), its error at
// most (dim + 2) s units; exp adds 2 (3 + 2 * 2 s). Every p is off by the same part at most, sums
// over keys by rig_depth more (chunks of 64, one after the other); twice over for the quotient.
static double p_factor(const struct ref_attention *a)
{
    double s = sqrt((double)a->dim), keys = 0;
    for (uint32_t r = 0; r < a->rows; r++) keys = fmax(keys, a->count[r]);
    return 2 * ((a->dim + 2) * s + 2 * (3 + 4 * s) + keys + 16);
}

struct addresses {
    fbuf q, k, v, first, count, slot, last, o, lse, dy, dq, dot, dk, dv;
};

static void forward(struct rig *rig, const struct tables *t, struct addresses *at)
{
    const struct ref_attention *a = &t->ref;
    at->q = rig_in(rig, t->q, t->queries);
    at->k = rig_in(rig, t->k, t->keys);
    at->v = rig_in(rig, t->v, t->keys);
    at->first = rig_in(rig, t->first, a->rows);
    at->count = rig_in(rig, t->count, a->rows);
    at->o = rig_out(rig, t->queries);
    at->lse = rig_out(rig, (uint64_t)a->rows * a->heads);
    op_attention(&rig->cmd, (struct attention_args){
                                .q = at->q, .k = at->k, .v = at->v, .first = at->first,
                                .count = at->count, .o = at->o, .lse = at->lse, .rows = a->rows,
                                .heads = a->heads, .kv_heads = a->kv_heads, .dim = a->dim,
                                .window = a->window, .scale = (float)a->scale,
                                .local = a->rows % 2 ? 64 : 16});
}

static void test_attention(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < COUNT(shapes); i++) {
        struct tables *t = rig_memory(1, sizeof *t);
        struct addresses at = {0};
        tables_fill(rig, &shapes[i], t);
        uint64_t sums = (uint64_t)t->ref.rows * t->ref.heads;
        double *o = ref_zeros(t->queries), *lse = ref_zeros(sums), *one = ref_zeros(t->queries);
        forward(rig, t, &at);
        rig_run(rig);
        ref_attention(&t->ref, o, lse);
        for (uint64_t j = 0; j < t->queries; j++) one[j] = 1; // o is a mean of values
        rig_near(rig, "attention: o", at.o, o, one, t->queries, p_factor(&t->ref));
        rig_near(rig, "attention: lse", at.lse, lse, one, sums, p_factor(&t->ref));
        free(o);
        free(lse);
        free(one);
        tables_free(t);
        free(t);
        rig_drop(rig);
    }
}

// Over what `forward` leaves: queries first, which also gives the sums that keys need.
static void backward(struct rig *rig, const struct tables *t, struct addresses *at)
{
    const struct ref_attention *a = &t->ref;
    at->dy = rig_in(rig, t->dy, t->queries);
    at->dq = rig_out(rig, t->queries);
    at->dot = rig_out(rig, (uint64_t)a->rows * a->heads);
    op_attention_back_q(&rig->cmd, (struct attention_back_q_args){
                                       .q = at->q, .k = at->k, .v = at->v, .first = at->first,
                                       .count = at->count, .o = at->o, .lse = at->lse,
                                       .dy = at->dy, .dq = at->dq, .dot = at->dot,
                                       .rows = a->rows, .heads = a->heads,
                                       .kv_heads = a->kv_heads, .dim = a->dim,
                                       .window = a->window, .scale = (float)a->scale,
                                .local = a->rows % 2 ? 64 : 16});
    at->slot = rig_in(rig, t->slot, a->rows);
    at->last = rig_in(rig, t->last, a->rows);
    at->dk = rig_out(rig, (uint64_t)a->rows * a->kv_heads * a->dim);
    at->dv = rig_out(rig, (uint64_t)a->rows * a->kv_heads * a->dim);
    op_attention_back_kv(&rig->cmd, (struct attention_back_kv_args){
                                        .q = at->q, .k = at->k, .v = at->v, .slot = at->slot,
                                        .last = at->last, .dot = at->dot, .lse = at->lse,
                                        .dy = at->dy, .dk = at->dk, .dv = at->dv,
                                        .rows = a->rows, .heads = a->heads,
                                        .kv_heads = a->kv_heads, .dim = a->dim,
                                        .window = a->window, .scale = (float)a->scale,
                                .local = a->rows % 2 ? 64 : 16});
}

struct slope {
    struct ref_attention ref;
    double *o, *lse;
    const double *dy;
};

static double slope_value(void *context)
{
    struct slope *s = context;
    double sum = 0;
    ref_attention(&s->ref, s->o, s->lse);
    for (uint64_t i = 0; i < (uint64_t)s->ref.rows * s->ref.heads * s->ref.dim; i++)
        sum += s->o[i] * s->dy[i];
    return sum;
}

// The formulas of ref_attention_back against finite differences, at some coordinates of each.
static void formulas_check(struct rig *rig, const struct tables *t, double *const grads[3])
{
    struct slope s = {t->ref, ref_zeros(t->queries),
                      ref_zeros((uint64_t)t->ref.rows * t->ref.heads), t->wide[3]};
    const uint64_t counts[] = {t->queries, t->keys, t->keys};
    for (int which = 0; which < 3; which++)
        for (int n = 0; n < 12; n++) {
            uint32_t *i = rig_random_ids(rig, 1, (uint32_t)counts[which]);
            double slope = ref_slope(slope_value, &s, t->wide[which] + *i);
            assert_true(fabs(slope - grads[which][*i]) < 1e-8 * (1 + fabs(slope)));
            free(i);
        }
    free(s.o);
    free(s.lse);
}

// Terms of dq: p (dy.v - o.dy) k, |dy.v| <= dim and sum p = 1: it is at most scale * 2 dim.
// dv and dk sum over the rows that see the key: as much, times the sum of their p. Errors: p's
// own, two products of dim terms, the sum over keys (in p_factor) or over rows and heads.
static void back_case(struct rig *rig, const struct shape *shape)
{
    struct tables *t = rig_memory(1, sizeof *t);
    struct addresses at = {0};
    tables_fill(rig, shape, t);
    const struct ref_attention *a = &t->ref;
    uint64_t row = (uint64_t)a->kv_heads * a->dim, own = a->rows * row;
    uint64_t many = t->queries + t->keys;
    double *grads[3] = {ref_zeros(t->queries), ref_zeros(t->keys), ref_zeros(t->keys)};
    double *ones = ref_zeros(many), *sums = ref_zeros(t->keys), *spare = ref_zeros(many);
    double *want = ref_zeros(own), *size = ref_zeros(many), large = a->scale * 2 * a->dim;
    forward(rig, t, &at);
    backward(rig, t, &at);
    rig_run(rig);
    ref_attention_back(a, t->wide[3], grads[0], grads[1], grads[2]);
    if (a->rows < 40) formulas_check(rig, t, grads);
    for (uint64_t i = 0; i < many; i++) ones[i] = 1;
    ref_attention_back(a, ones, spare, spare + t->queries, sums);
    for (uint64_t i = 0; i < t->queries; i++) size[i] = large;
    double factor = p_factor(a) + 2 * a->dim + 16, share = a->heads / a->kv_heads;
    rig_near(rig, "attention_back_q", at.dq, grads[0], size, t->queries, factor);
    for (int v = 0; v < 2; v++) {
        for (uint64_t i = 0; i < own; i++) {
            uint64_t key = t->slot[i / row] * row + i % row;
            want[i] = grads[1 + v][key];
            size[i] = sums[key] * (v ? 1 : large);
        }
        rig_near(rig, v ? "attention_back_kv: dv" : "attention_back_kv: dk", v ? at.dv : at.dk,
                 want, size, own, factor + a->rows * share);
    }
    void *mine[] = {grads[0], grads[1], grads[2], ones, sums, spare, want, size};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    tables_free(t);
    free(t);
    rig_drop(rig);
}

static void test_attention_back_q(void **state)
{
    for (size_t i = 0; i < COUNT(shapes); i += 2) back_case(*state, &shapes[i]);
}

static void test_attention_back_kv(void **state)
{
    for (size_t i = 1; i < COUNT(shapes); i += 2) back_case(*state, &shapes[i]);
}

// p = softmax of the causal part of scale * s, within the window; one [rows, rows] of a head.
static void softmax_rows(const double *s, double *p, uint32_t rows, uint32_t window, double scale)
{
    for (uint64_t r = 0; r < rows; r++) {
        uint64_t first = window && r + 1 > window ? r + 1 - window : 0;
        double *some = ref_zeros(rows);
        for (uint64_t i = first; i <= r; i++) some[i - first] = scale * s[r * rows + i];
        double lse = ref_lse(some, (uint32_t)(r + 1 - first));
        for (uint64_t i = 0; i < rows; i++)
            p[r * rows + i] = i >= first && i <= r ? exp(some[i - first] - lse) : 0;
        free(some);
    }
}

struct softmax_slope { // sum(p * dp) as a function of the scores
    double *s, *p, *dp, scale;
    uint32_t rows, window;
};

static double softmax_value(void *context)
{
    struct softmax_slope *c = context;
    double sum = 0;
    softmax_rows(c->s, c->p, c->rows, c->window, c->scale);
    for (uint64_t i = 0; i < (uint64_t)c->rows * c->rows; i++)
        if (c->p[i] != 0) sum += c->p[i] * c->dp[i];
    return sum;
}

// Forward, then the gradient of sum(p * dp) with respect to the scores.
static void softmax_case(struct rig *rig, uint32_t rows, uint32_t heads, uint32_t window)
{
    const float scale = 0.25f;
    uint64_t one = (uint64_t)rows * rows, all = one * heads;
    float *s = rig_random(rig, all, 20), *dp = rig_random(rig, all, 1);
    float *narrow = rig_random(rig, all, 1);
    double *wide = ref_wide(s, all), *p = ref_zeros(all), *size = ref_zeros(all);
    double *back = ref_wide(dp, all), *want = ref_zeros(all), *spare = ref_zeros(one);
    for (uint32_t h = 0; h < heads; h++)
        softmax_rows(wide + h * one, p + h * one, rows, window, (double)scale);
    for (uint64_t i = 0; i < all; i++) narrow[i] = (float)p[i];
    for (uint64_t r = 0; r < (uint64_t)rows * heads; r++) {
        double mean = 0, most = 0;
        for (uint32_t i = 0; i < rows; i++) mean += p[r * rows + i] * back[r * rows + i];
        for (uint32_t i = 0; i < rows; i++) most += p[r * rows + i] * fabs(back[r * rows + i]);
        for (uint32_t i = 0; i < rows; i++) {
            uint64_t at = r * rows + i;
            want[at] = (double)scale * p[at] * (back[at] - mean);
            size[at] = (double)scale * p[at] * (fabs(back[at]) + most);
        }
    }
    struct softmax_slope c = {wide, spare, back, (double)scale, rows, window};
    for (uint64_t i = 0; i < one && rows < 40; i += 1 + one / 50)
        assert_true(fabs(ref_slope(softmax_value, &c, wide + i) - want[i]) < 1e-9);
    fbuf forward_to = rig_change(rig, s, all), back_to = rig_change(rig, dp, all);
    op_causal_softmax(&rig->cmd,
                      (struct causal_softmax_args){forward_to, rows, heads, window, scale});
    op_causal_softmax_back(&rig->cmd, (struct causal_softmax_back_args){
                                          rig_in(rig, narrow, all), back_to, rows, heads, scale});
    rig_run(rig);
    // exp of at most 10 in size, its argument's rounding, a sum of `rows` terms, a quotient.
    rig_near(rig, "causal_softmax", forward_to, p, NULL, all, 2 * (3 + 2 * 10) + 20 + rows + 8);
    rig_near(rig, "causal_softmax_back", back_to, want, size, all, rows + 8);
    void *mine[] = {s, dp, narrow, wide, p, size, back, want, spare};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

static void test_causal_softmax(void **state)
{
    softmax_case(*state, 1, 1, 0);
    softmax_case(*state, 31, 3, 0);
    softmax_case(*state, 257, 2, 0);
}

static void test_causal_softmax_back(void **state)
{
    softmax_case(*state, 31, 8, 5);
    softmax_case(*state, 65, 3, 64);
    softmax_case(*state, 20, 1, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_ATTENTION(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
