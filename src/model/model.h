// A Llama-like decoder on the device: its weights as the file stores them.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "io/weights.h"
#include "ops/gemm.h"
#include "vk/buffer.h"

struct layer {
    fbuf attn_norm, ffn_norm;           // [dim]
    struct weight q, k, v, attn_output; // [heads * head_dim, dim] ... as enum part says
    struct weight gate, up, down;       // [ffn, dim], [ffn, dim], [dim, ffn]
    fbuf q_bias, k_bias, v_bias, o_bias, gate_bias, up_bias, down_bias; // 0: none
    struct weight stored;  // down as the file has it, once it is edited
    struct buffer *edited; // down as f32 [dim, ffn], in its place; NULL: it is as the file has it
};

struct model {
    struct device *dev;
    const struct weights *weights;
    struct config config;
    struct weight embed, head; // [vocab, dim]
    fbuf output_norm;
    struct layer *layers;
    struct buffer **buffers; // all of the above
    size_t buffer_count, buffer_capacity;
    struct buffer *rope;  // [positions, head_dim / 2, (cos, sin)]
    struct buffer *iota;  // 0, 1, 2, ... [IOTA]
    uint32_t positions;   // longest text that fits
};

enum { MODEL_IOTA = 65536 };
enum { MODEL_POSITIONS = 8192 }; // at most, of the table of rotary angles
uint32_t model_positions(const struct config *config); // of a model of this shape

// Uploads all weights. NaN or infinity in one fails with the tensor's name.
bool model_open(struct model *model, struct device *dev, const struct weights *weights);
void model_close(struct model *model);

// The types of the weight matrices, a bit each (bit n: dtype n of io/weights.h).
uint32_t model_dtypes(const struct model *model);

// Makes a layer's down projection writable: f32, in layers[layer].edited, used from now on.
bool model_edit(struct model *model, uint32_t layer);
// Undoes all changes of edited matrices; their layers keep their f32 copies.
bool model_restore(struct model *model);
// As it was opened: no layer is edited any more.
void model_unedit(struct model *model);
// Exchanges the matrix of a layer that is edited for another, f32 [dim, ffn].
void model_exchange(struct model *model, uint32_t layer, struct buffer **matrix);
