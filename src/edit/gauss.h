// Gauss-Newton for the value's optimisation: the buffers and the operators of a step, in place of
// Adam's. The method stands in shaders/gauss_step.comp.
#pragma once
#include "edit/editor.h"

struct gauss {
    uint32_t prompts, groups, tokens; // prompts with the KL prompt; tokens of the target
    struct buffer *pulls;             // gradients of f1, f2 [2, dim]
    struct buffer *rows, *gram, *terms;
};

bool gauss_new(struct gauss *gauss, const struct model *model, const struct prompts *prompts);
void gauss_free(struct gauss *gauss, struct device *dev);

// Behind the backward pass. grads: gradients of the stream, at rows `lookups` each prompt's own;
// loss: [losses + 1]; delta changes to the next point to look at, state says whether it is final.
void gauss_record(struct cmd *cmd, const struct gauss *gauss, const struct editor *editor,
                  double v0, fbuf grads, fbuf lookups, fbuf loss, fbuf state);
