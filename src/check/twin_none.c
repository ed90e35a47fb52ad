#include "check/twin.h"

// Stands in until the operators in C are there.
const twin_op twin_float[OP_COUNT] = {0}, twin_double[OP_COUNT] = {0};
