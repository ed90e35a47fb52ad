#include <stdio.h>

#include "cli/bench_kit.h"
#include "cli/bench_time.h"
#include "ops/gemm_coop.h"

enum product { NT, NN, COOP, TN, TN_LOWER };

// A product of `rows` rows with a weight matrix, or of two matrices of `rows` rows.
struct gemm {
    enum product product;
    struct weight w;
    struct matrix left, right; // TN
    fbuf x, y, parts; // parts: scratch of NN
    uint32_t rows;
};

static void record(struct cmd *cmd, const void *what)
{
    const struct gemm *g = what;
    if (g->product == NT) gemm_forward(cmd, g->x, g->w, 0, g->y, g->rows);
    if (g->product == NN) gemm_backward(cmd, g->x, g->w, 0, g->y, g->rows, g->parts);
    if (g->product == COOP)
        gemm_coop(cmd, matrix_of(g->x, g->rows, g->w.cols), g->w, g->w.cols, 0,
                  matrix_of(g->y, g->rows, g->w.rows), 1, 0);
    if (g->product < TN) return;
    struct matrix y = matrix_of(g->y, g->left.cols, g->right.cols);
    gemm_tn(cmd, g->left, g->right, y, 1, 0, g->product == TN ? SHAPE_FULL : SHAPE_LOWER);
}

static struct bench_row *row_new(struct bench *b, const struct kit *kit, const char *name,
                                 const char *what, uint32_t dtype, uint32_t rows)
{
    struct bench_row *row = bench_add(b, "gemm", name);
    if (!row) return NULL;
    row->model = kit->shape->name;
    row->dtype = dtype_table[dtype].name;
    row->rows = rows;
    snprintf(row->what, sizeof row->what, "%s", what);
    return row;
}

static uint32_t rows_most(const struct bench *b)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < b->rows_count; i++)
        if (b->rows_of[i] > most) most = b->rows_of[i];
    return most;
}

// A row without figures where the matrix cannot be had.
static bool possible(struct bench *b, const struct kit *kit, const char *what, uint64_t bytes,
                     uint64_t more, uint32_t inner, uint32_t dtype, bool *ok)
{
    char reason[BENCH_REASON];
    uint32_t block = dtype_table[dtype].block;
    bool whole = inner % block == 0;
    if (!whole)
        snprintf(reason, sizeof reason, "rows of %u are no whole blocks of %u", inner, block);
    if (whole && bench_fits(b, bytes + more, bytes, reason)) return true;
    struct bench_row *row = row_new(b, kit, "gemm", what, dtype, 0);
    if (row) snprintf(row->skipped, sizeof row->skipped, "%s", reason);
    *ok = row != NULL;
    return false;
}

// y = x w^T, y = x w, and the first on matrix units, for all numbers of rows.
static bool weight_products(struct bench *b, const struct bench_shape *shape, const char *role,
                            uint32_t outs, uint32_t inner, uint32_t dtype)
{
    static const char *const names[] = {"gemm_nt", "gemm_nn", "gemm_coop"};
    struct kit kit = {.bench = b, .shape = shape};
    uint64_t bytes = kit_weight_bytes(outs, inner, dtype), most = rows_most(b);
    char what[80];
    snprintf(what, sizeof what, "%s [%u, %u]", role, outs, inner);
    bool ok = true;
    if (!possible(b, &kit, what, bytes, 4 * most * (outs + (uint64_t)inner), inner, dtype, &ok))
        return ok;
    struct gemm g = {.w = {.data = kit_weight(&kit, outs, inner, dtype), .dtype = dtype,
                           .rows = outs, .cols = inner}};
    fbuf in = kit_floats(&kit, most * inner), out = kit_floats(&kit, most * outs);
    g.parts = kit_floats(&kit, gemm_backward_parts(g.w, (uint32_t)most) + 1);
    ok = !kit.failed;
    bool units = gemm_coop_fits(b->dev, matrix_of(in, (uint32_t)most, inner), g.w, inner);
    for (uint32_t i = 0; ok && i < (units ? 3 : 2) * b->rows_count; i++) {
        g.product = (enum product)(i / b->rows_count);
        g.rows = b->rows_of[i % b->rows_count];
        g.x = g.product == NN ? out : in;
        g.y = g.product == NN ? in : out;
        struct bench_row *row = row_new(b, &kit, names[g.product], what, dtype, g.rows);
        ok = row && bench_time(b, record, &g, row);
    }
    kit_free(&kit);
    return ok;
}

// y = x^T w over `rows` tokens: grad G [outs, inner], or C [inner, inner], of which the lower half.
static bool token_products(struct bench *b, const struct bench_shape *shape, uint32_t outs,
                           uint32_t inner, enum product product)
{
    struct kit kit = {.bench = b, .shape = shape};
    uint64_t most = rows_most(b), result = 4ull * outs * inner;
    char what[80];
    snprintf(what, sizeof what, "%s [%u, %u]", product == TN ? "grad G" : "C", outs, inner);
    bool ok = true;
    if (!possible(b, &kit, what, result, 4 * most * (outs + (uint64_t)inner), inner, DTYPE_F32,
                  &ok))
        return ok;
    struct gemm g = {.product = product, .y = kit_floats(&kit, (uint64_t)outs * inner)};
    fbuf right = kit_floats(&kit, most * inner);
    fbuf left = product == TN ? kit_floats(&kit, most * outs) : right;
    ok = !kit.failed;
    for (uint32_t i = 0; ok && i < b->rows_count; i++) {
        g.left = matrix_of(left, b->rows_of[i], outs);
        g.right = matrix_of(right, b->rows_of[i], inner);
        struct bench_row *row = row_new(b, &kit, "gemm_tn", what, DTYPE_F32, b->rows_of[i]);
        ok = row && bench_time(b, record, &g, row);
    }
    kit_free(&kit);
    return ok;
}

bool bench_gemm(struct bench *b, const struct bench_shape *s)
{
    const uint32_t queries = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    bool ok = true;
    for (uint32_t i = 0; ok && i < b->dtype_count; i++) {
        const uint32_t type = b->dtypes[i];
        ok = weight_products(b, s, "q, o", queries, s->dim, type) &&
             weight_products(b, s, "k, v", kv, s->dim, type) &&
             weight_products(b, s, "gate, up", s->ffn, s->dim, type) &&
             weight_products(b, s, "down", s->dim, s->ffn, type) &&
             weight_products(b, s, "head", s->vocab, s->dim, type);
    }
    if (ok && !b->dev->info.matrix_units) {
        struct kit kit = {.bench = b, .shape = s};
        struct bench_row *row = row_new(b, &kit, "gemm_coop", "all", DTYPE_F32, 0);
        ok = row != NULL;
        if (ok) snprintf(row->skipped, sizeof row->skipped, "the device has no matrix units");
    }
    return ok && token_products(b, s, s->dim, s->ffn, TN) &&
           token_products(b, s, s->ffn, s->ffn, TN_LOWER);
}
