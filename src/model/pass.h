// One pass of whole texts from their beginning: everything it needs, made and freed together.
#pragma once
#include "model/forward.h"

struct pass {
    struct batch batch;
    struct cache cache; // kept: each layer's own
    struct acts acts;
    struct head head; // if pass_head was called
};

// Texts through layers [0, layers); every sequence has its slot in [0, rows). kept: for a backward
// pass.
bool pass_new(struct pass *pass, const struct model *model, const struct sequence *sequences,
              size_t count, uint32_t layers, bool kept);
// Logits at rows index[0 .. picked).
bool pass_head(struct pass *pass, const struct model *model, const uint32_t *index,
               uint32_t picked);
void pass_free(struct pass *pass);

// The texts' logits at rows index[0 .. picked) came out wrong: computes them once more, watched,
// and fails as watch_end of ops/watch.h does. Returns false.
bool pass_blame(const struct model *model, const struct sequence *sequences, size_t count,
                const uint32_t *index, uint32_t picked, const char *who);

// Records the pass through all layers to pass->head.logits.
void pass_logits(struct cmd *cmd, const struct model *model, const struct pass *pass);
// Records the pass to the input of a layer's down projection: acts.key and layers[].mid.
void pass_key(struct cmd *cmd, const struct model *model, const struct pass *pass, uint32_t layer);
// The same of several layers, ascending, one call a layer: from the stream of `from`, 0 and then
// the layer behind the one before; unless it is the last, the pass goes through the layer.
void pass_next_key(struct cmd *cmd, const struct model *model, const struct pass *pass,
                   uint32_t from, uint32_t layer, bool last);
