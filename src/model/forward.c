#include "model/forward.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/attention.h"
#include "model/stream.h"

static bool act_new(struct act *act, const struct model *model, uint64_t rows)
{
    const struct config *c = &model->config;
    struct device *dev = model->dev;
    uint64_t queries = rows * c->heads * c->head_dim * 4, ffn = rows * c->ffn * 4;
    return buffer_new(dev, queries, "queries", &act->q) &&
           buffer_new(dev, queries, "attention", &act->o) &&
           buffer_new(dev, rows * c->heads * 4, "attention sums", &act->lse) &&
           buffer_new(dev, rows * c->dim * 4, "residuals", &act->mid) &&
           buffer_new(dev, ffn, "gates", &act->gate) && buffer_new(dev, ffn, "ups", &act->up);
}

bool acts_new(struct acts *acts, const struct model *model, uint32_t from, uint32_t to,
              const struct batch *batch, bool kept)
{
    const struct config *c = &model->config;
    struct device *dev = model->dev;
    uint32_t rows = batch->rows;
    uint64_t kv = (uint64_t)rows * c->kv_heads * c->head_dim * 4;
    *acts = (struct acts){.dev = dev, .from = from, .to = to, .rows = rows, .kept = kept};
    acts->stream = mem_new(to - from + 1, sizeof *acts->stream, "activations");
    acts->layers = mem_new(to - from, sizeof *acts->layers, "activations");
    bool ok = acts->stream && acts->layers;
    for (uint32_t i = 0; ok && i <= to - from; i++) {
        if (kept || i == 0)
            ok = buffer_new(dev, (uint64_t)rows * c->dim * 4, "residuals", &acts->stream[i]);
        else
            acts->stream[i] = acts->stream[0];
        if (i == to - from || !ok) continue;
        if (kept || i == 0)
            ok = act_new(&acts->layers[i], model, rows);
        else
            acts->layers[i] = acts->layers[0];
    }
    ok = ok && buffer_new(dev, (uint64_t)rows * c->dim * 4, "normed rows", &acts->normed) &&
         buffer_new(dev, kv, "keys", &acts->k) && buffer_new(dev, kv, "values", &acts->v) &&
         buffer_new(dev, (uint64_t)rows * c->ffn * 4, "FFN keys", &acts->key) &&
         (!batch->whole ||
          buffer_new(dev, 4ull * c->heads * batch->longest * batch->longest, "attention scores",
                     &acts->scores));
    if (!ok) acts_free(acts);
    return ok;
}

void acts_free(struct acts *acts)
{
    struct device *dev = acts->dev;
    if (!dev) return;
    uint32_t count = acts->to - acts->from;
    for (uint32_t i = 0; acts->stream && i <= count && (acts->kept || i == 0); i++)
        buffer_free(dev, &acts->stream[i]);
    for (uint32_t i = 0; acts->layers && i < count && (acts->kept || i == 0); i++) {
        struct act *a = &acts->layers[i];
        struct buffer **all[] = {&a->q, &a->o, &a->lse, &a->mid, &a->gate, &a->up};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) buffer_free(dev, all[j]);
    }
    buffer_free(dev, &acts->normed);
    buffer_free(dev, &acts->k);
    buffer_free(dev, &acts->v);
    buffer_free(dev, &acts->key);
    buffer_free(dev, &acts->scores);
    free(acts->stream);
    free(acts->layers);
    *acts = (struct acts){0};
}

void forward_embed(struct cmd *cmd, const struct model *model, const struct batch *batch,
                   const struct acts *acts)
{
    cmd_part(cmd, "embedding", CMD_NO_NUMBER);
    op_embed(cmd, (struct embed_args){.w = model->embed.data,
                                      .tokens = batch->tokens->address,
                                      .y = acts->stream[0]->address,
                                      .rows = batch->rows,
                                      .cols = model->config.dim,
                                      .type = model->embed.dtype});
}

static void norm(struct cmd *cmd, const struct model *model, fbuf x, fbuf w, fbuf y, uint32_t rows)
{
    op_rmsnorm(cmd, (struct rmsnorm_args){.x = x, .w = w, .y = y, .rows = rows,
                                          .cols = model->config.dim,
                                          .eps = model->config.norm_eps});
}

// y = x w^T + bias, + residual if there is one
static void project(struct cmd *cmd, const struct model *model, fbuf x, struct weight w, fbuf bias,
                    fbuf residual, fbuf y, uint32_t rows)
{
    gemm_forward(cmd, x, w, residual, y, rows);
    if (bias)
        op_add_row(cmd, (struct add_row_args){.x = bias, .index = model->iota->address, .y = y,
                                              .count = rows, .cols = w.rows});
}

// mid = stream + attention(norm(stream))
void forward_attend(struct cmd *cmd, const struct model *model, const struct batch *batch,
                    const struct cache *cache, const struct acts *acts, uint32_t layer)
{
    const struct config *c = &model->config;
    const struct layer *l = &model->layers[layer];
    const struct act *act = &acts->layers[layer - acts->from];
    fbuf stream = acts->stream[layer - acts->from]->address, normed = acts->normed->address;
    fbuf k = cache->k[layer - cache->from]->address, v = cache->v[layer - cache->from]->address;
    uint32_t rows = batch->rows;
    stream_layer(cmd, model, layer);
    norm(cmd, model, stream, l->attn_norm, normed, rows);
    project(cmd, model, normed, l->q, l->q_bias, 0, act->q->address, rows);
    project(cmd, model, normed, l->k, l->k_bias, 0, acts->k->address, rows);
    project(cmd, model, normed, l->v, l->v_bias, 0, acts->v->address, rows);
    op_rope(cmd, (struct rope_args){.q = act->q->address, .k = acts->k->address,
                                    .v = acts->v->address, .table = model->rope->address,
                                    .pos = batch->pos->address, .slot = batch->slot->address,
                                    .q_out = act->q->address, .k_out = k, .v_out = v,
                                    .rows = rows, .heads = c->heads, .kv_heads = c->kv_heads,
                                    .v_heads = c->kv_heads, .dim = c->head_dim,
                                    .interleaved = c->rope_interleaved, .sign = 1});
    attention_forward(cmd, model, batch, acts, act, k, v);
    project(cmd, model, act->o->address, l->attn_output, l->o_bias, stream, act->mid->address,
            rows);
}

// key = silu(gate) * up, the input of the down projection
void forward_gate(struct cmd *cmd, const struct model *model, const struct acts *acts,
                  uint32_t layer, uint32_t rows)
{
    const struct layer *l = &model->layers[layer];
    const struct act *act = &acts->layers[layer - acts->from];
    stream_layer(cmd, model, layer);
    norm(cmd, model, act->mid->address, l->ffn_norm, acts->normed->address, rows);
    fbuf normed = acts->normed->address;
    project(cmd, model, normed, l->gate, l->gate_bias, 0, act->gate->address, rows);
    project(cmd, model, normed, l->up, l->up_bias, 0, act->up->address, rows);
    op_silu_gate(cmd, (struct silu_gate_args){.g = act->gate->address, .u = act->up->address,
                                              .y = acts->key->address,
                                              .n = rows * model->config.ffn});
}

void forward_key(struct cmd *cmd, const struct model *model, const struct batch *batch,
                 const struct cache *cache, const struct acts *acts, uint32_t layer)
{
    cmd_part(cmd, "layer", layer);
    forward_attend(cmd, model, batch, cache, acts, layer);
    forward_gate(cmd, model, acts, layer, batch->rows);
}

void forward_down(struct cmd *cmd, const struct model *model, uint32_t layer, fbuf key, fbuf mid,
                  fbuf y, uint32_t rows)
{
    const struct layer *l = &model->layers[layer];
    stream_layer(cmd, model, layer);
    project(cmd, model, key, l->down, l->down_bias, mid, y, rows);
}

// O-Edit Eq. 2, one layer after the other.
void forward_layers(struct cmd *cmd, const struct model *model, const struct batch *batch,
                    const struct cache *cache, const struct acts *acts, uint32_t from,
                    uint32_t to)
{
    for (uint32_t layer = from; layer < to; layer++) {
        forward_key(cmd, model, batch, cache, acts, layer);
        forward_down(cmd, model, layer, acts->key->address,
                     acts->layers[layer - acts->from].mid->address,
                     acts->stream[layer + 1 - acts->from]->address, batch->rows);
    }
}

bool head_new(struct head *head, const struct model *model, const uint32_t *index, uint32_t count)
{
    struct device *dev = model->dev;
    uint64_t bytes = (uint64_t)count * model->config.dim * 4;
    *head = (struct head){.dev = dev, .count = count};
    bool ok = buffer_from(dev, index, count * sizeof *index, "head rows", &head->index) &&
              buffer_new(dev, bytes, "head rows", &head->gathered) &&
              buffer_new(dev, bytes, "head rows", &head->normed) &&
              buffer_new(dev, (uint64_t)count * model->config.vocab * 4, "logits", &head->logits);
    if (!ok) head_free(head);
    return ok;
}

void head_free(struct head *head)
{
    if (!head->dev) return;
    buffer_free(head->dev, &head->index);
    buffer_free(head->dev, &head->gathered);
    buffer_free(head->dev, &head->normed);
    buffer_free(head->dev, &head->logits);
    *head = (struct head){0};
}

void forward_head(struct cmd *cmd, const struct model *model, const struct head *head, fbuf stream)
{
    cmd_part(cmd, "head", CMD_NO_NUMBER);
    op_gather_rows(cmd, (struct gather_rows_args){.x = stream, .index = head->index->address,
                                                  .y = head->gathered->address,
                                                  .rows = head->count, .cols = model->config.dim});
    norm(cmd, model, head->gathered->address, model->output_norm, head->normed->address,
         head->count);
    gemm_forward(cmd, head->normed->address, model->head, 0, head->logits->address, head->count);
}
