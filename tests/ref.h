// Every operator of the transformer, naively and in double precision. Shapes as in ops.def.
#pragma once
#include <stdbool.h>
#include <stdint.h>

double *ref_wide(const float *x, uint64_t count); // a copy in double; to be freed
double *ref_zeros(uint64_t count);

// d f / d x[0] by central differences: error about 1e-10 of f's size.
double ref_slope(double (*f)(void *context), void *context, double *x);

// ---- rows ----
void ref_rmsnorm(const double *x, const double *w, double *y, uint32_t rows, uint32_t cols,
                 double eps);
// dx += gradient
void ref_rmsnorm_back(const double *x, const double *w, const double *dy, double *dx, uint32_t rows,
                      uint32_t cols, double eps);
// table: [positions, dim / 2, (cos, sin)]
void ref_rope(const double *x, const double *table, const uint32_t *pos, const uint32_t *slot,
              double *y, uint32_t rows, uint32_t heads, uint32_t dim, bool interleaved,
              double sign);
double ref_silu(double x);
double ref_silu_slope(double x);

// y = alpha * op(x) op(w) + beta * y, op the transpose where asked for. x and w as stored, with
// ldx and ldw from row to row; size: the sum of the terms' magnitudes, or NULL.
struct ref_gemm {
    bool turn_x, turn_w;
    uint32_t rows, outs, inner, ldx, ldw, ldy;
    double alpha, beta;
};
void ref_gemm(struct ref_gemm g, const double *x, const double *w, double *y, double *size);

// ---- attention ----
struct ref_attention {
    uint32_t rows, heads, kv_heads, dim, window;
    double scale;
    const double *q, *k, *v; // k, v: [slots, kv_heads * dim]
    const uint32_t *first, *count;
};
void ref_attention(const struct ref_attention *a, double *o, double *lse);
// dq: [rows, heads * dim]; dk, dv: [slots, kv_heads * dim], added to
void ref_attention_back(const struct ref_attention *a, const double *dy, double *dq, double *dk,
                        double *dv);

// ---- losses ----
double ref_lse(const double *x, uint32_t cols);
double ref_cross_entropy(const double *logits, uint32_t cols, uint32_t target);
double ref_kl(const double *logits, const double *base, uint32_t cols);
// gradients with respect to logits, times weight
void ref_cross_entropy_back(const double *logits, uint32_t cols, uint32_t target, double weight,
                            double *grad);
void ref_kl_back(const double *logits, const double *base, uint32_t cols, double weight,
                 double *grad);
void ref_top_k(const float *x, uint32_t cols, uint32_t k, uint32_t *ids);

// ---- optimisation of the value ----
// weight * mean_i g(cos(row i, delta)); mode: 0 square, 1 absolute, 2 signed. grad is added to; a
// row without length counts as orthogonal, and so does everything while delta is zero.
double ref_cosine(const double *basis, uint32_t rows, const double *delta, uint32_t dim, int mode,
                  double weight, double *grad);

struct ref_adam { // Kingma and Ba; betas 0.9 and 0.999, eps 1e-8
    uint32_t n, step;
    double rate, clamp; // |x| is held under clamp
    double *m, *v;
};
void ref_adam(struct ref_adam *adam, double *x, const double *grad);
