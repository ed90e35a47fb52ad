#include "edit/solver_ft.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/answer.h"
#include "edit/blame.h"

struct tuning { // of dW: gradient, Adam's mean and squares [dim, ffn]
    struct buffer *grad, *m, *v;
};

static void ft_stop(struct editor *e)
{
    struct tuning *t = e->tuning;
    if (!t) return;
    struct device *dev = e->model->dev;
    buffer_free(dev, &t->grad);
    buffer_free(dev, &t->m);
    buffer_free(dev, &t->v);
    buffer_free(dev, &e->dense);
    free(t);
    e->tuning = NULL;
}

static bool ft_start(struct editor *e)
{
    struct device *dev = e->model->dev;
    uint64_t bytes = 4ull * e->model->config.dim * e->model->config.ffn;
    struct tuning *t = e->tuning = mem_new(1, sizeof *t, "fine-tuning");
    return t && buffer_new(dev, bytes, "dW", &e->dense) &&
           buffer_new(dev, bytes, "gradient of W", &t->grad) &&
           buffer_new(dev, bytes, "Adam's mean", &t->m) &&
           buffer_new(dev, bytes, "Adam's squares", &t->v);
}

static bool zero(struct editor *e)
{
    const uint32_t n = e->model->config.dim * e->model->config.ffn;
    const struct buffer *all[] = {e->dense, e->tuning->m, e->tuning->v};
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        op_fill(&cmd, (struct fill_args){.y = all[i]->address, .n = n});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// Step `step`, from 1, of Adam (Kingma and Ba); each |dW_ij| is held under limit.
static bool move(struct editor *e, uint32_t step, float limit)
{
    struct tuning *t = e->tuning;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_adam_weights(&cmd, (struct adam_weights_args){
                              .grad = t->grad->address, .x = e->dense->address,
                              .m = t->m->address, .v = t->v->address,
                              .n = e->model->config.dim * e->model->config.ffn,
                              .rate = (float)e->hparams.rate,
                              .near_ = (float)(1 - maths_power(0.9, step)),
                              .far_ = (float)(1 - maths_power(0.999, step)), .limit = limit});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool look(const struct editor *e, struct edit *edit, const struct answer *a)
{
    double loss = 0;
    if (!answer_loss(a, &loss)) return false;
    edit->chosen = edit->steps;
    edit->trace[edit->steps++] = (struct trace){.total = (float)loss, .nll = (float)loss};
    if (isfinite(loss)) return true;
    char who[WHO_BYTES];
    edit_who(edit, who);
    return fail(STATUS_BAD_DATA, "%s, step %u: the loss is %g, wanted a finite one; take a smaller "
                                 "--rate than %g", who, edit->steps, loss, e->hparams.rate);
}

// The keys below do not change, so dW alone is moved: its gradient is the outer product of the
// gradient at W's output with the keys, over all positions.
static bool tune(struct editor *e, struct edit *edit, float limit)
{
    const struct config *c = &e->model->config;
    struct answer a = {0};
    struct cmd cmd = {0};
    edit->rank = 0;
    edit->realised = 1;
    edit->steps = 0;
    bool ok = answer_new(&a, e, edit) && zero(e);
    if (ok) {
        cmd_start(&cmd, e->model->dev, true);
        answer_record(&cmd, &a, e->dense->address);
        gemm_tn(&cmd, matrix_of(a.grads.stream->address, a.rows, c->dim),
                matrix_of(a.key, a.rows, c->ffn),
                matrix_of(e->tuning->grad->address, c->dim, c->ffn), 1, 0, SHAPE_FULL);
        ok = cmd_end(&cmd);
    }
    for (uint32_t step = 1; ok; step++) {
        ok = interrupt_check() && cmd_replay(&cmd) && look(e, edit, &a);
        if (!ok || (double)edit->trace[step - 1].total < e->hparams.stop) break;
        if (step > e->hparams.steps) break; // the last look is behind the last step
        ok = move(e, step, limit);
    }
    cmd_free(&cmd);
    answer_free(&a);
    return ok;
}

static bool ft_make(struct editor *e, struct edit *edit)
{
    return tune(e, edit, FLT_MAX);
}

static bool ft_l_start(struct editor *e)
{
    if (!(e->hparams.limit > 0))
        return fail(STATUS_USAGE, "--norm-constraint: got %g, solver ft-l wants more than 0 "
                                  "(the largest |dW_ij|)", e->hparams.limit);
    return ft_start(e);
}

static bool ft_l_make(struct editor *e, struct edit *edit)
{
    return tune(e, edit, (float)e->hparams.limit);
}

const struct solver solver_ft = {
    .name = "ft", .cite = "fine-tuning with Adam, as ROME's and EasyEdit's FT", .dense = true,
    .start = ft_start, .make = ft_make, .stop = ft_stop,
};

const struct solver solver_ft_l = {
    .name = "ft-l", .cite = "the same within an L-infinity ball; Zhu et al. 2020, ROME's FT+L",
    .dense = true, .start = ft_l_start, .make = ft_l_make, .stop = ft_stop,
};
