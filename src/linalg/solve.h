// Systems with a symmetric positive definite matrix: blocked Cholesky, triangular solves and
// iterative refinement, all on the device.
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

// S = C + shift I = L L^T, shift = ridge * mean(diag C).
struct factor {
    struct device *dev;
    uint32_t n;
    float shift;
    struct buffer *matrix;   // C, the caller's: [n, n]
    struct buffer *lower;    // L: [n, n], its upper triangle is undefined
    struct buffer *inverses; // of L's diagonal blocks of 64: [n / 64, 64, 64]
    struct buffer *state;    // shift, pivot found bad and norms, see solve.c
    struct buffer *work;     // vectors and a block column, see solve.c
};

// Only C's lower triangle is read; its upper one is overwritten with the mirror image, which the
// residuals need. C must stay alive and unchanged as long as the factor.
// Fails with STATUS_BAD_DATA naming the pivot where C + shift I is not positive definite in f32
// (a pivot that is NaN, or under 4 eps of its diagonal entry: nothing of it is left), with a ridge
// that makes it so.
bool factor_new(struct device *dev, struct buffer *c, uint32_t n, double ridge,
                struct factor *factor);
void factor_free(struct factor *factor); // accepts zero

// S <- S + scale v v^T: C and L are changed, L by a rank-one update in O(n^2).  v: [n]  scale > 0
// Runs and waits.
bool factor_update(struct factor *factor, fbuf v, double scale);

// How a solve went.
struct solve_report {
    uint32_t steps;    // of refinement
    double correction; // |last correction| / |x|
    double residual;   // |b - S x| / |b| before it; rounding x to f32 alone makes up to eps cond(S)
};

// x = S^-1 b, refined until the corrections stop shrinking, where they do not shrink by conjugate
// gradients: relative error about n^(1/2) eps for any condition the factorisation survives with
// that; beyond, STATUS_BAD_DATA with the condition and a ridge that brings it to 1e5.
// b, x: [n], may not overlap. report may be NULL. Runs and waits.
bool factor_solve(struct factor *factor, fbuf b, fbuf x, struct solve_report *report);

// Estimates |S|_2 |S^-1|_2 by power iteration with S and with S^-1 (from below, mostly within a
// factor of two; over 1e7 it only says so much). Runs and waits.
bool factor_condition(struct factor *factor, double *condition);

// What factor_solve would find at the first right side, found ahead with a random one: the
// condition, at most 1e7, and that it can be solved with; else STATUS_BAD_DATA with a ridge that
// brings it to 1e5. report may be NULL.
bool factor_check(struct factor *factor, double *condition, struct solve_report *report);
