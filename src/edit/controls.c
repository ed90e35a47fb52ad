#include "edit/controls.h"

#include <math.h>
#include <string.h>

#include "base/random.h"
#include "base/status.h"

// What is kept of u's or dW's length is told as with O-Edit+.
static bool kept_measure(struct editor *e, struct edit *edit, bool (*change)(struct editor *e))
{
    fbuf u = e->u->address;
    const uint32_t dim = e->model->config.dim;
    double before = 0, after = 0;
    bool ok = editor_dot(e, u, u, dim, &before) && change(e) && editor_dot(e, u, u, dim, &after);
    edit->kept = ok && before > 0 ? sqrt(after / before) : 1;
    edit->noop = edit->kept < 1e-6;
    return ok;
}

// ---- zero: some values of dW are not written ----

static bool zero_start(struct editor *e)
{
    e->mask = mask_of(e->seed, e->hparams.knob);
    return true;
}

// Of |dW|, as is to be expected; the update itself sees to it (edit/update.h).
static bool zero_project(struct editor *e, struct edit *edit)
{
    edit->kept = sqrt(1 - e->hparams.knob);
    return true;
}

// ---- random: a subspace of the size of V and G, of no meaning ----

static bool random_start(struct editor *e)
{
    struct device *dev = e->model->dev;
    uint64_t dim = e->model->config.dim;
    return basis_new(dev, (uint32_t)dim, 64, &e->site->basis) &&
           buffer_new(dev, dim * 4, "coefficients", &e->site->coefficients) &&
           buffer_new(dev, dim * 4, "a random direction", &e->site->implicit_);
}

static void random_stop(struct editor *e)
{
    struct device *dev = e->model->dev;
    basis_free(&e->site->basis);
    buffer_free(dev, &e->site->coefficients);
    buffer_free(dev, &e->site->implicit_);
}

// As many as O-Edit+ has at its T-th edit, r + q = T - 1 + floor(lambda3 T), or floor(knob T).
static uint32_t random_count(const struct editor *e, const struct edit *edit)
{
    const struct hparams *h = &e->hparams;
    const double t = edit->number, dim = e->model->config.dim;
    double q = fmin(floor(h->lambda3 * t), fmin(h->q_max, dim));
    return (uint32_t)fmin(dim, h->knob > 0 ? floor(h->knob * t) : t - 1 + q);
}

// Every direction is a function of seed and number, and what was there stays: V and G grow so, too.
static bool random_grow(struct editor *e, uint32_t count)
{
    const uint32_t dim = e->model->config.dim;
    bool ok = true;
    for (; ok && e->site->basis.rows < count; e->site->draws++) {
        uint64_t state = e->seed ^ (uint64_t)e->site->draws << 32;
        struct cmd cmd;
        cmd_start(&cmd, e->model->dev, false);
        op_random(&cmd, (struct random_args){.y = e->site->implicit_->address, .n = dim,
                                             .seed = (uint32_t)(random_next(&state) >> 32)});
        ok = cmd_run_once(&cmd) && basis_push(&e->site->basis, e->site->implicit_->address, NULL);
        cmd_free(&cmd);
    }
    return ok;
}

static bool random_out(struct editor *e)
{
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    project_out(&cmd, basis_matrix(&e->site->basis), e->u->address,
                e->site->coefficients->address, 2);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool random_project(struct editor *e, struct edit *edit)
{
    if (!random_grow(e, random_count(e, edit))) return false;
    edit->r = e->site->basis.rows;
    return kept_measure(e, edit, random_out);
}

// ---- scale: dW <- eta dW ----

static bool scale_u(struct editor *e)
{
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = e->u->address, .y = e->u->address,
                                       .n = e->model->config.dim,
                                       .alpha = (float)e->hparams.knob});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool scale_project(struct editor *e, struct edit *edit)
{
    return kept_measure(e, edit, scale_u);
}

static const struct guard fewer_steps = {
    .name = "fewer-steps", .cite = "O-Edit sec. 5.3, method 1",
};

static const struct guard zero = {
    .name = "zero", .cite = "O-Edit sec. 5.3, method 2", .start = zero_start,
    .project = zero_project,
};

static const struct guard random_subspace = {
    .name = "random", .cite = "O-Edit sec. 5.3, method 3", .start = random_start,
    .project = random_project, .stop = random_stop,
};

static const struct guard scale = {
    .name = "scale", .cite = "O-Edit sec. 5.3, method 4", .project = scale_project,
};

const struct control controls[CONTROLS] = {
    {.guard = &fewer_steps, .knob = "looks at the loss", .most = 10000, .whole = true},
    {.guard = &zero, .knob = "the share of dW's values that is not written", .most = 1,
     .open = true, .falls = true},
    {.guard = &random_subspace, .knob = "random directions an edit", .most = 1e6, .optional = true,
     .falls = true},
    {.guard = &scale, .knob = "eta of dW <- eta dW", .most = 1},
};

const struct control *control_find(const char *guard)
{
    for (size_t i = 0; i < CONTROLS; i++)
        if (strcmp(controls[i].guard->name, guard) == 0) return &controls[i];
    return NULL;
}

bool control_settle(struct hparams *h, const char *guard)
{
    const struct control *c = control_find(guard);
    const double x = h->knob;
    if (!c) return x == 0 || fail(STATUS_USAGE, "--knob: guard %s has none", guard);
    if (x == 0 && c->optional) return true;
    if (!(x > c->least && x <= c->most) || (c->open && x == c->most) ||
        (c->whole && x != floor(x)))
        return fail(STATUS_USAGE, "--knob: guard %s: %s: got %g, wanted a %snumber over %g %s %g",
                    guard, c->knob, x, c->whole ? "whole " : "", c->least,
                    c->open ? "and under" : "up to", c->most);
    if (c->guard == &fewer_steps) h->steps = (uint32_t)x;
    return true;
}
