// The k largest of each row, in as many dispatches of op_top_k as it takes.
#pragma once
#include "ops/ops.h"

// x: [rows, cols]  ids, values: [rows, k]  Descending, ties to the smaller index; k <= cols.
void top_k(struct cmd *cmd, fbuf x, ubuf ids, fbuf values, uint32_t rows, uint32_t cols,
           uint32_t k);
