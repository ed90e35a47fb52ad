// Layers that are not kept on the device: their matrices are read from the model's file into one of
// two slots whenever a recording comes to them, at every run of it. The one slot is filled while
// the device works on the layer in the other. The numbers are those of a model that is kept, bit
// for bit: the same operators work on the same bytes.
#pragma once
#include "model/model.h"

enum { STREAM_SLOTS = 2 };

struct stream {
    uint32_t layers; // [0, layers) are streamed
    struct buffer *slots[STREAM_SLOTS]; // layer n goes into slot n % STREAM_SLOTS
    uint32_t holds[STREAM_SLOTS];       // the layer that is in it, or STREAM_NOTHING
    uint8_t *pairs;                     // room for a matrix whose rows are put in order first
    // Of the recording `serial`: the layer asked for last in each slot, and the pieces of the
    // recording (vk/cmd.h) that may use it.
    uint64_t serial;
    uint32_t asked[STREAM_SLOTS], now;
    size_t used[STREAM_SLOTS];
    uint64_t bytes; // read from the file so far
};

#define STREAM_NOTHING UINT32_MAX

// The bytes of device memory that a model has less because of it.
uint64_t stream_spared(const struct model *model);
// The bytes of a slot for layers [0, layers).
uint64_t stream_slot(const struct weights *weights, uint32_t layers);

bool stream_open(struct model *model, uint32_t layers);
void stream_close(struct model *model);

// Reads a layer into its slot, now, and says where its matrices are from now on.
bool stream_load(struct model *model, uint32_t layer);
// What is in the slots is not to be relied on: another matrix counts.
void stream_forget(struct model *model);

// Of a layer that is about to be used: has it read in time. Nothing for one that is kept.
void stream_layer(struct cmd *cmd, const struct model *model, uint32_t layer);
