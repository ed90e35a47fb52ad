#include "ops/gemm.h"

enum { UNALIGNED = 16 }; // of a variant: some row does not start on 16 bytes

struct matrix matrix_of(fbuf data, uint32_t rows, uint32_t cols)
{
    return (struct matrix){.data = data, .rows = rows, .cols = cols, .stride = cols};
}

struct weight weight_of(fbuf data, uint32_t rows, uint32_t cols)
{
    return (struct weight){.data = data, .dtype = 0, .rows = rows, .cols = cols};
}

static uint32_t tile_rows(uint32_t rows)
{
    return rows <= 4 ? 4 : 16;
}

// Threads a workgroup: small on a CPU device, where a workgroup is the unit handed to a core and
// the caches like few columns at a time; a whole wave on a GPU.
static uint32_t local_size(const struct cmd *cmd)
{
    return cmd->dev->info.rank >= 4 ? 8 : 64;
}

static uint32_t unaligned(struct matrix x, struct matrix w)
{
    bool odd = ((x.data | w.data) & 15) || ((x.stride | w.stride | x.cols | w.cols) & 3);
    return odd ? UNALIGNED : 0;
}

void gemm_forward(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows)
{
    struct matrix shape = {.data = w.data, .stride = w.cols, .cols = w.cols};
    uint32_t odd = w.dtype == 0 ? unaligned(matrix_of(x, rows, w.cols), shape) : 0;
    op_gemm_nt(cmd, (struct gemm_nt_args){
                        .x = x, .w = w.data, .r = r ? r : x, .y = y, .rows = rows, .outs = w.rows,
                        .inner = w.cols, .ldx = w.cols, .ldw = w.cols, .ldy = w.rows, .alpha = 1,
                        .beta = r ? 1 : 0, .variant = w.dtype | odd, .tile = tile_rows(rows),
                        .local = local_size(cmd)});
}

void gemm_backward(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows)
{
    struct matrix shape = {.data = w.data, .stride = w.cols, .cols = w.cols};
    // A packed w is always aligned; x is not where w's rows (a vocabulary) are no multiple of 4.
    if (w.dtype != 0) shape = matrix_of(0, 0, 0);
    uint32_t odd = unaligned(matrix_of(x, rows, w.rows), shape);
    op_gemm_nn(cmd, (struct gemm_nn_args){
                        .x = x, .w = w.data, .r = r ? r : x, .y = y, .rows = rows, .outs = w.cols,
                        .inner = w.rows, .ldx = w.rows, .ldw = w.cols, .ldy = w.cols, .alpha = 1,
                        .beta = r ? 1 : 0, .variant = w.dtype | odd, .tile = tile_rows(rows),
                        .local = local_size(cmd)});
}

static void nt(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
               float beta, uint32_t shape)
{
    op_gemm_nt(cmd, (struct gemm_nt_args){
                        .x = x.data, .w = w.data, .r = y.data, .y = y.data, .rows = x.rows,
                        .outs = w.rows, .inner = x.cols, .ldx = x.stride, .ldw = w.stride,
                        .ldy = y.stride, .alpha = alpha, .beta = beta, .shape = shape,
                        .variant = unaligned(x, w),
                        .tile = tile_rows(x.rows), .local = local_size(cmd)});
}

static void nn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
               float beta, uint32_t shape)
{
    op_gemm_nn(cmd, (struct gemm_nn_args){
                        .x = x.data, .w = w.data, .r = y.data, .y = y.data, .rows = x.rows,
                        .outs = w.cols, .inner = x.cols, .ldx = x.stride, .ldw = w.stride,
                        .ldy = y.stride, .alpha = alpha, .beta = beta, .shape = shape,
                        .variant = unaligned(x, w),
                        .tile = tile_rows(x.rows), .local = local_size(cmd)});
}

void gemm_tn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta, uint32_t shape)
{
    op_gemm_tn(cmd, (struct gemm_tn_args){
                        .x = x.data, .w = w.data, .y = y.data, .rows = x.cols, .outs = w.cols,
                        .inner = x.rows, .ldx = x.stride, .ldw = w.stride, .ldy = y.stride,
                        .alpha = alpha, .beta = beta, .shape = shape,
                        .variant = unaligned(x, w), .tile = 16, .local = local_size(cmd)});
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
