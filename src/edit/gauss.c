#include "edit/gauss.h"

#include "state.def"

// Measured on 24 records of CounterFact and SmolLM2: the first radius, as a part of the clamp (no
// further than with the usual clamp of 4), and the part of the loss to stop at that a model is to
// reach: it promises too much as a rule.
#define FIRST_RADIUS 0.4
#define USUAL_CLAMP 4.0
#define GOAL 0.6

bool gauss_new(struct gauss *g, const struct model *model, const struct prompts *prompts)
{
    struct device *dev = model->dev;
    uint64_t dim = model->config.dim * sizeof(float), targets = prompts->count - 1;
    *g = (struct gauss){.prompts = prompts->count, .tokens = prompts->target_count};
    g->groups = targets < GAUSS_GROUPS ? (uint32_t)targets : GAUSS_GROUPS;
    uint64_t rows = g->groups + GAUSS_TERMS;
    return buffer_new(dev, 2 * dim, "gradients", &g->pulls) &&
           buffer_new(dev, (rows + 1) * dim, "Gauss-Newton", &g->rows) &&
           buffer_new(dev, (rows + 1) * (rows + 1) * sizeof(float), "Gauss-Newton", &g->gram) &&
           buffer_new(dev, rows * sizeof(float), "Gauss-Newton", &g->terms);
}

void gauss_free(struct gauss *g, struct device *dev)
{
    struct buffer **all[] = {&g->pulls, &g->rows, &g->gram, &g->terms};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
}

void gauss_record(struct cmd *cmd, const struct gauss *g, const struct editor *e, double v0,
                  fbuf grads, fbuf lookups, fbuf loss, fbuf state)
{
    const struct hparams *h = &e->hparams;
    uint32_t dim = e->model->config.dim, rows = g->groups + GAUSS_TERMS + 1;
    double reach = h->clamp < USUAL_CLAMP ? h->clamp : USUAL_CLAMP;
    bool sign = h->cosine == COSINE_SIGNED; // the others cannot be negative
    op_gauss_look(cmd, (struct gauss_look_args){
                           .grads = grads, .index = lookups, .loss = loss,
                           .pulls = g->pulls->address, .delta = e->delta->address,
                           .rows = g->rows->address, .terms = g->terms->address, .state = state,
                           .n = dim, .prompts = g->prompts, .tokens = g->tokens,
                           .groups = g->groups, .steps = h->steps, .kl_factor = (float)h->kl,
                           .decay = (float)(h->decay / (v0 * v0)), .stop = (float)h->stop,
                           .clamp = (float)(h->clamp * v0),
                           .radius = (float)(FIRST_RADIUS * reach * v0),
                           .low1 = sign ? -(float)h->lambda1 : 0,
                           .low2 = sign ? -(float)h->lambda2 : 0});
    gemm_nt(cmd, matrix_of(g->rows->address, rows, dim), matrix_of(g->rows->address, rows, dim),
            matrix_of(g->gram->address, rows, rows), 1, 0);
    op_gauss_step(cmd, (struct gauss_step_args){
                           .gram = g->gram->address, .terms = g->terms->address,
                           .rows = g->rows->address, .delta = e->delta->address, .state = state,
                           .n = dim, .groups = g->groups, .prompts = g->prompts,
                           .goal = (float)(GOAL * h->stop), .clamp = (float)(h->clamp * v0)});
}
