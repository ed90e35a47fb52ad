// The pairs of all edits of one layer, whose sum of u w^T is dW_total (O-Edit Eq. 11).
#pragma once
#include "ops/ops.h"
#include "vk/buffer.h"

struct pairs {
    struct device *dev;
    uint32_t rows, cols, count, capacity;
    struct buffer *u, *w; // [capacity, rows], [capacity, cols]; replaced when they grow
    float top;            // |W|_2 of the base; 0: nobody asked yet
};

bool pairs_new(struct device *dev, uint32_t rows, uint32_t cols, uint32_t capacity,
               struct pairs *pairs);
void pairs_free(struct pairs *pairs); // accepts zero

// Appends scale * u and w.  u: [rows]  w: [cols], unchanged. Runs and waits.
bool pairs_add(struct pairs *pairs, fbuf u, fbuf w, float scale);

struct journal;
struct journal_tensor;

// Those of a journal's layer that count, in their order. rows, cols: the tensor's.
bool pairs_load(struct device *dev, const struct journal *journal,
                const struct journal_tensor *tensor, struct pairs *pairs);
