#include "ops/ops.h"

#include <assert.h>

const double op_weight_bits[16] = {32, 16, 16, 8.5, 4.5, 5, 5.5, 6, 4.5, 5.5, 6.5625};

const char *const op_names[OP_COUNT] = {
#define OP(name, ...) #name,
#define BUILD(name, rows, width)
#include "ops.def"
#undef OP
#undef BUILD
};

struct build { // a compiled shader of an operator
    enum op op;
    uint32_t rows; // 0: the only one
    struct shader shader;
};

#include "builds.inc" // made by CMake from ops.def: builds[]

static const struct shader *build_find(const struct device *dev, enum op op, uint32_t rows)
{
    const struct shader *best = NULL;
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++) {
        const struct build *b = &builds[i];
        if (b->op != op || b->rows != rows || b->shader.width > dev->info.subgroup) continue;
        if (!best || b->shader.width > best->width) best = &b->shader;
    }
    assert(best && "ops.def lacks a BUILD");
    return best;
}

// Operators without BUILD rows keep all of `variant` to themselves.
static bool built(enum op op)
{
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++)
        if (builds[i].op == op && builds[i].rows) return true;
    return false;
}

#define OP(name_, access_, arguments, x, y, z, variant_, flops_, bytes_)                           \
    void op_##name_(struct cmd *cmd, struct name_##_args a)                                        \
    {                                                                                              \
        if (cmd->failed) return;                                                                   \
        const uint32_t variant = (uint32_t)(variant_);                                             \
        const bool tiled = built(OP_##name_);                                                      \
        cmd_dispatch(cmd, &(struct dispatch){                                                      \
                              .shader = build_find(cmd->dev, OP_##name_,                           \
                                                   tiled ? variant >> 8 & 255 : 0),                \
                              .name = #name_,                                                      \
                              .access = #access_,                                                  \
                              .push = &a,                                                          \
                              .push_bytes = sizeof a,                                              \
                              .constants = {tiled ? variant & 255 : variant,                       \
                                            tiled ? variant >> 16 : 0},                            \
                              .groups = {(uint32_t)(x), (uint32_t)(y), (uint32_t)(z)},             \
                              .flops = (double)(flops_),                                           \
                              .bytes = (double)(bytes_)});                                         \
    }
#define BUILD(name, rows, width)
#include "ops.def"
