// What the model says at chosen rows of texts: the top token, how likely the wanted one is.
#pragma once
#include "model/forward.h"

// Whole texts that run in one batch. All arrays are the caller's.
struct ask {
    const struct sequence *sequences; // slot: the text's first row
    size_t count;
    const uint32_t *index;  // rows that are looked at [picked]
    const uint32_t *target; // the wanted tokens there [picked], for loss
    uint32_t picked;
    uint32_t *top;   // [picked] argmax of the logits; NULL: not asked
    float *loss;     // [picked] -log P(target); NULL: not asked
    const char *who; // asks, for messages
};

// Fills top and loss. Numbers that are not finite fail with what went wrong (pass_blame).
bool ask_rows(const struct model *model, const struct ask *ask);
