#include "model/attention.h"

#include <math.h>

static float scale(const struct config *c)
{
    return 1 / sqrtf((float)c->head_dim);
}

// Positions that a query of this layer sees back; 0: all.
static uint32_t window(const struct config *c, const struct acts *acts, const struct act *act)
{
    uint32_t layer = acts->from + (uint32_t)(act - acts->layers);
    return layer >= c->window_layer ? c->sliding_window : 0;
}

// Threads a workgroup, which the results do not depend on: a CPU device runs idle ones, too. Many
// where texts are long: Mesa 22.3's leaves every loop of a shader once all of them have gone round
// 65535 times, which the keys of 8192 positions would take with 16 threads and 4 heads a key.
static uint32_t threads(const struct cmd *cmd, const struct batch *batch)
{
    enum { LONG = 1024 };
    if (cmd->dev->info.rank < 4 || batch->longest > LONG) return 64;
    return batch->work > 32.0 * batch->rows ? 32 : 16;
}

// Head `head` of a [.., heads * dim] matrix, for the rows of a text that start at row `row`.
static struct matrix head_of(fbuf data, const struct config *c, const struct text *t, uint32_t row,
                             uint32_t heads, uint32_t head)
{
    uint32_t stride = heads * c->head_dim;
    return (struct matrix){.data = data + 4ull * ((uint64_t)row * stride + head * c->head_dim),
                           .rows = t->rows, .cols = c->head_dim, .stride = stride};
}

static struct matrix scores_of(const struct buffer *buffer, const struct text *t, uint32_t head)
{
    uint64_t size = (uint64_t)t->rows * t->rows;
    return matrix_of(buffer->address + 4 * head * size, t->rows, t->rows);
}

// scores <- softmax(scale q k^T), all heads of one text.
static void probabilities(struct cmd *cmd, const struct config *c, const struct text *t,
                          const struct acts *acts, const struct act *act, fbuf k)
{
    uint32_t share = c->heads / c->kv_heads;
    for (uint32_t h = 0; h < c->heads; h++)
        gemm_nt_lower(cmd, head_of(act->q->address, c, t, t->row, c->heads, h),
                      head_of(k, c, t, t->slot, c->kv_heads, h / share),
                      scores_of(acts->scores, t, h));
    op_causal_softmax(cmd, (struct causal_softmax_args){.s = acts->scores->address,
                                                        .rows = t->rows, .heads = c->heads,
                                                        .window = window(c, acts, act),
                                                        .scale = scale(c)});
}

static void text_forward(struct cmd *cmd, const struct config *c, const struct text *t,
                         const struct acts *acts, const struct act *act, fbuf k, fbuf v)
{
    uint32_t share = c->heads / c->kv_heads;
    probabilities(cmd, c, t, acts, act, k);
    for (uint32_t h = 0; h < c->heads; h++)
        gemm_nn_left(cmd, scores_of(acts->scores, t, h),
                     head_of(v, c, t, t->slot, c->kv_heads, h / share),
                     head_of(act->o->address, c, t, t->row, c->heads, h));
}

// dP = dO V^T, dS = softmax's gradient, dQ = dS K, dK = dS^T Q, dV = P^T dO.
static void text_backward(struct cmd *cmd, const struct config *c, const struct text *t,
                          const struct acts *acts, const struct act *act, fbuf k, fbuf v,
                          const struct grads *g)
{
    uint32_t share = c->heads / c->kv_heads;
    probabilities(cmd, c, t, acts, act, k);
    for (uint32_t h = 0; h < c->heads; h++)
        gemm_nt_lower(cmd, head_of(g->queries->address, c, t, t->row, c->heads, h),
                      head_of(v, c, t, t->slot, c->kv_heads, h / share),
                      scores_of(g->scores, t, h));
    for (uint32_t h = 0; h < c->heads; h++)
        gemm_tn(cmd, scores_of(acts->scores, t, h),
                head_of(g->queries->address, c, t, t->row, c->heads, h),
                head_of(g->v->address, c, t, t->row, c->kv_heads, h / share), 1,
                h % share ? 1 : 0, SHAPE_LEFT);
    op_causal_softmax_back(cmd, (struct causal_softmax_back_args){.p = acts->scores->address,
                                                                  .ds = g->scores->address,
                                                                  .rows = t->rows,
                                                                  .heads = c->heads,
                                                                  .scale = scale(c)});
    for (uint32_t h = 0; h < c->heads; h++) {
        struct matrix ds = scores_of(g->scores, t, h);
        gemm_nn_left(cmd, ds, head_of(k, c, t, t->slot, c->kv_heads, h / share),
                     head_of(g->turned_q->address, c, t, t->row, c->heads, h));
        gemm_tn(cmd, ds, head_of(act->q->address, c, t, t->row, c->heads, h),
                head_of(g->turned_k->address, c, t, t->row, c->kv_heads, h / share), 1,
                h % share ? 1 : 0, SHAPE_LEFT);
    }
}

void attention_forward(struct cmd *cmd, const struct model *model, const struct batch *batch,
                       const struct acts *acts, const struct act *act, fbuf k, fbuf v)
{
    const struct config *c = &model->config;
    for (uint32_t i = 0; batch->whole && i < batch->text_count; i++)
        text_forward(cmd, c, &batch->texts[i], acts, act, k, v);
    if (batch->whole) return;
    op_attention(cmd, (struct attention_args){
                          .q = act->q->address, .k = k, .v = v, .first = batch->first->address,
                          .count = batch->count->address, .o = act->o->address,
                          .lse = act->lse->address, .rows = batch->rows, .heads = c->heads,
                          .kv_heads = c->kv_heads, .dim = c->head_dim,
                          .window = window(c, acts, act), .scale = scale(c),
                          .local = threads(cmd, batch),
                          .work = (float)(4 * batch->work * c->heads * c->head_dim)});
}

void attention_backward(struct cmd *cmd, const struct model *model, const struct batch *batch,
                        const struct acts *acts, const struct act *act, fbuf k, fbuf v,
                        const struct grads *g)
{
    const struct config *c = &model->config;
    const float work = (float)(6 * batch->work * c->heads * c->head_dim);
    for (uint32_t i = 0; batch->whole && i < batch->text_count; i++)
        text_backward(cmd, c, &batch->texts[i], acts, act, k, v, g);
    if (batch->whole) return;
    op_attention_back_q(cmd, (struct attention_back_q_args){
                                 .q = act->q->address, .k = k, .v = v,
                                 .first = batch->first->address, .count = batch->count->address,
                                 .o = act->o->address, .lse = act->lse->address,
                                 .dy = g->queries->address, .dq = g->turned_q->address,
                                 .dot = g->dot->address, .rows = batch->rows, .heads = c->heads,
                                 .kv_heads = c->kv_heads, .dim = c->head_dim,
                                 .window = window(c, acts, act), .scale = scale(c),
                                  .local = threads(cmd, batch), .work = work});
    op_attention_back_kv(cmd, (struct attention_back_kv_args){
                                  .q = act->q->address, .k = k, .v = v,
                                  .slot = batch->slot->address, .last = batch->last->address,
                                  .dot = g->dot->address, .lse = act->lse->address,
                                  .dy = g->queries->address, .dk = g->turned_k->address,
                                  .dv = g->v->address, .rows = batch->rows, .heads = c->heads,
                                  .kv_heads = c->kv_heads, .dim = c->head_dim,
                                  .window = window(c, acts, act), .scale = scale(c),
                                  .local = threads(cmd, batch), .work = work});
}
