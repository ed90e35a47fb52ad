#include "edit/guards.h"

#include <math.h>
#include <string.h>

#include "base/status.h"
#include "edit/controls.h"
#include "edit/prune.h"

// Core gradient space: V, an orthonormal basis of the span of all u (O-Edit Eq. 7, Eq. 11), and
// the first q left singular vectors of grad G. Everything here is O(d (r + q)) an edit.
static bool cgs_start(struct editor *e)
{
    struct device *dev = e->model->dev;
    uint64_t dim = e->model->config.dim;
    return basis_new(dev, (uint32_t)dim, 64, &e->site->basis) &&
           basis_new(dev, (uint32_t)dim, 64, &e->site->joint) &&
           buffer_new(dev, dim * dim * 4, "directions of grad G", &e->site->implicit_) &&
           buffer_new(dev, dim * dim * 4, "coefficients", &e->site->coefficients) &&
           buffer_new(dev, dim * 4, "norms", &e->site->norms_v) &&
           buffer_new(dev, dim * 4, "norms", &e->site->norms_g);
}

static void cgs_stop(struct editor *e)
{
    struct device *dev = e->model->dev;
    basis_free(&e->site->basis);
    basis_free(&e->site->joint);
    buffer_free(dev, &e->site->implicit_);
    buffer_free(dev, &e->site->coefficients);
    buffer_free(dev, &e->site->norms_v);
    buffer_free(dev, &e->site->norms_g);
}

static void norms(struct cmd *cmd, struct matrix rows, fbuf y)
{
    op_dot_rows(cmd, (struct dot_rows_args){.x = rows.data, .w = rows.data, .y = y,
                                            .rows = rows.rows, .cols = rows.cols,
                                            .w_step = rows.cols});
}

// Rows [from, to) of V.
static struct matrix basis_part(const struct basis *basis, uint32_t from, uint32_t to)
{
    struct matrix v = basis_matrix(basis);
    v.data += 4ull * from * v.cols;
    v.rows = to - from;
    return v;
}

// q = floor(lambda3 T), at most q_max and what there is.
static void directions_count(const struct editor *e, struct edit *edit)
{
    double wanted = floor(e->hparams.lambda3 * edit->number);
    uint32_t q = e->site->direction_count;
    if (wanted < q) q = (uint32_t)wanted;
    if (e->hparams.q_max < q) q = e->hparams.q_max;
    edit->r = e->site->basis.rows;
    edit->q = q;
}

// Eq. 26 is there to be left out (Table 5).
static bool frees(const struct editor *e)
{
    return e->hparams.ablate != ABLATE_EQ26;
}

// G - V V^T G of the original G (O-Edit Eq. 12, Eq. 26). V grows by orthonormal vectors v and
// v^T (G - V V^T G) = v^T G, so what was freed of V before needs to be freed of the new v only, and
// new rows of G of all before.
static bool cgs_implicit(struct editor *e, struct edit *edit, struct matrix *g)
{
    uint32_t dim = e->model->config.dim;
    directions_count(e, edit);
    const uint32_t q = edit->q, r = frees(e) ? edit->r : 0, fresh = e->site->freed_rows;
    fbuf coef = e->site->coefficients->address;
    *g = matrix_of(e->site->implicit_->address, q, dim);
    if (q == 0) return true;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    struct matrix added = *g;
    added.data += 4ull * fresh * dim;
    added.rows = q > fresh ? q - fresh : 0;
    op_axpby(&cmd, (struct axpby_args){.x = e->site->directions->address + 4ull * fresh * dim,
                                       .y = added.data, .n = added.rows * dim, .alpha = 1});
    project_rows(&cmd, added, basis_part(&e->site->basis, 0, e->site->freed_against), coef, 1);
    struct matrix all = *g;
    if (fresh > q) all.rows = fresh;
    project_rows(&cmd, all, basis_part(&e->site->basis, e->site->freed_against, r), coef, 1);
    norms(&cmd, *g, e->site->norms_g->address);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    e->site->freed_rows = all.rows;
    e->site->freed_against = r;
    return ok;
}

// The span of V and G - V V^T G is that of V and G: a basis of both grows by what each edit adds.
static bool cgs_joint(struct editor *e, struct edit *edit)
{
    struct site *s = e->site;
    uint64_t dim = e->model->config.dim;
    directions_count(e, edit);
    bool ok = true;
    for (; ok && s->joint_rows < edit->q; s->joint_rows++)
        ok = basis_push(&s->joint, s->directions->address + 4 * s->joint_rows * dim, NULL);
    return ok;
}

// O-Edit Eq. 9-14: loss + lambda1 f1(V) + lambda2 f2(G).
static bool oedit_loss(struct editor *e, struct edit *edit, struct penalty penalties[2])
{
    struct matrix g, v = basis_matrix(&e->site->basis);
    if (!cgs_implicit(e, edit, &g)) return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    norms(&cmd, v, e->site->norms_v->address);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    penalties[0] = (struct penalty){
        .rows = v, .norms = e->site->norms_v->address, .weight = e->hparams.lambda1};
    penalties[1] = (struct penalty){
        .rows = g, .norms = e->site->norms_g->address, .weight = e->hparams.lambda2};
    return ok;
}

// Eq. 28 as printed: u <- u - V V^T u; G as in Eq. 26; u <- u - G G^T u. V is taken out twice for
// orthogonality to rounding; once more at the end, where G may have put a little of it back. Without
// Eq. 26 it puts back much, and that stays: G's word is the last.
static bool project_paper(struct editor *e, struct edit *edit)
{
    struct matrix g, v = basis_matrix(&e->site->basis);
    fbuf u = e->u->address, scratch = e->site->coefficients->address;
    if (!cgs_implicit(e, edit, &g)) return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    if (v.rows) project_out(&cmd, v, u, scratch, 2);
    if (g.rows) project_out(&cmd, g, u, scratch, 1);
    if (v.rows && frees(e)) project_out(&cmd, v, u, scratch, 1);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// Eq. 15: u leaves the span of V and G. Twice, as Gram-Schmidt.
static bool project_exact(struct editor *e, struct edit *edit)
{
    if (!cgs_joint(e, edit)) return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    project_out(&cmd, basis_matrix(&e->site->joint), e->u->address,
                e->site->coefficients->address, 2);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// Eq. 15 without its second line takes V out and then the original G, whose rows are orthonormal: what
// Eq. 28 does without Eq. 26.
static bool exact(const struct editor *e)
{
    return e->hparams.projector == PROJECTOR_EXACT && frees(e);
}

static bool oedit_plus_project(struct editor *e, struct edit *edit)
{
    uint32_t dim = e->model->config.dim;
    fbuf u = e->u->address;
    double before = 0, after = 0;
    bool ok = editor_dot(e, u, u, dim, &before) &&
              (exact(e) ? project_exact(e, edit) : project_paper(e, edit)) &&
              editor_dot(e, u, u, dim, &after);
    edit->kept = ok && before > 0 ? sqrt(after / before) : 1;
    edit->noop = edit->kept < 1e-6; // rounding: u was inside the span; u = 0 loses nothing
    return ok;
}

static bool cgs_commit(struct editor *e, struct edit *edit)
{
    (void)edit;
    if (e->hparams.ablate == ABLATE_EDITS) return true; // V stays empty
    return basis_push(&e->site->basis, e->u->address, NULL) &&
           (!exact(e) || basis_push(&e->site->joint, e->u->address, NULL));
}

// The directions of grad G that an edit met, as its loss or projection had them.
static bool cgs_replay(struct editor *e, struct edit *edit)
{
    struct matrix g;
    return e->guard->project && exact(e) ? cgs_joint(e, edit) : cgs_implicit(e, edit, &g);
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
    .loss = oedit_loss, .commit = cgs_commit, .replay = cgs_replay, .stop = cgs_stop,
};

static const struct guard oedit_plus = {
    .name = "oedit-plus", .cite = "O-Edit sec. 4, Eq. 15, Eq. 28", .directions = true,
    .start = cgs_start, .project = oedit_plus_project, .commit = cgs_commit,
    .replay = cgs_replay, .stop = cgs_stop,
};

// The choice is the sequence's, wherever there are several layers: other guards may have it, too.
static const struct guard wilke = {
    .name = "wilke", .cite = "WilKE; O-Edit App. C.2", .several = true,
};

static bool prune_start(struct editor *e)
{
    return pairs_new(e->model->dev, e->model->config.dim, e->model->config.ffn, 16,
                     &e->site->pairs);
}

static bool prune_commit(struct editor *e, struct edit *edit)
{
    (void)edit;
    return pairs_add(&e->site->pairs, e->u->address, e->w->address, 1);
}

static void prune_stop(struct editor *e)
{
    pairs_free(&e->site->pairs);
}

static const struct guard prune = {
    .name = "prune", .cite = "PRUNE; O-Edit App. C.2", .start = prune_start,
    .commit = prune_commit, .finish = prune_pairs, .stop = prune_stop,
};

const struct guard *const guards[] = {&none,       &r_edit, &oedit, &oedit_plus,
                                      &wilke,      &prune,  NULL};

const struct guard *guard_find(const char *name)
{
    for (size_t i = 0; guards[i]; i++)
        if (strcmp(guards[i]->name, name) == 0) return guards[i];
    const struct control *control = control_find(name);
    return control ? control->guard : NULL;
}
