#include "edit/solvers.h"

#include <math.h>
#include <string.h>

#include "base/status.h"
#include "edit/solver_ft.h"
#include "edit/solver_ultra.h"

// editor->w = C^-1 k_left, and its product with a key.
static bool solve_key(struct editor *e, struct edit *edit, fbuf key, double *product)
{
    struct solve_report report = {0};
    if (!factor_solve(&e->site->factor, e->left_key->address, e->w->address, &report) ||
        !editor_dot(e, e->w->address, key, e->model->config.ffn, product))
        return false;
    if (isfinite(*product) && *product > 0) return true;
    return fail(STATUS_BAD_DATA, "edit %u: k^T C^-1 k is %g, wanted more than 0; try --ridge 1e-4",
                edit->number, *product);
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
    if (!solve_key(e, edit, e->right_key->address, &edit->s)) return false;
    edit->realised = 1;
    return finish(e, edit, 1 / edit->s);
}

// O-Edit Eq. 6, 23: dW = R k*^T (lambda C + k* k*^T)^-1; by Sherman-Morrison the row vector is
// (C^-1 k*)^T / (lambda + s), s = k*^T C^-1 k*, and dW k* = s / (lambda + s) R.
static bool memit_solve(struct editor *e, struct edit *edit)
{
    if (!solve_key(e, edit, e->left_key->address, &edit->s)) return false;
    edit->realised = edit->s / (e->hparams.lambda + edit->s);
    return finish(e, edit, 1 / (e->hparams.lambda + edit->s));
}

// AlphaEdit: dW = R k^T P (K K^T P + k k^T P + l2 I)^-1, K the earlier keys, P the projector onto C's
// null space. With q = P k this is R q^T (l2 I + sum q_i q_i^T + q q^T)^-1: the site's factor is that of
// l2 I and the earlier q_i (edit/memory.h), and what k has of C's large eigenvectors goes first.
static bool alpha_solve(struct editor *e, struct edit *edit)
{
    struct site *s = e->site;
    const uint32_t ffn = e->model->config.ffn, dim = e->model->config.dim;
    fbuf key = e->left_key->address;
    double before = 0, after = 0;
    if (!editor_dot(e, key, key, ffn, &before)) return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    if (s->large_count)
        project_out(&cmd, matrix_of(s->large->address, s->large_count, ffn), key,
                    s->parts->address, 2);
    bool ok = cmd_run_once(&cmd) && editor_dot(e, key, key, ffn, &after);
    cmd_free(&cmd);
    if (!ok) return false;
    if (after <= 1e-10 * before) { // rounding alone
        edit->why = "nothing of its key lies in the null space of C";
        cmd_start(&cmd, e->model->dev, false);
        op_fill(&cmd, (struct fill_args){.y = e->u->address, .n = dim});
        op_fill(&cmd, (struct fill_args){.y = e->w->address, .n = ffn});
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
        return ok;
    }
    if (!solve_key(e, edit, key, &edit->s)) return false;
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
