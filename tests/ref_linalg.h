// Linear algebra in double precision, as plainly as it can be written, to measure src/linalg by.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

// Random numbers of a seed: uniform in (-1, 1), and normal.
double ref_uniform(uint64_t *seed);
double ref_normal(uint64_t *seed);
// A random orthogonal matrix [n, n], by Gram-Schmidt on a normal one.
void ref_orthogonal(uint64_t *seed, uint32_t n, double *q);

// a a^T / n + I, symmetric and well conditioned; to be freed. a: [n, n]
float *ref_definite(const float *a, uint32_t n);

// Singular values of a [d, m], descending, to near machine precision: one-sided Jacobi, one pair
// at a time. sigma: [min(d, m)]. u, if not NULL: [min(d, m), d], left vectors by rows.
void ref_svd(const float *a, uint32_t d, uint32_t m, double *sigma, double *u);

// x = (c + shift I)^-1 b by Cholesky. c: [n, n], lower triangle used
void ref_solve(const float *c, uint32_t n, double shift, const float *b, double *x);

// x = a^-1 b, or with turned x^T = b^T a^-1, by elimination with the largest pivots. a: [n, n]
void ref_solve_dense(const double *a, uint32_t n, bool turned, const double *b, double *x);

// max |Q Q^T - I| over the rows of q [rows, cols]; rows that are exactly zero are left out.
double ref_orthonormality(const float *q, uint32_t rows, uint32_t cols);
// max |A - U^T diag(sigma) V|, u: [k, d]  v: [k, m]
double ref_reconstruction(const float *a, const float *u, const float *sigma, const float *v,
                          uint32_t d, uint32_t m, uint32_t k);

// Memory or the end of the test program.
void *ref_new(size_t count, size_t size);
// The device by the default rule, or the end of the test program with its reason.
void ref_open(struct device *dev);
void ref_close(struct device *dev); // and exits if a barrier was missing (vk/hazard.h)
