// The geometry of a sequence of edits dW_j = u_j w_j^T of one matrix [d, m] (O-Edit sec. 5.3):
// how large their sum is, how far their directions overlap, how much of each one's key meets the
// others. All computed by the device's operators; sums over results in double.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "vk/buffer.h"

struct spectrum { // of a matrix; values: [count], descending
    float *values;
    uint32_t count;
    uint32_t rank;     // values above rounding: max(d, m) eps times the largest
    double norm;       // |.|_2, the largest value
    double frobenius;
    double condition;  // the largest over the smallest; INFINITY if that is 0
    double nonzero;    // the largest over the smallest above rounding; NAN if there is none
};

// a: [d, m]. Runs and waits.
bool spectrum_matrix(struct device *dev, struct buffer *a, uint32_t d, uint32_t m,
                     struct spectrum *spectrum);
// Of sum_j u_j w_j^T.  u: [t, d]  w: [t, m]. count: min(t, d, m); no values at t = 0.
bool spectrum_pairs(struct device *dev, struct buffer *u, struct buffer *w, uint32_t t, uint32_t d,
                    uint32_t m, struct spectrum *spectrum);
void spectrum_free(struct spectrum *spectrum); // accepts zero

// |cos| between the rows of x [t, cols]: cosines [t, t], of which *mean is over i != j (Fig. 4);
// NAN with fewer than two rows. A row of zeros has 0 with every other.
bool geometry_cosines(struct device *dev, struct buffer *x, uint32_t t, uint32_t cols,
                      float *cosines, double *mean);

// Activation scores (Fig. 8 and 5): own[j] = |dW_j k_j|, unrelated[j] = |sum_{i != j} dW_i k_j|.
// u: [t, d]  w, k: [t, m]
bool geometry_scores(struct device *dev, struct buffer *u, struct buffer *w, struct buffer *k,
                     uint32_t t, uint32_t d, uint32_t m, float *own, float *unrelated);
