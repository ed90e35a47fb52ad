#include "model/backward.h"

#include "model/attention.h"
#include "model/stream.h"

// Scratch of the largest gemm_backward.
static uint64_t parts_size(const struct model *model, uint32_t rows)
{
    uint64_t most = gemm_backward_parts(model->head, rows);
    for (uint32_t i = 0; i < model->config.layers; i++) {
        const struct layer *l = &model->layers[i];
        const struct weight all[] = {l->q, l->k, l->v, l->attn_output, l->gate, l->up, l->down};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) {
            uint64_t size = gemm_backward_parts(all[j], rows);
            if (size > most) most = size;
        }
    }
    return 4 * (most ? most : 1);
}

bool grads_new(struct grads *grads, const struct model *model, const struct batch *batch,
               uint32_t rows)
{
    const struct config *c = &model->config;
    struct device *dev = model->dev;
    uint64_t n = (uint64_t)rows * 4, queries = n * c->heads * c->head_dim,
             kv = n * c->kv_heads * c->head_dim, ffn = n * c->ffn;
    *grads = (struct grads){.dev = dev};
    bool ok = buffer_new(dev, n * c->dim, "gradients", &grads->stream) &&
              buffer_new(dev, n * c->dim, "gradients", &grads->dim) &&
              buffer_new(dev, queries, "gradients", &grads->queries) &&
              buffer_new(dev, queries, "gradients", &grads->turned_q) &&
              buffer_new(dev, kv, "gradients", &grads->k) &&
              buffer_new(dev, kv, "gradients", &grads->v) &&
              buffer_new(dev, kv, "gradients", &grads->turned_k) &&
              buffer_new(dev, n * c->heads, "gradients", &grads->dot) &&
              buffer_new(dev, ffn, "gradients", &grads->key) &&
              buffer_new(dev, ffn, "gradients", &grads->gate) &&
              buffer_new(dev, ffn, "gradients", &grads->up) &&
              buffer_new(dev, parts_size(model, rows), "parts of sums", &grads->parts) &&
              (!batch->whole ||
               buffer_new(dev, 4ull * c->heads * batch->longest * batch->longest,
                          "gradients of scores", &grads->scores));
    if (!ok) grads_free(grads);
    return ok;
}

void grads_free(struct grads *grads)
{
    if (!grads->dev) return;
    struct buffer **all[] = {&grads->stream, &grads->dim,      &grads->queries,  &grads->k,
                             &grads->v,      &grads->turned_q, &grads->turned_k, &grads->dot,
                             &grads->key,    &grads->gate,     &grads->up,       &grads->parts,
                             &grads->scores};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(grads->dev, all[i]);
    *grads = (struct grads){0};
}

// dx += gradient of norm(x) * w
static void norm_back(struct cmd *cmd, const struct model *model, fbuf x, fbuf w, fbuf dy, fbuf dx,
                      uint32_t rows)
{
    op_rmsnorm_back(cmd, (struct rmsnorm_back_args){.x = x, .w = w, .dy = dy, .dx = dx,
                                                    .rows = rows, .cols = model->config.dim,
                                                    .eps = model->config.norm_eps});
}

void backward_head(struct cmd *cmd, const struct model *model, const struct head *head,
                   const struct grads *grads, uint32_t rows)
{
    uint32_t dim = model->config.dim, count = head->count;
    cmd_part(cmd, "head", CMD_NO_NUMBER);
    fbuf back = head->normed->address, rowwise = grads->dim->address;
    gemm_backward(cmd, head->logits->address, model->head, 0, back, count,
                  grads->parts->address);
    op_fill(cmd, (struct fill_args){.y = rowwise, .n = count * dim, .value = 0});
    norm_back(cmd, model, head->gathered->address, model->output_norm, back, rowwise, count);
    op_fill(cmd, (struct fill_args){.y = grads->stream->address, .n = rows * dim, .value = 0});
    op_scatter_rows(cmd, (struct scatter_rows_args){.x = rowwise, .slot = head->index->address,
                                                    .y = grads->stream->address, .rows = count,
                                                    .cols = dim});
}

// Gradient at mid, from and to grads->stream.
static void ffn_back(struct cmd *cmd, const struct model *model, const struct act *act,
                     const struct layer *l, const struct grads *grads, uint32_t rows)
{
    fbuf stream = grads->stream->address, gate = grads->gate->address, up = grads->up->address;
    fbuf parts = grads->parts->address;
    gemm_backward(cmd, stream, l->down, 0, grads->key->address, rows, parts);
    op_silu_gate_back(cmd, (struct silu_gate_back_args){.g = act->gate->address,
                                                        .u = act->up->address,
                                                        .dy = grads->key->address, .dg = gate,
                                                        .du = up, .n = rows * model->config.ffn});
    gemm_backward(cmd, gate, l->gate, 0, grads->dim->address, rows, parts);
    gemm_backward(cmd, up, l->up, grads->dim->address, grads->dim->address, rows, parts);
    norm_back(cmd, model, act->mid->address, l->ffn_norm, grads->dim->address, stream, rows);
}

static void attend_back(struct cmd *cmd, const struct model *model, const struct batch *batch,
                        const struct acts *acts, const struct act *act, fbuf k, fbuf v,
                        const struct grads *grads)
{
    const struct config *c = &model->config;
    fbuf turned_k = grads->turned_k->address;
    attention_backward(cmd, model, batch, acts, act, k, v, grads);
    op_rope(cmd, (struct rope_args){.q = grads->turned_q->address, .k = turned_k, .v = turned_k,
                                    .table = model->rope->address, .pos = batch->pos->address,
                                    .slot = model->iota->address,
                                    .q_out = grads->queries->address,
                                    .k_out = grads->k->address, .v_out = grads->k->address,
                                    .rows = batch->rows, .heads = c->heads,
                                    .kv_heads = c->kv_heads, .dim = c->head_dim,
                                    .interleaved = c->rope_interleaved, .sign = -1});
}

void backward_layers(struct cmd *cmd, const struct model *model, const struct batch *batch,
                     const struct cache *cache, const struct acts *acts,
                     const struct grads *grads, uint32_t from, uint32_t to)
{
    uint32_t rows = batch->rows;
    fbuf parts = grads->parts->address;
    for (uint32_t layer = to; layer-- > from;) {
        const struct layer *l = &model->layers[layer];
        const struct act *act = &acts->layers[layer - acts->from];
        fbuf normed = grads->dim->address;
        cmd_part(cmd, "layer", layer);
        stream_layer(cmd, model, layer);
        ffn_back(cmd, model, act, l, grads, rows);
        gemm_backward(cmd, grads->stream->address, l->attn_output, 0, grads->queries->address,
                      rows, parts);
        attend_back(cmd, model, batch, acts, act, cache->k[layer - cache->from]->address,
                    cache->v[layer - cache->from]->address, grads);
        gemm_backward(cmd, grads->queries->address, l->q, 0, normed, rows, parts);
        gemm_backward(cmd, grads->k->address, l->k, normed, normed, rows, parts);
        gemm_backward(cmd, grads->v->address, l->v, normed, normed, rows, parts);
        norm_back(cmd, model, acts->stream[layer - acts->from]->address, l->attn_norm, normed,
                  grads->stream->address, rows);
    }
}
