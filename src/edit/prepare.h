// What a single-layer edit never changes, computed once ahead for many requests in one batch:
// the keys of the edited layer and the residual stream beside them, at all positions (DESIGN 4.1).
#pragma once
#include "edit/prompts.h"
#include "model/forward.h"

struct prepared {
    struct device *dev;
    uint32_t rows;
    uint32_t *first; // row of each request's prompt 0 [requests]; of the lowest layer only
    struct buffer *mid, *key; // [rows, dim], [rows, ffn]
};

enum { PREPARE_ROWS = 1024 }; // positions that run together, but for a larger request

// As many of the `count` requests as fit into a batch (at least one).
uint32_t prepare_count(const struct prompts *prompts, uint32_t count);

// layers: [layer_count], ascending; prepared: [layer_count], with the same rows. Only the lowest
// layer's stay as they are while any of the layers is edited.
bool prepare(struct prepared *prepared, const struct model *model, const struct prompts *prompts,
             uint32_t count, const uint32_t *layers, uint32_t layer_count);
void prepared_free(struct prepared *prepared);
