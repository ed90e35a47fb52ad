// What an edit takes at least, in multiplications and additions: nothing below the edited layer
// again, above it only positions from the subject on, the head only where targets are (DESIGN 4).
#pragma once
#include "edit/prompts.h"
#include "io/weights.h"

struct bench_need {
    uint32_t rows, before, behind, heads; // positions; before and from the lookups on; of logits
    double prepare, keys, prefix, step, solve, update; // flops
};

struct bench_need bench_need_of(const struct config *config, uint32_t layer,
                                const struct prompts *prompts);
