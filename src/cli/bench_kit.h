// Buffers for the arguments of operators: made by a line of bench_ops.def, of a model's sizes.
#pragma once
#include "cli/bench.h"

enum { KIT_BUFFERS = 16 };

struct kit {
    struct bench *bench;
    const struct bench_shape *shape;
    uint32_t rows;
    bool rows_used;    // the line asked for them
    bool counting;     // nothing is made, only bytes are counted
    bool failed;
    uint64_t bytes, largest;
    struct buffer *buffers[KIT_BUFFERS];
    uint32_t count;
};

void kit_free(struct kit *kit);

uint32_t kit_rows(struct kit *kit);
fbuf kit_floats(struct kit *kit, uint64_t n); // random, in [-1/2, 1/2]
fbuf kit_all(struct kit *kit, uint64_t n, float value);
fbuf kit_words(struct kit *kit, uint32_t n, uint32_t value);
fbuf kit_iota(struct kit *kit, uint32_t n, uint32_t first, uint32_t below); // (first + i) % below
// `count` symmetric positive definite matrices [n, n] with ones on the diagonal.
fbuf kit_definite(struct kit *kit, uint32_t count, uint32_t n);
// Bytes of any weight dtype, all scales finite.  [rows, cols]
fbuf kit_weight(struct kit *kit, uint32_t rows, uint32_t cols, uint32_t dtype);
uint64_t kit_weight_bytes(uint32_t rows, uint32_t cols, uint32_t dtype);
