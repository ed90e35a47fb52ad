#include "ops/ops.h"

#include <assert.h>

const double op_weight_bits[16] = {32, 16, 16, 8.5, 4.5, 5, 5.5, 6, 4.5, 5.5, 6.5625};

const char *const op_names[OP_COUNT] = {
#define OP(name, ...) #name,
#include "ops.def"
};

struct build { // a compiled shader of an operator
    enum op op;
    struct tile tile; // rows 0: no BUILD rows
    uint32_t variant;
    enum { ANY, FAST, STRICT } precision; // which numbers it is for (vk/strict.h)
    struct shader shader;
};

#include "builds.inc" // made by CMake from ops.def: builds[], sorted by operator

enum { BUILDS = sizeof builds / sizeof *builds, WIDE = 8 }; // WIDE: ops.def's BUILD

static bool build_fits(const struct device *dev, const struct build *b, enum op op,
                       uint32_t variant)
{
    return b->op == op && b->variant == variant && b->shader.width <= dev->info.subgroup &&
           b->precision != (dev->strict ? FAST : STRICT) &&
           (b->shader.width < WIDE || dev->info.int64);
}

bool op_built(enum op op)
{
    for (size_t i = 0; i < BUILDS; i++)
        if (builds[i].op == op) return true;
    return false;
}

uint32_t op_build_count(void)
{
    return BUILDS;
}

const struct shader *op_build_shader(uint32_t i, enum op *op, bool *fast, bool *strict)
{
    *op = builds[i].op;
    *fast = builds[i].precision != STRICT;
    *strict = builds[i].precision != FAST && !builds[i].shader.matrix_units;
    return &builds[i].shader;
}

static const struct shader *build_find(const struct device *dev, enum op op, uint32_t variant)
{
    const struct shader *best = NULL;
    for (size_t i = 0; i < BUILDS; i++) {
        const struct build *b = &builds[i];
        if (!build_fits(dev, b, op, variant & 255) || b->tile.rows != (variant >> 8 & 255) ||
            b->tile.cols != (variant >> 16 & 15))
            continue;
        if (!best || b->shader.width > best->width) best = &b->shader;
    }
    assert(best && "ops.def lacks a BUILD or a VARIANT");
    return best;
}

uint32_t op_tiles(const struct device *dev, enum op op, uint32_t variant, struct tile *tiles,
                  uint32_t capacity)
{
    uint32_t count = 0;
    for (size_t i = 0; i < BUILDS; i++) {
        const struct tile *tile = &builds[i].tile;
        bool known = !build_fits(dev, &builds[i], op, variant);
        for (uint32_t j = 0; j < count && !known; j++)
            known = tiles[j].rows == tile->rows && tiles[j].cols == tile->cols;
        if (!known && count < capacity) tiles[count++] = *tile;
    }
    return count;
}

#define OP(name_, access_, arguments, x, y, z, variant_, flops_, bytes_)                           \
    void op_##name_(struct cmd *cmd, struct name_##_args a)                                        \
    {                                                                                              \
        if (cmd->failed) return;                                                                   \
        const uint32_t variant = (uint32_t)(variant_);                                             \
        cmd_dispatch(cmd, &(struct dispatch){                                                      \
                              .shader = build_find(cmd->dev, OP_##name_, variant),         \
                              .name = #name_,                                                      \
                              .access = #access_,                                                  \
                              .push = &a,                                                          \
                              .push_bytes = sizeof a,                                              \
                              .local = variant >> 20,                              \
                              .groups = {(uint32_t)(x), (uint32_t)(y), (uint32_t)(z)},             \
                              .flops = (double)(flops_),                                           \
                              .bytes = (double)(bytes_)});                                         \
    }
#include "ops.def"
