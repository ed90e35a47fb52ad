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
    struct buffer *edited; // [dim, ffn] f32 of the edited layer, if model_edit was called
    uint32_t edited_layer;
};

enum { MODEL_IOTA = 65536 };

// Uploads all weights. NaN or infinity in one fails with the tensor's name.
bool model_open(struct model *model, struct device *dev, const struct weights *weights);
void model_close(struct model *model);

// The types of the weight matrices, a bit each (bit n: dtype n of io/weights.h).
uint32_t model_dtypes(const struct model *model);

// Makes layer's down projection writable: f32, in model->edited, used from now on.
bool model_edit(struct model *model, uint32_t layer);
// Undoes all changes of the edited matrix; the layer keeps its f32 copy.
bool model_restore(struct model *model);
