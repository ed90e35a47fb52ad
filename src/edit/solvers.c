#include "edit/solvers.h"

#include <math.h>
#include <string.h>

#include "base/status.h"
#include "edit/solver_ft.h"
#include "edit/solver_ultra.h"

#define CONDITION_MOST 1e6 // that is always solved with (linalg/solve.h)

// s = w . key, of w = S^-1 k with S positive definite.
static bool product(struct editor *e, struct edit *edit, fbuf key, const char *help)
{
    if (!editor_dot(e, e->w->address, key, e->model->config.ffn, &edit->s)) return false;
    if (isfinite(edit->s) && edit->s > 0) return true;
    return fail(STATUS_BAD_DATA, "edit %u: k^T C^-1 k is %g, wanted more than 0; try %s",
                edit->number, edit->s, help);
}

// editor->w = C^-1 k_left, and its product with a key.
static bool solve_key(struct editor *e, struct edit *edit, fbuf key)
{
    struct solve_report report = {0};
    return factor_solve(&e->site->factor, e->left_key->address, e->w->address, &report) &&
           product(e, edit, key, "--ridge 1e-4");
}

// editor->u = R, editor->w *= scale. R is delta, or v* - W k_right (R-Edit).
static bool finish(struct editor *e, const struct edit *edit, double scale)
{
    uint32_t dim = e->model->config.dim;
    fbuf u = e->u->address;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = e->delta->address, .y = u, .n = dim, .alpha = 1});
    if (edit->own_residual) {
        op_axpby(&cmd, (struct axpby_args){.x = e->plain_value->address, .y = u, .n = dim,
                                           .alpha = 1, .beta = 1});
        op_axpby(&cmd, (struct axpby_args){.x = e->right_value->address, .y = u, .n = dim,
                                           .alpha = -1, .beta = 1});
    }
    op_axpby(&cmd, (struct axpby_args){.x = e->w->address, .y = e->w->address,
                                       .n = e->model->config.ffn, .alpha = (float)scale});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// O-Edit Eq. 3: dW = Lambda (C^-1 k*)^T, Lambda = (v* - W k*) / (C^-1 k*)^T k*.
static bool rome_solve(struct editor *e, struct edit *edit)
{
    if (!solve_key(e, edit, e->right_key->address)) return false;
    edit->realised = 1;
    return finish(e, edit, 1 / edit->s);
}

// O-Edit Eq. 6, 23: dW = R k*^T (lambda C + k* k*^T)^-1; by Sherman-Morrison the row vector is
// (C^-1 k*)^T / (lambda + s), s = k*^T C^-1 k*, and dW k* = s / (lambda + s) R.
static bool memit_solve(struct editor *e, struct edit *edit)
{
    if (!solve_key(e, edit, e->left_key->address)) return false;
    edit->realised = edit->s / (e->hparams.lambda + edit->s);
    return finish(e, edit, 1 / (e->hparams.lambda + edit->s));
}

// Nothing is left to write: u = 0, w = 0.
static bool give_up(struct editor *e)
{
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_fill(&cmd, (struct fill_args){.y = e->u->address, .n = e->model->config.dim});
    op_fill(&cmd, (struct fill_args){.y = e->w->address, .n = e->model->config.ffn});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// AlphaEdit: dW = R k^T P (K K^T P + k k^T P + l2 I)^-1, K the earlier keys, P the projector onto
// C's null space. P is symmetric and P P = P, so with q = P k this is R q^T (S + q q^T)^-1, S = l2
// I + sum q_i q_i^T over the earlier ones (edit/memory.h): R (S^-1 q)^T / (1 + q^T S^-1 q).
static bool alpha_solve(struct editor *e, struct edit *edit)
{
    struct site *s = e->site;
    const uint32_t ffn = e->model->config.ffn;
    fbuf key = e->left_key->address;
    double before = 0, after = 0;
    if (!editor_dot(e, key, key, ffn, &before)) return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    null_space_project(&cmd, &s->null_space, key);
    bool ok = cmd_run_once(&cmd) && editor_dot(e, key, key, ffn, &after);
    cmd_free(&cmd);
    if (!ok) return false;
    if (after <= 1e-10 * before) { // rounding alone
        edit->why = "nothing of its key lies in the null space of C";
        return give_up(e);
    }
    const double condition = 1 + (s->earlier.mass + after) / e->hparams.l2;
    if (!(condition <= CONDITION_MOST))
        return fail(STATUS_BAD_DATA, "edit %u: L2 I + sum of P k k^T P has a condition of up to "
                                     "%.1e, wanted at most %.0e; take a larger --l2 than %g",
                    edit->number, condition, CONDITION_MOST, e->hparams.l2);
    if (!thin_solve(&s->earlier, key, e->w->address) || !product(e, edit, key, "a larger --l2"))
        return false;
    edit->realised = edit->s / (1 + edit->s);
    return finish(e, edit, 1 / (1 + edit->s));
}

static const struct solver rome = {
    .name = "rome", .cite = "ROME; O-Edit Eq. 3", .left = KEY_MEAN, .right = KEY_PLAIN,
    .solve = rome_solve,
};

static const struct solver memit = {
    .name = "memit", .cite = "MEMIT; O-Edit Eq. 6, Eq. 23", .left = KEY_HALF, .right = KEY_HALF,
    .solve = memit_solve,
};

static const struct solver alphaedit = {
    .name = "alphaedit", .cite = "AlphaEdit, Eq. 14; arXiv 2410.02355", .left = KEY_HALF,
    .right = KEY_HALF, .null_space = true, .solve = alpha_solve,
};

const struct solver *const solvers[] = {&memit,      &rome,         &solver_ft,
                                        &solver_ft_l, &solver_ultra, &alphaedit, NULL};

const struct solver *solver_find(const char *name)
{
    for (size_t i = 0; solvers[i]; i++)
        if (strcmp(solvers[i]->name, name) == 0) return solvers[i];
    return NULL;
}
