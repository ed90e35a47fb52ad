// Prepared batches kept for the next run of the same requests: what lies below the edited layer
// does not depend on the edits, so that runs that differ in solver or guard share it.
#pragma once
#include "edit/prepare.h"

struct shelf_item {
    uint64_t key; // of layer and tokens
    struct prepared prepared;
};

struct shelf {
    struct shelf_item *items;
    size_t count, capacity;
    uint64_t bytes, limit; // on the device; what does not fit is not kept
};

// As prepare(). A kept batch is lent: prepared_free of *prepared does nothing then, and it ends
// with the shelf. shelf: NULL keeps nothing. The layers below must be the unedited ones.
bool shelf_prepare(struct shelf *shelf, struct prepared *prepared, const struct model *model,
                   const struct prompts *prompts, uint32_t count, uint32_t layer);
void shelf_free(struct shelf *shelf); // accepts zero; before the device is closed
