// What groups of buffers take on a device: the shapes of model/, linalg/ and edit/ once more, as
// arithmetic, so that a run can be planned before anything is made. tests/plan.sh holds them to
// what runs took.
#pragma once
#include "edit/hparams.h"

struct amount {
    uint64_t bytes;   // of buffers that live together, with what is behind each (vk/buffer.h)
    uint64_t apart;   // of those that have a device allocation of their own
    uint64_t largest; // the largest one
};

// `times` buffers of `bytes` each.
void amount_add(struct amount *sum, uint64_t bytes, uint64_t times);
void amount_both(struct amount *sum, struct amount other, uint64_t times);

// Rows that run together, of `texts` sequences, the longest of `longest` positions.
struct rows {
    uint64_t rows, texts, longest;
};

// The first of the batches into which a text of `count` tokens in blocks is cut.
struct rows rows_of_text(uint64_t count, uint64_t block);

void need_batch(struct amount *sum, struct rows rows);
void need_cache(struct amount *sum, const struct config *c, uint64_t layers, uint64_t slots);
void need_acts(struct amount *sum, const struct config *c, uint64_t layers, struct rows rows,
               bool kept);
void need_head(struct amount *sum, const struct config *c, uint64_t count);
void need_grads(struct amount *sum, const struct weights *weights, struct rows rows,
                uint64_t most); // most: rows of the largest product
void need_pass(struct amount *sum, const struct config *c, uint64_t layers, struct rows rows,
               bool kept);

void need_factor(struct amount *sum, uint64_t n);
void need_svd(struct amount *sum, uint64_t d, uint64_t m, bool u, bool v);
void need_pairs_svd(struct amount *sum, uint64_t t, uint64_t d, uint64_t m);
void need_range(struct amount *sum, uint64_t d, uint64_t m, uint64_t count);
void need_basis(struct amount *sum, uint64_t dim, uint64_t capacity);
// A tensor in f32 beside the stored one and its row numbers; `sum` gets the f32.
struct amount need_unpack(struct amount *sum, const struct tensor *tensor);
