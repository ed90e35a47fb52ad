// The leading left singular vectors of a large matrix from random probes of its range, with bounds
// on their error that are measured, not assumed (Halko, Martinsson and Tropp 2011, Alg. 4.4).
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

// In units of A: sigma and norms; in its squares: energies.
struct range_report {
    uint32_t probes, passes; // random vectors; times that A^T and A were applied to them again
    double energy;   // |A|_F^2
    double held;     // by the vectors found: sum of their sigma^2
    double coupling; // |(I - U U^T) A A^T U|_F: zero for true singular vectors
    double rest;     // |(I - U U^T) A|_2 is at most this, but with probability RANGE_ODDS
    double lost;     // no vectors, as many as these, hold more than held + lost
    double sine;     // of the largest angle to the span of A's true leading vectors; 1: unknown
    double seconds;
};

#define RANGE_ODDS 1e-10

// The first `count` left singular vectors of A [d, m] and their singular values, with RANGE_EXTRA
// probes more, which must fit: range_fits. More passes until `coupling` is small beside `held`.
//   a: comes back scaled by a power of two, its largest entry from 1 to 2
//   u_rows: [count, d], row i the i-th; rows whose sigma is zero to rounding mean nothing
//   sigma: [count], on the host, descending
// The random numbers depend on the shape alone. Fails with STATUS_BAD_DATA on NaN or infinity in
// A. Runs and waits; needs about 5 probes (d + m) floats on the device beside A.
bool range_left(struct device *dev, struct buffer *a, uint32_t d, uint32_t m, uint32_t count,
                struct buffer *u_rows, float *sigma, struct range_report *report);

uint32_t range_probes(uint32_t count); // random vectors for `count` of A's
bool range_fits(uint32_t d, uint32_t m, uint32_t count);
// Whether it fits and is much less work than linalg/svd.h, by a count of operations.
bool range_pays(uint32_t d, uint32_t m, uint32_t count);
