// The block formats of GGML, unpacked element by element in double precision, and random blocks.
#pragma once
#include <stdint.h>

#include "io/weights.h"

double ref_half(uint16_t half); // IEEE binary16

// Elements [0, count) of a packed run that starts at a block.
void ref_unpack(enum dtype dtype, const uint8_t *data, uint64_t count, double *values);

// count elements of random bits with scales between 2^-8 and 2^-6 in size; to be freed. *bytes: of
// it, rounded up to words.
uint8_t *ref_random_blocks(enum dtype dtype, uint64_t count, uint64_t *random, uint64_t *bytes);
