// Inputs made of nothing but integers, and so the same on every machine: the arguments of one
// dispatch with all its buffers, on the host.
#pragma once
#include "io/weights.h"
#include "ops/ops.h"

enum content {
    MADE_FLOATS, // uniform in [low, high)
    MADE_STEPS,  // words (first + step * i) mod below
    MADE_IDS,    // words under `below`
    MADE_GIVEN,  // floats: pairs of place and value, 0 elsewhere
    MADE_LOWER,  // floats in [-1, 1) in a lower triangle, 0 above it  [_, cols]
    MADE_DEFINITE, // floats: symmetric matrices [cols, cols], nearly diagonal, all different there
    MADE_GRAM,   // floats: the dot products of the rows of another pointer's buffer  [cols, cols]
    MADE_WEIGHT, // a weight matrix of any dtype, all |w| < 2^-shift
    MADE_BITS,   // words of any bits, NaN and infinity among them
    MADE_FAINT,  // words: floats, and halves of BF16, from 2^-96 to 2^-31
    MADE_OUT,    // words of a NaN that must not be left
    MADE_OUT_LOWER, // the same [_, cols]; only the lower triangle is looked at
};

struct made_buffer { // one pointer of the arguments
    enum content content;
    uint32_t words;           // 32 bits each
    double low, high;         // MADE_FLOATS
    uint32_t first, step, below, cols, shift, from; // from: the pointer that MADE_GRAM is made of
    enum dtype dtype;
    uint32_t given_count; // of made.pairs
    bool floats;              // fbuf of ops.def, else ubuf
    char access;              // r, w or m
    uint32_t *data;           // [words] before the dispatch
};

struct made {
    struct device *dev; // whose tiles the arguments name; NULL: none
    enum op op;
    struct made_buffer specs[CMD_POINTERS_MAX]; // as they were asked for, numbered from 1
    uint32_t spec_count;
    struct made_buffer buffers[CMD_POINTERS_MAX]; // by pointer, in the order of the arguments
    uint32_t count;
    double pairs[12][2];                          // of MADE_GIVEN
    _Alignas(8) unsigned char args[CMD_PUSH_MAX]; // pointers are numbers of specs
};

// Asked for while the arguments are filled in; each returns what stands in for the address.
uint64_t made_floats(struct made *m, uint32_t n, double low, double high);
uint64_t made_steps(struct made *m, uint32_t n, uint32_t first, uint32_t step, uint32_t below);
uint64_t made_ids(struct made *m, uint32_t n, uint32_t below);
uint64_t made_given(struct made *m, uint32_t n, const double (*pairs)[2], uint32_t count);
uint64_t made_lower(struct made *m, uint32_t rows, uint32_t cols);
uint64_t made_definite(struct made *m, uint32_t count, uint32_t n);
uint64_t made_gram(struct made *m, uint32_t rows, uint32_t from);
uint64_t made_weight(struct made *m, uint32_t rows, uint32_t cols, uint32_t dtype);
uint64_t made_words(struct made *m, uint32_t n, enum content content);
uint64_t made_out_lower(struct made *m, uint32_t rows, uint32_t cols);

// Fills all buffers; `seed_text` (operator and case) and the pointer's place choose the numbers.
bool made_fill(struct made *m, const char *seed_text);
void made_free(struct made *m);

// The bytes of a weight matrix, of numbers that a seed chooses; to be freed. NULL on failure.
uint8_t *made_weight_bytes(uint64_t elements, enum dtype dtype, uint32_t shift, uint64_t seed,
                           uint64_t *bytes);
// Uniform floats in [low, high); to be freed.
float *made_vector(uint32_t count, double low, double high, uint64_t seed);
