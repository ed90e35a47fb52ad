// Floats into any stored dtype, block by block, to the nearest value that the block's scales allow.
#pragma once
#include "io/weights.h"

// count: a multiple of the dtype's block; to: count / block * bytes of dtype_table. All finite, and
// no larger than the dtype's scale of 16 bits can hold: pack_holds says so.
void pack(enum dtype dtype, const float *from, uint64_t count, uint8_t *to);

// The first element, below count, that the dtype cannot hold (NaN, infinite, too large); else
// count.
uint64_t pack_holds(enum dtype dtype, const float *from, uint64_t count);
