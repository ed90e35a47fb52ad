// An operator on a strict device and its twin in C, on the same inputs: the same bits.
#pragma once
#include "ref_must.h"
#include "ref_rig.h"

// cmocka group set-up: as rig_open, the device strict.
int twin_open(void **state);

#define EACH_OF(i, array) for (uint32_t i = 0; i < COUNT(array); i++)

// One case: TWIN_CASE(rig, fill, {.y = rig_out(rig, 5), .n = 5}); then the rig is empty again.
#define TWIN_CASE(rig, name, ...)                                                                  \
    do {                                                                                           \
        const struct name##_args args_ = __VA_ARGS__;                                              \
        op_##name(&(rig)->cmd, args_);                                                             \
        twin_check(rig, OP_##name, &args_, sizeof args_);                                          \
        rig_drop(rig);                                                                             \
    } while (0)

// Runs what is recorded, that one dispatch; then the twin on copies of what the buffers were filled
// with. Every word of every buffer must agree, NaN with NaN.
void twin_check(struct rig *rig, enum op op, const void *args, size_t bytes);

// Inputs straight into the rig. Of either sign, from 2^-spread to 2^spread; every eighth is zero.
float *wild(struct rig *rig, uint64_t count, int spread); // to be freed
fbuf wild_in(struct rig *rig, uint64_t count, int spread);
fbuf wild_change(struct rig *rig, uint64_t count, int spread);
fbuf even_in(struct rig *rig, uint64_t count, double scale); // uniform in [-scale, scale)
fbuf even_change(struct rig *rig, uint64_t count, double scale);
fbuf some_in(struct rig *rig, uint64_t count, double low, double high);
ubuf ids_in(struct rig *rig, uint32_t count, uint32_t below);
ubuf order_in(struct rig *rig, uint32_t count, uint32_t below); // all different
