#include "check/twin_table.h"

const twin_op twin_float[OP_COUNT] = {
#define OP(name, ...) [OP_##name] = twin_##name,
#include "ops.def"
};
