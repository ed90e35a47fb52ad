// The best approximation of a sum of pairs by few of them (Eckart and Young).
#pragma once
#include "linalg/svd.h"

struct low_rank {
    uint32_t rank;     // at most what was asked for; less where singular values are zero
    double norm, lost; // Frobenius norms of the sum and of what is left out
};

// sum_t x_t y_t^T, with x [t, d] and y [t, m], is about b a:
//   a: [rank, m]  b: [d, rank], on the host, singular values shared equally. Runs and waits.
bool low_rank(struct device *dev, struct buffer *x, struct buffer *y, uint32_t t, uint32_t d,
              uint32_t m, uint32_t rank, float *a, float *b, struct low_rank *report);
