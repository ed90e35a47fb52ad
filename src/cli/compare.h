// How large a difference of matrices is, by the device's own operators.
#pragma once
#include "vk/buffer.h"

struct size_of { // of a matrix
    double frobenius, spectral;
    uint32_t rank; // singular values above `least` and above max(rows, cols) eps of the largest
};

struct norms { // of a matrix, its longest row and its longest column
    double frobenius, row, column;
};

// x: [rows, cols]
bool compare_norms(struct device *dev, struct buffer *x, uint32_t rows, uint32_t cols,
                   struct norms *norms);

// x: [rows, cols]. Singular values up to `least` count as rounding.
bool compare_size(struct device *dev, struct buffer *x, uint32_t rows, uint32_t cols, double least,
                  struct size_of *size);

// The same of sum_t u_t w_t^T.  u: [t, rows]  w: [t, cols]
bool compare_pairs(struct device *dev, struct buffer *u, struct buffer *w, uint32_t t,
                   uint32_t rows, uint32_t cols, struct size_of *size);
