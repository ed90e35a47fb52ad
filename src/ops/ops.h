// The operators: op_NAME(cmd, (struct NAME_args){...}) for every row of shaders/ops.def.
#pragma once
#include <stdint.h>

#include "vk/cmd.h"

typedef uint64_t fbuf; // device address of floats
typedef uint64_t ubuf; // device address of 32-bit words
typedef uint32_t uint;

#define CEIL(n, d) (((n) + (d) - 1) / (d))
// Workgroups of 64 for n elements; each thread strides over more where the grid ends.
#define GRID(n) (CEIL(n, 64) < 65535 ? CEIL(n, 64) : 65535)
// ops.def's column `variant` of an operator with BUILD rows.
#define BUILT(variant, rows, cols, local) ((variant) | (rows) << 8 | (cols) << 16 | (local) << 20)
#define WEIGHT_BYTES(type, elements) (op_weight_bits[type] / 8 * (elements))

extern const double op_weight_bits[16]; // bits a weight, by dtype

#define OP(name, access, arguments, x, y, z, variant, flops, bytes)                               \
    struct name##_args {                                                                           \
        arguments                                                                                  \
    };                                                                                             \
    _Static_assert(sizeof(struct name##_args) <= CMD_PUSH_MAX, "arguments of " #name);             \
    void op_##name(struct cmd *cmd, struct name##_args a);
#include "ops.def"

enum op {
#define OP(name, ...) OP_##name,
#include "ops.def"
    OP_COUNT
};

extern const char *const op_names[OP_COUNT];

struct tile { // a BUILD row: results of a thread; threads and columns of a workgroup
    uint32_t rows, cols, local, wide;
};

// Tiles (local and wide 0) of an operator's variant that the device can run; returns how many there
// are.
uint32_t op_tiles(const struct device *dev, enum op op, uint32_t variant, struct tile *tiles,
                  uint32_t capacity);

// Whether a shader of this operator was compiled in (NEEDS of ops.def).
bool op_built(enum op op);

// All compiled shaders, for what looks at each of them; fast, strict: which numbers it serves.
uint32_t op_build_count(void);
const struct shader *op_build_shader(uint32_t i, enum op *op, bool *fast, bool *strict);
