// Singular value decomposition on the device: row-pivoted LQ, then one-sided block Jacobi.
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

struct svd_report {
    uint32_t sweeps;
    uint32_t rank;    // singular values above max(d, m) eps sigma_0
    uint32_t zeros;   // singular values that are exactly zero; their vectors complete the set
    double cosine;    // largest |cos| between two rows that the last sweep met
    double seconds;
};

// The matrix A [d, m] = U diag(sigma) V^T, k = min(d, m).
//   u_rows: [k, d], row i = i-th left singular vector    v_rows: [k, m], the right ones
//   sigma: [k], descending, never negative
// U and V are orthonormal also where A is rank-deficient or zero. u_rows, v_rows may be NULL.
//
// Accuracy: |cos| < min(n, 32) eps at the end, and with A = D B, D diagonal, the error of each
// sigma relative to itself is about eps * condition(B) (Demmel-Veselic, Drmac): rows of wildly
// different sizes cost nothing. Else it is eps * sigma_0. Values under 1e-15 of the largest entry
// are returned as zero. Fails with STATUS_BAD_DATA on NaN or infinity in A. Runs and waits;
// needs about 4 copies of A on the device.
bool svd_full(struct device *dev, struct buffer *a, uint32_t d, uint32_t m, struct buffer *u_rows,
              struct buffer *sigma, struct buffer *v_rows, struct svd_report *report);
bool svd_left(struct device *dev, struct buffer *a, uint32_t d, uint32_t m, struct buffer *u_rows,
              struct buffer *sigma, struct svd_report *report);

// The same of A = sum_t x_t y_t^T, which is formed only if t > min(d, m).
//   x: [t, d]  y: [t, m], unchanged  k = min(t, d, m)
//   u_rows: [k, d]  sigma: [k]  v_rows: [k, m]
// (O-Edit Eq. 11: an edit is a pair; dW_total is their sum)
bool svd_pairs(struct device *dev, struct buffer *x, struct buffer *y, uint32_t t, uint32_t d,
               uint32_t m, struct buffer *u_rows, struct buffer *sigma, struct buffer *v_rows,
               struct svd_report *report);
