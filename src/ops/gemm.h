// Matrix products: the operators gemm_* with tiles chosen for the device and the shape (tune.h).
#pragma once
#include "ops/ops.h"

// A weight matrix on the device as the file stores it. dtype as in io/weights.h.
struct weight {
    ubuf data;
    uint32_t dtype, rows, cols;
};

// A dense f32 matrix, or a part of one: `stride` floats from row to row.
struct matrix {
    fbuf data;
    uint32_t rows, cols, stride;
};

struct matrix matrix_of(fbuf data, uint32_t rows, uint32_t cols);      // dense
struct weight weight_of(fbuf data, uint32_t rows, uint32_t cols);      // dense f32 as a weight

// y = x w^T (+ r, if r is not 0).  x: [rows, w.cols]  y, r: [rows, w.rows]
void gemm_forward(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows);
// y = x w (+ r): the gradient through gemm_forward.  x: [rows, w.rows]  y, r: [rows, w.cols]
// parts: scratch of gemm_backward_parts(w, rows) floats, for long sums of few rows.
void gemm_backward(struct cmd *cmd, fbuf x, struct weight w, fbuf r, fbuf y, uint32_t rows,
                   fbuf parts);
uint64_t gemm_backward_parts(struct weight w, uint32_t rows);

// y = alpha * x w^T + beta * y.  x: [M, K]  w: [N, K]  y: [M, N]
void gemm_nt(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta);
// y = alpha * x w + beta * y.  x: [M, K]  w: [K, N]  y: [M, N]
void gemm_nn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta);
// y = alpha * x^T w + beta * y.  x: [K, M]  w: [K, N]  y: [M, N]  shape: FULL, LOWER, LEFT
void gemm_tn(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y, float alpha,
             float beta, uint32_t shape);
// The first two for triangles (SHAPE_ of ops.def): y's lower one is wanted, x is a lower one.
void gemm_nt_lower(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y);
void gemm_nn_left(struct cmd *cmd, struct matrix x, struct matrix w, struct matrix y);
