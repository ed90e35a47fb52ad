#include "edit/guards.h"

#include <math.h>
#include <string.h>

#include "base/status.h"

// Core gradient space: V, an orthonormal basis of the span of all u (O-Edit Eq. 7, Eq. 11), and
// the first q left singular vectors of grad G.
static bool cgs_start(struct editor *e)
{
    struct device *dev = e->model->dev;
    uint64_t dim = e->model->config.dim;
    return basis_new(dev, (uint32_t)dim, 64, &e->basis) &&
           buffer_new(dev, dim * dim * 4, "directions of grad G", &e->implicit_) &&
           buffer_new(dev, dim * dim * 4, "coefficients", &e->coefficients) &&
           buffer_new(dev, dim * 4, "norms", &e->norms_v) &&
           buffer_new(dev, dim * 4, "norms", &e->norms_g);
}

static void cgs_stop(struct editor *e)
{
    struct device *dev = e->model->dev;
    basis_free(&e->basis);
    buffer_free(dev, &e->implicit_);
    buffer_free(dev, &e->coefficients);
    buffer_free(dev, &e->norms_v);
    buffer_free(dev, &e->norms_g);
}

static void norms(struct cmd *cmd, struct matrix rows, fbuf y)
{
    op_dot_rows(cmd, (struct dot_rows_args){.x = rows.data, .w = rows.data, .y = y,
                                            .rows = rows.rows, .cols = rows.cols,
                                            .w_step = rows.cols});
}

// G <- G - V V^T G from the original G at every edit (O-Edit Eq. 12, Eq. 26); q = lambda3 T.
static bool cgs_implicit(struct editor *e, struct edit *edit, struct matrix *g)
{
    const struct hparams *h = &e->hparams;
    uint32_t dim = e->model->config.dim, q = e->direction_count;
    double wanted = floor(h->lambda3 * edit->number);
    if (wanted < q) q = (uint32_t)wanted;
    if (h->q_max < q) q = h->q_max;
    edit->r = e->basis.rows;
    edit->q = q;
    *g = matrix_of(e->implicit_->address, q, dim);
    if (q == 0) return true;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = e->directions->address, .y = g->data, .n = q * dim,
                                       .alpha = 1});
    if (e->basis.rows)
        project_rows(&cmd, *g, basis_matrix(&e->basis), e->coefficients->address, 1);
    norms(&cmd, *g, e->norms_g->address);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// O-Edit Eq. 9-14: loss + lambda1 f1(V) + lambda2 f2(G).
static bool oedit_loss(struct editor *e, struct edit *edit, struct penalty penalties[2])
{
    struct matrix g, v = basis_matrix(&e->basis);
    if (!cgs_implicit(e, edit, &g)) return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    norms(&cmd, v, e->norms_v->address);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    penalties[0] = (struct penalty){
        .rows = v, .norms = e->norms_v->address, .weight = e->hparams.lambda1};
    penalties[1] = (struct penalty){
        .rows = g, .norms = e->norms_g->address, .weight = e->hparams.lambda2};
    return ok;
}

// O-Edit Eq. 15, Eq. 28: u <- u - V V^T u; G as in Eq. 26; u <- u - G G^T u. V is taken out twice
// for orthogonality to rounding; once more at the end, where G may have put a little of it back.
static bool oedit_plus_project(struct editor *e, struct edit *edit)
{
    struct matrix g, v = basis_matrix(&e->basis);
    uint32_t dim = e->model->config.dim;
    fbuf u = e->u->address, scratch = e->coefficients->address;
    double before = 0, after = 0;
    if (!cgs_implicit(e, edit, &g) || !editor_dot(e, u, u, dim, &before)) return false;
    if (e->hparams.projector == PROJECTOR_EXACT && g.rows &&
        !basis_orthonormalise(e->model->dev, g, 0, NULL))
        return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    if (v.rows) project_out(&cmd, v, u, scratch, 2);
    if (g.rows) project_out(&cmd, g, u, scratch, 1);
    if (v.rows) project_out(&cmd, v, u, scratch, 1);
    bool ok = cmd_run_once(&cmd) && editor_dot(e, u, u, dim, &after);
    cmd_free(&cmd);
    edit->kept = ok && before > 0 ? sqrt(after / before) : 0;
    edit->noop = edit->kept < 1e-6; // rounding: u was inside the span
    return ok;
}

static bool cgs_commit(struct editor *e, struct edit *edit)
{
    (void)edit;
    return basis_push(&e->basis, e->u->address, NULL);
}

// R-Edit: the averaged key everywhere (O-Edit Eq. 3, Eq. 4 to the letter).
static void r_edit_key(struct edit *edit)
{
    edit->left = edit->right = KEY_MEAN;
    edit->own_residual = true;
}

static const struct guard none = {.name = "none", .cite = "sequential edits, unguarded"};

static const struct guard r_edit = {
    .name = "r-edit", .cite = "R-ROME; O-Edit App. C.2", .key = r_edit_key,
};

static const struct guard oedit = {
    .name = "oedit", .cite = "O-Edit sec. 3.2, Eq. 13", .directions = true, .start = cgs_start,
    .loss = oedit_loss, .commit = cgs_commit, .stop = cgs_stop,
};

static const struct guard oedit_plus = {
    .name = "oedit-plus", .cite = "O-Edit sec. 4, Eq. 15, Eq. 28", .directions = true,
    .start = cgs_start, .project = oedit_plus_project, .commit = cgs_commit, .stop = cgs_stop,
};

const struct guard *const guards[] = {&none, &r_edit, &oedit, &oedit_plus, NULL};

const struct guard *guard_find(const char *name)
{
    for (size_t i = 0; guards[i]; i++)
        if (strcmp(guards[i]->name, name) == 0) return guards[i];
    return NULL;
}
