// Operators in plain C: twin_float makes the bits that strict shaders make, twin_double the same
// formulas in double precision, for the errors of fast ones. One source, compiled twice.
#pragma once
#include "ops/ops.h"

// The arguments of an operator, NAME_args, whose addresses are pointers of the host: fbuf to floats
// (twin_float) or doubles (twin_double), ubuf to 32-bit words or to packed weights, the same in
// both.
typedef void (*twin_op)(const void *args);

// NULL for what has no strict numbers: gemm_coop and the bench's probes.
extern const twin_op twin_float[OP_COUNT], twin_double[OP_COUNT];
