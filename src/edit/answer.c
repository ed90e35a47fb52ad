#include "edit/answer.h"

#include <stdlib.h>

#include "base/mem.h"

void answer_free(struct answer *a)
{
    if (!a->model) return;
    struct device *dev = a->model->dev;
    batch_free(&a->batch);
    cache_free(&a->cache);
    acts_free(&a->acts);
    grads_free(&a->grads);
    head_free(&a->head);
    struct buffer **all[] = {&a->base, &a->target, &a->weight, &a->lse, &a->loss};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
    *a = (struct answer){0};
}

static bool batch_make(struct answer *a, const struct prompts *p)
{
    struct sequence *sequences = mem_new(p->count, sizeof *sequences, "sequences");
    for (uint32_t i = 0; sequences && i + 1 < p->count; i++) {
        const struct prompt *q = &p->items[i];
        sequences[i] = (struct sequence){.tokens = q->tokens, .end = q->count, .slot = a->rows};
        a->rows += q->count;
    }
    bool ok = sequences && batch_new(&a->batch, a->model, sequences, p->count - 1);
    free(sequences);
    return ok;
}

// Answer token k of a prompt is predicted at its position given - 1 + k.
static bool targets_make(struct answer *a, const struct prompts *p)
{
    struct device *dev = a->model->dev;
    uint32_t many = (p->count - 1) * p->target_count, row = 0, n = 0;
    uint32_t *index = mem_new(many, sizeof *index, "targets");
    uint32_t *target = mem_new(many, sizeof *target, "targets");
    float *weight = mem_new(many, sizeof *weight, "targets");
    bool ok = index && target && weight;
    for (uint32_t i = 0; ok && i + 1 < p->count; row += p->items[i++].count)
        for (uint32_t k = 0; k < p->target_count; k++, n++) {
            index[n] = row + p->items[i].given - 1 + k;
            target[n] = p->target[k];
            weight[n] = 1 / (float)many;
        }
    a->losses = many;
    ok = ok && head_new(&a->head, a->model, index, many) &&
         buffer_from(dev, target, many * sizeof *target, "targets", &a->target) &&
         buffer_from(dev, weight, many * sizeof *weight, "targets", &a->weight) &&
         buffer_new(dev, many * sizeof(float), "losses", &a->lse) &&
         buffer_new(dev, many * sizeof(float), "losses", &a->loss);
    free(index);
    free(target);
    free(weight);
    return ok;
}

// The stream behind the edited layer as the model has it.
static bool base_make(struct answer *a, const struct edit *edit)
{
    const struct config *c = &a->model->config;
    struct cmd cmd;
    cmd_start(&cmd, a->model->dev, false);
    cmd_part(&cmd, "layer", a->layer);
    gemm_forward(&cmd, a->key, a->model->layers[a->layer].down,
                 edit->prepared->mid->address + 4ull * edit->first * c->dim, a->base->address,
                 a->rows);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

bool answer_new(struct answer *a, const struct editor *e, const struct edit *edit)
{
    const struct model *model = e->model;
    const struct config *c = &model->config;
    uint32_t layer = e->site->layer;
    *a = (struct answer){.model = model, .layer = layer,
                         .key = edit->prepared->key->address + 4ull * edit->first * c->ffn};
    bool ok = batch_make(a, edit->prompts) && targets_make(a, edit->prompts) &&
              cache_new(&a->cache, model, layer + 1, c->layers, a->rows, false) &&
              acts_new(&a->acts, model, layer + 1, c->layers, &a->batch, true) &&
              grads_new(&a->grads, model, &a->batch, a->rows > a->losses ? a->rows : a->losses) &&
              buffer_new(model->dev, 4ull * a->rows * c->dim, "residuals", &a->base) &&
              base_make(a, edit);
    if (!ok) answer_free(a);
    return ok;
}

void answer_record(struct cmd *cmd, const struct answer *a, fbuf shift)
{
    const struct model *model = a->model;
    const struct config *c = &model->config;
    const uint32_t above = a->layer + 1;
    fbuf stream = a->acts.stream[0]->address, logits = a->head.logits->address;
    cmd_part(cmd, "layer", a->layer);
    if (shift)
        gemm_forward(cmd, a->key, weight_of(shift, c->dim, c->ffn), a->base->address, stream,
                     a->rows);
    else
        op_axpby(cmd, (struct axpby_args){.x = a->base->address, .y = stream,
                                          .n = a->rows * c->dim, .alpha = 1});
    forward_layers(cmd, model, &a->batch, &a->cache, &a->acts, above, c->layers);
    forward_head(cmd, model, &a->head, a->acts.stream[c->layers - above]->address);
    cmd_part(cmd, "loss", CMD_NO_NUMBER);
    op_cross_entropy(cmd, (struct cross_entropy_args){
                              .logits = logits, .target = a->target->address,
                              .lse = a->lse->address, .loss = a->loss->address,
                              .rows = a->losses, .cols = c->vocab});
    op_cross_entropy_back(cmd, (struct cross_entropy_back_args){
                                   .target = a->target->address, .lse = a->lse->address,
                                   .weight = a->weight->address, .logits = logits,
                                   .rows = a->losses, .cols = c->vocab});
    backward_head(cmd, model, &a->head, &a->grads, a->rows);
    backward_layers(cmd, model, &a->batch, &a->cache, &a->acts, &a->grads, above, c->layers);
}

bool answer_loss(const struct answer *a, double *loss)
{
    float *each = mem_new(a->losses, sizeof *each, "losses");
    bool ok = each && buffer_read(a->model->dev, a->loss, 0, each, a->losses * sizeof *each);
    *loss = 0;
    for (uint32_t i = 0; ok && i < a->losses; i++) *loss += (double)each[i] / a->losses;
    free(each);
    return ok;
}
