// Forward passes over ragged batches: any positions of any sequences, keys and values cached.
#pragma once
#include "model/model.h"

// Positions [begin, end) of a text of which position p keeps its key and value in slot + p.
struct sequence {
    const uint32_t *tokens; // from position 0
    uint32_t begin, end, slot;
};

enum { BATCH_WHOLE_ROWS = 48 }; // a text, on the average, for matrix products

// Rows that run together; the rows of one sequence stand together, in order.
struct batch {
    struct device *dev;
    uint32_t rows;
    double work; // keys seen, summed over rows
    struct buffer *tokens, *pos, *slot, *first, *count, *last; // u32 [rows]
    // Whole texts of some length: attention runs as matrix products, text by text.
    bool whole;
    struct text { uint32_t row, slot, rows; } *texts; // [text_count]
    uint32_t text_count;
    uint32_t longest; // positions of the longest sequence
};

bool batch_new(struct batch *batch, const struct model *model, const struct sequence *sequences,
               size_t count);
void batch_free(struct batch *batch);

// Keys and values of layers [from, to). `shared`: one buffer for all, for passes that are not
// continued.
struct cache {
    struct device *dev;
    uint32_t from, to;
    bool shared;
    struct buffer **k, **v; // [to - from] of [slots, kv_heads * head_dim]
};

bool cache_new(struct cache *cache, const struct model *model, uint32_t from, uint32_t to,
               uint32_t slots, bool shared);
void cache_free(struct cache *cache);

// What one layer computes, [rows, ...]; enough for its backward pass.
struct act {
    struct buffer *q, *o, *lse; // turned queries, attention output, log of sums
    struct buffer *mid;         // residual stream between attention and FFN [rows, dim]
    struct buffer *gate, *up;   // [rows, ffn]
};

// Activations of layers [from, to). `kept`: each layer has its own, for the backward pass;
// otherwise they share. stream[i] is the input of layer from + i, the last one the output.
struct acts {
    struct device *dev;
    uint32_t from, to, rows;
    bool kept;
    struct buffer **stream; // [to - from + 1] of [rows, dim]
    struct act *layers;     // [to - from]
    struct buffer *normed, *k, *v, *key; // of the layer at work; key: [rows, ffn], input of down
    struct buffer *scores;               // [heads, longest, longest] if the batch is of whole texts
};

bool acts_new(struct acts *acts, const struct model *model, uint32_t from, uint32_t to,
              const struct batch *batch, bool kept);
void acts_free(struct acts *acts);

// stream[0] = embeddings of the batch's tokens; acts->from is 0.
void forward_embed(struct cmd *cmd, const struct model *model, const struct batch *batch,
                   const struct acts *acts);
// Layers [from, to), from the stream of `from` to that of `to`.
void forward_layers(struct cmd *cmd, const struct model *model, const struct batch *batch,
                    const struct cache *cache, const struct acts *acts, uint32_t from,
                    uint32_t to);
// y = key down^T + bias + mid, the stream behind a layer.  key: [rows, ffn]  mid, y: [rows, dim]
void forward_down(struct cmd *cmd, const struct model *model, uint32_t layer, fbuf key, fbuf mid,
                  fbuf y, uint32_t rows);
// Layer `layer` in its two parts: its attention, from its stream to layers[].mid, and its FFN from
// there to acts->key.
void forward_attend(struct cmd *cmd, const struct model *model, const struct batch *batch,
                    const struct cache *cache, const struct acts *acts, uint32_t layer);
void forward_gate(struct cmd *cmd, const struct model *model, const struct acts *acts,
                  uint32_t layer, uint32_t rows);
// Layer `layer` up to the input of its down projection: acts->key and layers[].mid.
void forward_key(struct cmd *cmd, const struct model *model, const struct batch *batch,
                 const struct cache *cache, const struct acts *acts, uint32_t layer);

// logits[i] = head(norm(stream[index[i]])).  gathered, normed: [count, dim]  logits: [count, vocab]
struct head {
    struct device *dev;
    uint32_t count;
    struct buffer *index, *gathered, *normed, *logits;
};

bool head_new(struct head *head, const struct model *model, const uint32_t *index, uint32_t count);
void head_free(struct head *head);
void forward_head(struct cmd *cmd, const struct model *model, const struct head *head, fbuf stream);
