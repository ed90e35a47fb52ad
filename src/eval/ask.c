#include "eval/ask.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/pass.h"
#include "ops/top_k.h"

struct told { // on the device [picked]
    struct buffer *ids, *values, *target, *lse, *loss;
};

static bool told_new(struct told *t, const struct model *model, const struct ask *ask)
{
    struct device *dev = model->dev;
    uint64_t bytes = 4ull * ask->picked;
    return (!ask->top || (buffer_new(dev, bytes, "answers", &t->ids) &&
                          buffer_new(dev, bytes, "answers", &t->values))) &&
           (!ask->loss || (buffer_from(dev, ask->target, bytes, "targets", &t->target) &&
                           buffer_new(dev, bytes, "losses", &t->lse) &&
                           buffer_new(dev, bytes, "losses", &t->loss)));
}

static void told_free(struct told *t, const struct model *model)
{
    struct buffer **all[] = {&t->ids, &t->values, &t->target, &t->lse, &t->loss};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(model->dev, all[i]);
}

static void record(struct cmd *cmd, const struct model *model, const struct pass *p,
                   const struct told *t, const struct ask *ask)
{
    fbuf logits = p->head.logits->address;
    pass_logits(cmd, model, p);
    if (ask->top)
        top_k(cmd, logits, t->ids->address, t->values->address, ask->picked, model->config.vocab,
              1);
    if (ask->loss)
        op_cross_entropy(cmd, (struct cross_entropy_args){
                                  .logits = logits, .target = t->target->address,
                                  .lse = t->lse->address, .loss = t->loss->address,
                                  .rows = ask->picked, .cols = model->config.vocab});
}

static bool sound(const struct model *model, const struct ask *ask, const float *best)
{
    for (uint32_t i = 0; i < ask->picked; i++)
        if ((ask->top && (ask->top[i] >= model->config.vocab || !isfinite(best[i]))) ||
            (ask->loss && !isfinite(ask->loss[i])))
            return false;
    return true;
}

bool ask_rows(const struct model *model, const struct ask *ask)
{
    struct pass p = {0};
    struct told t = {0};
    struct cmd cmd = {0};
    uint64_t bytes = 4ull * ask->picked;
    float *best = mem_new(ask->picked, sizeof *best, "answers");
    bool ok = best &&
              pass_new(&p, model, ask->sequences, ask->count, model->config.layers, false) &&
              pass_head(&p, model, ask->index, ask->picked) && told_new(&t, model, ask);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        record(&cmd, model, &p, &t, ask);
        ok = cmd_run_once(&cmd) &&
             (!ask->top || (buffer_read(model->dev, t.ids, 0, ask->top, bytes) &&
                            buffer_read(model->dev, t.values, 0, best, bytes))) &&
             (!ask->loss || buffer_read(model->dev, t.loss, 0, ask->loss, bytes));
    }
    if (ok && !sound(model, ask, best))
        ok = pass_blame(model, ask->sequences, ask->count, ask->index, ask->picked, ask->who);
    cmd_free(&cmd);
    told_free(&t, model);
    pass_free(&p);
    free(best);
    return ok;
}
