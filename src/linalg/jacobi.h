// One-sided block Jacobi: rotates the rows of a square matrix until they are orthogonal.
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

enum { JACOBI_PAIR = 32 }; // rows that are rotated together, as in shaders/pairs.glsl

struct jacobi {
    struct device *dev;
    uint32_t rows;
    struct buffer *gram, *turn;  // [pairs, 32, 32]
    struct buffer *home;         // [rows]
    struct buffer *worst, *busy; // [pairs]
    struct buffer *result;       // [1]
};

bool jacobi_new(struct device *dev, uint32_t rows, struct jacobi *jacobi); // rows: whole pairs
void jacobi_free(struct jacobi *jacobi);                                   // accepts zero

// x[0]: [rows, cols] with rows `stride` apart, x[1]: scratch of its size. The first `rows` columns
// are to become orthogonal rows; the ones after them are rotated along. *result is where the
// outcome stands.
// size: rows that are not padding. Fails with STATUS_FAILED if it does not converge.
bool jacobi_run(struct jacobi *jacobi, struct buffer *x[2], uint32_t cols, uint32_t stride,
                uint32_t size, fbuf *result, uint32_t *sweeps, double *cosine);
