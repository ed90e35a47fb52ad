#include "model/model.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/status.h"
#include "model/stream.h"

enum { FINITE_GROUPS = 256 };

const enum part layer_parts[LAYER_MATRICES] = {PART_Q,        PART_K,      PART_V, PART_ATTN_OUTPUT,
                                               PART_FFN_GATE, PART_FFN_UP, PART_FFN_DOWN};

struct weight *layer_matrix(struct layer *l, size_t i)
{
    struct weight *const all[LAYER_MATRICES] = {
        &l->q, &l->k, &l->v, &l->attn_output, &l->gate, &l->up, l->edited ? &l->stored : &l->down};
    return all[i];
}

static bool keep(struct model *model, struct buffer *buffer)
{
    if (!mem_grow(&model->buffers, &model->buffer_capacity, model->buffer_count + 1,
                  sizeof *model->buffers, "the model")) {
        buffer_free(model->dev, &buffer);
        return false;
    }
    model->buffers[model->buffer_count++] = buffer;
    return true;
}

// A NaN that enters here would only show as nonsense at the end.
static bool tensor_finite(struct model *model, const struct tensor *t, fbuf data)
{
    const struct dtype_info *info = &dtype_table[t->dtype];
    struct buffer *counts = NULL;
    uint32_t host[FINITE_GROUPS], bad = 0;
    if (!buffer_new(model->dev, sizeof host, "a check", &counts)) return false;
    const uint64_t n = info->block > 1 ? t->bytes / info->bytes : CEIL(t->bytes, 4);
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    op_count_nonfinite(&cmd, (struct count_nonfinite_args){.w = data, .y = counts->address,
                                                           .n = (uint)n, .groups = FINITE_GROUPS,
                                                           .type = t->dtype});
    bool ok = cmd_run_once(&cmd) && buffer_read(model->dev, counts, 0, host, sizeof host);
    cmd_free(&cmd);
    buffer_free(model->dev, &counts);
    for (uint32_t i = 0; ok && i < FINITE_GROUPS; i++) bad += host[i];
    if (ok && bad)
        ok = fail(STATUS_BAD_DATA, "%s: tensor %s has NaN or infinity in %u places",
                  model->weights->path, t->name, bad);
    return ok;
}

// See docs/numerics.md: with strict numbers no weight is so small that products with it vanish on
// some devices only.
static bool tensor_calm(struct model *model, const struct tensor *t, fbuf data)
{
    if (!model->dev->strict || (t->dtype != DTYPE_F32 && t->dtype != DTYPE_BF16)) return true;
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    op_calm_weights(&cmd, (struct calm_weights_args){
                              .w = data, .n = (uint)CEIL(t->bytes, 4), .type = t->dtype});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool upload(struct model *model, const struct tensor *t, fbuf *address)
{
    struct buffer *buffer;
    // Of one tensor at a time.
    uint8_t *pairs = t->split_heads ? mem_new(t->bytes, 1, t->name) : NULL;
    if (t->split_heads && !pairs) return false;
    if (pairs) tensor_pairs(t, pairs);
    bool made = buffer_from(model->dev, pairs ? pairs : t->data, t->bytes, t->name, &buffer);
    free(pairs);
    if (!made || !keep(model, buffer)) return false;
    *address = buffer->address;
    return tensor_finite(model, t, buffer->address) && tensor_calm(model, t, buffer->address);
}

// Norms and biases are few: they are kept as f32, whatever the file has.
static bool upload_vector(struct model *model, enum part part, uint32_t layer, fbuf *address)
{
    const struct tensor *t = weights_part(model->weights, part, layer);
    if (!t) return true; // an absent bias
    if (t->dtype == DTYPE_F32) return upload(model, t, address);
    struct buffer *wide = NULL;
    fbuf stored = 0;
    if (!upload(model, t, &stored)) return false;
    if (!buffer_new(model->dev, t->cols * sizeof(float), t->name, &wide)) return false;
    if (!keep(model, wide)) return false;
    *address = wide->address;
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    op_embed(&cmd, (struct embed_args){.w = stored,
                                       .tokens = model->iota->address,
                                       .y = wide->address,
                                       .rows = 1,
                                       .cols = (uint)t->cols,
                                       .type = t->dtype});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool upload_weight(struct model *model, enum part part, uint32_t layer, struct weight *w)
{
    const struct tensor *t = weights_part(model->weights, part, layer);
    *w = (struct weight){
        .dtype = t->dtype, .rows = (uint32_t)t->rows, .cols = (uint32_t)t->cols};
    return upload(model, t, &w->data);
}

// A streamed layer's matrices are checked here, once; another layer's then take their place.
static bool stream_check(struct model *model, uint32_t i)
{
    bool ok = stream_load(model, i);
    for (size_t k = 0; ok && k < LAYER_MATRICES; k++)
        ok = tensor_finite(model, weights_part(model->weights, layer_parts[k], i),
                           layer_matrix(&model->layers[i], k)->data);
    return ok;
}

static bool upload_layer(struct model *model, uint32_t i)
{
    struct layer *l = &model->layers[i];
    bool ok = upload_vector(model, PART_ATTN_NORM, i, &l->attn_norm) &&
              upload_vector(model, PART_FFN_NORM, i, &l->ffn_norm) &&
              upload_vector(model, PART_Q_BIAS, i, &l->q_bias) &&
              upload_vector(model, PART_K_BIAS, i, &l->k_bias) &&
              upload_vector(model, PART_V_BIAS, i, &l->v_bias) &&
              upload_vector(model, PART_O_BIAS, i, &l->o_bias) &&
              upload_vector(model, PART_GATE_BIAS, i, &l->gate_bias) &&
              upload_vector(model, PART_UP_BIAS, i, &l->up_bias) &&
              upload_vector(model, PART_DOWN_BIAS, i, &l->down_bias);
    if (model->stream && i < model->stream->layers) return ok && stream_check(model, i);
    for (size_t k = 0; ok && k < LAYER_MATRICES; k++)
        ok = upload_weight(model, layer_parts[k], i, layer_matrix(l, k));
    return ok;
}

uint32_t model_positions(const struct config *c)
{
    return c->context && c->context < MODEL_POSITIONS ? c->context : MODEL_POSITIONS;
}

// Angles of rotary positions, pos / base^(2i / dim) / factor_i, as a table: the same on every
// device, which sin and cos of shaders are not.
static bool rope_table(struct model *model)
{
    const struct config *c = &model->config;
    const struct tensor *factors = weights_part(model->weights, PART_ROPE_FREQS, 0);
    uint32_t pairs = c->head_dim / 2;
    model->positions = model_positions(c);
    float *table = mem_new((size_t)model->positions * pairs, 2 * sizeof *table, "rotary angles");
    if (!table) return false;
    if (factors && factors->dtype != DTYPE_F32) {
        free(table);
        return fail(STATUS_BAD_DATA, "%s: tensor %s is %s, wanted F32", model->weights->path,
                    factors->name, dtype_table[factors->dtype].name);
    }
    const float *factor = factors ? (const float *)(const void *)factors->data : NULL;
    for (uint32_t i = 0; factor && i < pairs; i++)
        if (!(isfinite(factor[i]) && factor[i] > 0)) {
            free(table);
            return fail(STATUS_BAD_DATA, "%s: tensor %s has %g in place %u, wanted more than 0",
                        model->weights->path, factors->name, (double)factor[i], i);
        }
    for (uint32_t i = 0; i < pairs; i++) {
        double speed = maths_power((double)c->rope_base, -2.0 * i / c->head_dim), sine, cosine;
        if (factor) speed /= (double)factor[i];
        for (uint32_t p = 0; p < model->positions; p++) {
            maths_circle(p * speed, &sine, &cosine);
            table[2 * (p * pairs + i)] = (float)cosine;
            table[2 * (p * pairs + i) + 1] = (float)sine;
        }
    }
    bool ok = buffer_from(model->dev, table, (uint64_t)model->positions * pairs * 2 * sizeof *table,
                          "rotary angles", &model->rope);
    free(table);
    return ok;
}

static bool iota_make(struct model *model)
{
    uint32_t *numbers = mem_new(MODEL_IOTA, sizeof *numbers, "row numbers");
    if (!numbers) return false;
    for (uint32_t i = 0; i < MODEL_IOTA; i++) numbers[i] = i;
    bool ok = buffer_from(model->dev, numbers, MODEL_IOTA * sizeof *numbers, "row numbers",
                          &model->iota);
    free(numbers);
    return ok;
}

bool model_open(struct model *model, struct device *dev, const struct weights *weights)
{
    return model_open_streamed(model, dev, weights, 0);
}

bool model_open_streamed(struct model *model, struct device *dev, const struct weights *weights,
                         uint32_t streamed)
{
    *model = (struct model){.dev = dev, .weights = weights, .config = weights->config};
    const struct config *c = &model->config;
    if (c->head_dim % 4 != 0 || c->head_dim > 256)
        return fail(STATUS_BAD_DATA, "%s: head_dim is %u, wanted a multiple of 4 up to 256",
                    weights->path, c->head_dim);
    if (c->dim % 4 != 0 || c->ffn % 4 != 0)
        return fail(STATUS_BAD_DATA, "%s: hidden size %u, FFN size %u, wanted multiples of 4",
                    weights->path, c->dim, c->ffn);
    model->layers = mem_new(c->layers, sizeof *model->layers, "the layers");
    bool ok = model->layers && iota_make(model) && rope_table(model) &&
              (streamed == 0 || stream_open(model, streamed)) &&
              upload_weight(model, PART_EMBED, 0, &model->embed) &&
              upload_vector(model, PART_OUTPUT_NORM, 0, &model->output_norm);
    struct progress bar;
    progress_start(&bar, "loading", "layer", c->layers);
    for (uint32_t i = 0; ok && i < c->layers; i++) {
        ok = upload_layer(model, i);
        progress_step(&bar, 1);
    }
    progress_end(&bar);
    model->head = model->embed;
    if (ok && !c->tied) ok = upload_weight(model, PART_OUTPUT, 0, &model->head);
    if (!ok) model_close(model);
    return ok;
}

void model_close(struct model *model)
{
    if (!model->dev) return;
    stream_close(model);
    for (size_t i = 0; i < model->buffer_count; i++) buffer_free(model->dev, &model->buffers[i]);
    buffer_free(model->dev, &model->rope);
    buffer_free(model->dev, &model->iota);
    for (uint32_t i = 0; model->layers && i < model->config.layers; i++)
        buffer_free(model->dev, &model->layers[i].edited);
    free(model->buffers);
    free(model->layers);
    *model = (struct model){0};
}

static bool layer_restore(struct model *model, uint32_t layer)
{
    const struct tensor *t = weights_part(model->weights, PART_FFN_DOWN, layer);
    struct buffer *stored = NULL;
    if (!buffer_from(model->dev, t->data, t->bytes, t->name, &stored)) return false;
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    op_embed(&cmd, (struct embed_args){.w = stored->address,
                                       .tokens = model->iota->address,
                                       .y = model->layers[layer].edited->address,
                                       .rows = (uint)t->rows,
                                       .cols = (uint)t->cols,
                                       .type = t->dtype});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    buffer_free(model->dev, &stored);
    return ok;
}

bool model_restore(struct model *model)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < model->config.layers; i++)
        ok = !model->layers[i].edited || layer_restore(model, i);
    return ok;
}

uint32_t model_dtypes(const struct model *model)
{
    uint32_t types = 1u << DTYPE_F32 | 1u << model->head.dtype; // the edited matrix is F32
    for (uint32_t i = 0; i < model->config.layers; i++)
        for (size_t k = 0; k < LAYER_MATRICES; k++)
            types |= 1u << layer_matrix(&model->layers[i], k)->dtype;
    return types;
}

bool model_edit(struct model *model, uint32_t layer)
{
    struct weight *down = &model->layers[layer].down;
    struct buffer **edited = &model->layers[layer].edited;
    if (*edited) return true;
    if (!buffer_new(model->dev, (uint64_t)down->rows * down->cols * sizeof(float),
                    "the edited matrix", edited))
        return false;
    model->layers[layer].stored = *down;
    *down = weight_of((*edited)->address, down->rows, down->cols);
    return layer_restore(model, layer);
}

void model_unedit(struct model *model)
{
    for (uint32_t i = 0; i < model->config.layers; i++) {
        struct layer *layer = &model->layers[i];
        if (!layer->edited) continue;
        layer->down = layer->stored;
        buffer_free(model->dev, &layer->edited);
    }
    stream_forget(model); // a slot may lack the matrix that was edited
}

void model_exchange(struct model *model, uint32_t layer, struct buffer **matrix)
{
    struct layer *l = &model->layers[layer];
    struct buffer *before = l->edited;
    l->edited = *matrix;
    l->down = weight_of(l->edited->address, l->down.rows, l->down.cols);
    *matrix = before;
}
