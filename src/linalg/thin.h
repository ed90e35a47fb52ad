// Systems with shift I + sum_t x_t x_t^T for few long vectors x_t, kept in an orthonormal basis of
// their span: no n x n matrix is formed, and nothing cancels as it does in Woodbury's identity.
#pragma once
#include "linalg/project.h"
#include "linalg/solve.h"

// With Q the basis, S = shift (I - Q^T Q) + Q^T M Q and M = shift I + sum_t (Q x_t) (Q x_t)^T.
struct thin {
    struct device *dev;
    double shift;         // over 0
    double mass;          // sum of |x_t|^2: the condition of S is at most 1 + mass / shift
    struct basis basis;   // Q: [r, n]
    struct buffer *inner; // M, and shift I where there is no basis vector yet [capacity, capacity]
    struct factor factor; // of M, by rank-one updates
    struct buffer *work;  // three vectors [capacity], see thin.c
};

bool thin_new(struct device *dev, uint32_t n, double shift, uint32_t capacity, struct thin *thin);
void thin_free(struct thin *thin); // accepts zero

// S <- S + x x^T.  x: [n]  O(n r + r^2). Runs and waits. STATUS_BAD_DATA if |x| is not finite.
bool thin_push(struct thin *thin, fbuf x);

// y = S^-1 b, as accurate as factor_solve.  b, y: [n], may not overlap. Runs and waits.
bool thin_solve(struct thin *thin, fbuf b, fbuf y);
