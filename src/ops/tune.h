// Tiles of the matrix products: timed once for each device and kept in the cache.
#pragma once
#include "ops/ops.h"

// The tile for a product with `rows` rows: the one of which as many as cover the rows take the
// least time. What was not timed is judged by common sense.
struct tile tune_tile(struct device *dev, enum op op, uint32_t variant, uint32_t rows);

// Whether gemm_coop is faster here than gemm_nt's best tile, and was seen to give the same.
bool tune_units(struct device *dev, uint32_t variant, uint32_t rows);

// Times every tile of the three products in these weight types (bit n: dtype n of io/weights.h),
// or takes the times from the cache. Nothing may be under recording.
bool tune(struct device *dev, uint32_t dtypes);

// What tune chose from for these types, as a number: others may give other bits. 0: not timed.
uint64_t tune_id(const struct device *dev, uint32_t dtypes);

// From now on only tiles of this shape, where an operator has it; 0, 0: all. For tests and bench.
bool tune_only(struct device *dev, uint32_t rows, uint32_t cols);
