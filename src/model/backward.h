// Gradients with respect to activations; weights are frozen. Pairs with forward.h.
#pragma once
#include "model/forward.h"

// Work space of the backward pass and the gradient of the residual stream.
struct grads {
    struct device *dev;
    struct buffer *stream;               // [rows, dim]
    struct buffer *dim, *queries, *k, *v, *dot; // of the layer at work
    struct buffer *turned_q, *turned_k;
    struct buffer *key, *gate, *up;      // [rows, ffn]
    struct buffer *parts;                // of gemm_backward
    struct buffer *scores;               // as in acts
};

// rows: as many as the batch or the head has, whichever are more.
bool grads_new(struct grads *grads, const struct model *model, const struct batch *batch,
               uint32_t rows);
void grads_free(struct grads *grads);

// From head->logits, which hold the gradient of the loss with respect to the logits, to
// grads->stream, which is cleared first. The logits' gradient stays. rows: of the batch.
void backward_head(struct cmd *cmd, const struct model *model, const struct head *head,
                   const struct grads *grads, uint32_t rows);

// grads->stream from the gradient at the stream of layer `to` to that at layer `from`. acts are
// kept, cache holds all keys and values the rows saw. Keys and values of positions outside of the
// batch are constants.
void backward_layers(struct cmd *cmd, const struct model *model, const struct batch *batch,
                     const struct cache *cache, const struct acts *acts,
                     const struct grads *grads, uint32_t from, uint32_t to);
