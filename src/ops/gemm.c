#include "ops/gemm.h"

#include "ops/gemm_coop.h"
#include "ops/tune.h"

enum { ROWS_APART = 16 }; // of a variant: some row does not start on 16 bytes
enum { PART = 2048 };    // terms of a part of a long sum
enum { FEW = 64 };       // rows that alone do not fill a device

struct matrix matrix_of(fbuf data, uint32_t rows, uint32_t cols)
{
    return (struct matrix){.data = data, .rows = rows, .cols = cols, .stride = cols};
}

struct weight weight_of(fbuf data, uint32_t rows, uint32_t cols)
{
    return (struct weight){.data = data, .dtype = 0, .rows = rows, .cols = cols};
}

// All matrices of one product start on 16 bytes, and so do their rows.
static uint32_t unaligned(struct matrix x, struct matrix w, struct matrix y)
{
    uint64_t all = x.data | w.data | y.data;
    uint32_t sizes = x.stride | w.stride | y.stride | x.cols | w.cols | y.cols;
    return (all & 15) || (sizes & 3) ? ROWS_APART : 0;
}

// A packed w is always aligned.
static struct matrix matrix_as(struct weight w)
{
    return w.dtype == 0 ? matrix_of(w.data, w.rows, w.cols) : matrix_of(0, 0, 0);
}

// The fields that all products share: y [rows, outs] from sums of `inner` terms.
#define PRODUCT(op_, x_, w_, r_, y_, rows_, outs_, inner_, ldx_, ldw_, ldy_, variant_)             \
    const struct tile tile = tune_tile(cmd->dev, OP_##op_, (variant_), (rows_));                   \
    struct op_##_args a = {.x = (x_), .w = (w_), .r = (r_), .y = (y_), .rows = (rows_),            \
                           .outs = (outs_), .inner = (inner_), .ldx = (ldx_), .ldw = (ldw_),       \
                           .ldy = (ldy_), .variant = (variant_), .tile = tile.rows,                \
                           .cols = tile.cols, .local = tile.local, .wide = tile.wide, .alpha = 1}

void gemm_forward(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows)
{
    uint32_t odd = unaligned(matrix_of(x, rows, w.cols), matrix_as(w),
                             matrix_of(y | r, rows, w.rows));
    if (!odd && tune_units(cmd->dev, w.dtype, rows) &&
        gemm_coop_fits(cmd->dev, matrix_of(x, rows, w.cols), w, w.cols)) {
        gemm_coop(cmd, matrix_of(x, rows, w.cols), w, w.cols, r, matrix_of(y, rows, w.rows), 1,
                  r ? 1 : 0);
        return;
    }
    PRODUCT(gemm_nt, x, w.data, r ? r : x, y, rows, w.rows, w.cols, w.cols, w.cols, w.rows,
            w.dtype | odd);
    a.beta = r ? 1 : 0;
    op_gemm_nt(cmd, a);
}

static uint32_t part_count(struct weight w)
{
    return w.rows > 2 * PART ? CEIL(w.rows, PART) : 1;
}

uint64_t gemm_backward_parts(struct weight w, uint32_t rows)
{
    return part_count(w) > 1 ? (uint64_t)part_count(w) * (rows < FEW ? rows : FEW) * w.cols : 0;
}

// y = x w (+ r) over `inner` of w's rows from `first` on; w's row stays, x and y are as given.
static void nn_part(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows,
                    uint32_t first, uint32_t inner, uint32_t span, uint32_t odd)
{
    uint64_t skipped = (uint64_t)first * w.cols;
    ubuf data = w.data + (uint64_t)(WEIGHT_BYTES(w.dtype, (double)skipped));
    PRODUCT(gemm_nn, x + 4ull * first, data, r ? r : x, y, rows, w.cols, inner, w.rows, w.cols,
            w.cols, w.dtype | odd);
    a.span = span;
    a.beta = r ? 1 : 0;
    op_gemm_nn(cmd, a);
}

// y = ((r + p1) + p2) + ..., p the sums of PART terms: few rows make all parts at once, so that
// enough workgroups walk through w together; many rows take one part after the other. The result
// is the same.
void gemm_backward(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows,
                   fbuf parts)
{
    uint32_t odd = unaligned(matrix_of(x, rows, w.rows), matrix_as(w),
                             matrix_of(y | r, rows, w.cols));
    uint32_t count = part_count(w);
    if (count == 1) {
        nn_part(cmd, x, w, r, y, rows, 0, w.rows, w.rows, odd);
    } else if (rows <= FEW) {
        nn_part(cmd, x, w, 0, parts, rows, 0, w.rows, PART, odd);
        op_sum_parts(cmd, (struct sum_parts_args){.x = parts, .r = r ? r : parts, .y = y,
                                                  .parts = count, .n = rows * w.cols,
                                                  .add = r != 0});
    } else {
        for (uint32_t i = 0, at = 0; i < count; i++, at += PART)
            nn_part(cmd, x, w, i ? y : r, y, rows, at, i + 1 < count ? PART : w.rows - at, PART,
                    odd);
    }
}

static void nt(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
               float beta, uint32_t shape)
{
    PRODUCT(gemm_nt, x.data, w.data, y.data, y.data, x.rows, w.rows, x.cols, x.stride, w.stride,
            y.stride, unaligned(x, w, y));
    a.alpha = alpha, a.beta = beta, a.shape = shape;
    op_gemm_nt(cmd, a);
}

static void nn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
               float beta, uint32_t shape)
{
    PRODUCT(gemm_nn, x.data, w.data, y.data, y.data, x.rows, w.cols, x.cols, x.stride, w.stride,
            y.stride, unaligned(x, w, y));
    a.alpha = alpha, a.beta = beta, a.shape = shape, a.span = x.cols;
    op_gemm_nn(cmd, a);
}

void gemm_tn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta, uint32_t shape)
{
    PRODUCT(gemm_tn, x.data, w.data, y.data, y.data, x.cols, w.cols, x.rows, x.stride, w.stride,
            y.stride, unaligned(x, w, y));
    a.alpha = alpha, a.beta = beta, a.shape = shape;
    op_gemm_tn(cmd, a);
}

void gemm_nt(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta)
{
    nt(cmd, x, w, y, alpha, beta, SHAPE_FULL);
}

void gemm_nn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta)
{
    nn(cmd, x, w, y, alpha, beta, SHAPE_FULL);
}

void gemm_nt_lower(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y)
{
    nt(cmd, x, w, y, 1, 0, SHAPE_LOWER);
}

void gemm_nn_left(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y)
{
    nn(cmd, x, w, y, 1, 0, SHAPE_LEFT);
}
