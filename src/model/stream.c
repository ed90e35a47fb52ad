#include "model/stream.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ops/ops.h"

static uint64_t layer_room(const struct weights *weights, uint32_t layer)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < LAYER_MATRICES; i++)
        sum += buffer_room(weights_part(weights, layer_parts[i], layer)->bytes);
    return sum;
}

uint64_t stream_slot(const struct weights *weights, uint32_t layers)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < layers; i++) {
        const uint64_t room = layer_room(weights, i);
        if (room > most) most = room;
    }
    return most;
}

uint64_t stream_spared(const struct model *model)
{
    uint64_t sum = 0;
    const struct stream *s = model->stream;
    for (uint32_t i = 0; s && i < s->layers; i++) sum += layer_room(model->weights, i);
    return s ? sum - STREAM_SLOTS * buffer_room(stream_slot(model->weights, s->layers)) : 0;
}

bool stream_open(struct model *model, uint32_t layers)
{
    struct stream *s = mem_new(1, sizeof *s, "streamed layers");
    uint64_t largest = 0;
    if (!s) return false;
    model->stream = s;
    s->layers = layers;
    bool ok = true;
    for (uint32_t i = 0; ok && i < STREAM_SLOTS; i++) {
        s->holds[i] = s->asked[i] = STREAM_NOTHING;
        ok = buffer_new(model->dev, stream_slot(model->weights, layers), "streamed layers",
                        &s->slots[i]);
    }
    for (uint32_t layer = 0; layer < layers; layer++)
        for (size_t i = 0; i < LAYER_MATRICES; i++) {
            const struct tensor *t = weights_part(model->weights, layer_parts[i], layer);
            if (t->split_heads && t->bytes > largest) largest = t->bytes;
        }
    if (ok && largest) ok = (s->pairs = mem_new(largest, 1, "streamed layers")) != NULL;
    return ok;
}

void stream_close(struct model *model)
{
    struct stream *s = model->stream;
    if (!s) return;
    for (uint32_t i = 0; i < STREAM_SLOTS; i++) buffer_free(model->dev, &s->slots[i]);
    free(s->pairs);
    free(s);
    model->stream = NULL;
}

// A cmd_act. A matrix that is edited is on the device already.
static bool fill(void *user, uint32_t layer)
{
    struct model *model = user;
    struct stream *s = model->stream;
    const uint32_t slot = layer % STREAM_SLOTS;
    uint64_t offset = 0;
    bool ok = true;
    if (s->holds[slot] == layer) return true;
    s->holds[slot] = STREAM_NOTHING;
    for (size_t i = 0; ok && i < LAYER_MATRICES; i++) {
        const struct tensor *t = weights_part(model->weights, layer_parts[i], layer);
        const bool needed = layer_parts[i] != PART_FFN_DOWN || !model->layers[layer].edited;
        if (needed && t->split_heads) tensor_pairs(t, s->pairs);
        if (needed)
            ok = buffer_write(model->dev, s->slots[slot], offset,
                              t->split_heads ? s->pairs : t->data, t->bytes);
        offset += buffer_room(t->bytes);
        if (needed) s->bytes += t->bytes;
    }
    if (ok) s->holds[slot] = layer;
    return ok;
}

bool stream_load(struct model *model, uint32_t layer)
{
    fbuf address = model->stream->slots[layer % STREAM_SLOTS]->address;
    for (size_t i = 0; i < LAYER_MATRICES; i++) {
        const struct tensor *t = weights_part(model->weights, layer_parts[i], layer);
        *layer_matrix(&model->layers[layer], i) = (struct weight){.data = address,
                                                            .dtype = t->dtype,
                                                            .rows = (uint32_t)t->rows,
                                                            .cols = (uint32_t)t->cols};
        address += buffer_room(t->bytes);
    }
    return fill(model, layer);
}

void stream_forget(struct model *model)
{
    for (uint32_t i = 0; model->stream && i < STREAM_SLOTS; i++)
        model->stream->holds[i] = STREAM_NOTHING;
}

// As model_open does once with matrices that stay: see docs/numerics.md.
static void calm(struct cmd *cmd, const struct model *model, uint32_t layer)
{
    fbuf address = model->stream->slots[layer % STREAM_SLOTS]->address;
    for (size_t i = 0; i < LAYER_MATRICES; i++) {
        const struct tensor *t = weights_part(model->weights, layer_parts[i], layer);
        if (t->dtype == DTYPE_F32 || t->dtype == DTYPE_BF16)
            op_calm_weights(cmd, (struct calm_weights_args){
                                     .w = address, .n = (uint)CEIL(t->bytes, 4), .type = t->dtype});
        address += buffer_room(t->bytes);
    }
}

void stream_layer(struct cmd *cmd, const struct model *model, uint32_t layer)
{
    struct stream *s = model->stream;
    if (!s || layer >= s->layers) return;
    const uint32_t slot = layer % STREAM_SLOTS;
    if (s->serial != cmd->serial) {
        s->serial = cmd->serial;
        for (uint32_t i = 0; i < STREAM_SLOTS; i++) {
            s->asked[i] = STREAM_NOTHING;
            s->used[i] = 0;
        }
    } else {
        s->used[s->now] = cmd_pieces(cmd);
    }
    s->now = slot;
    if (s->asked[slot] == layer) return;
    s->asked[slot] = layer;
    cmd_host(cmd, s->used[slot], fill, (void *)model, layer);
    if (model->dev->strict) calm(cmd, model, layer);
}
