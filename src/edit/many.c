#include "edit/many.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"
#include "edit/blame.h"
#include "edit/update.h"

bool many_room(struct editor *e, uint32_t rank)
{
    struct device *dev = e->model->dev;
    if (rank <= e->room) return true;
    buffer_free(dev, &e->us);
    buffer_free(dev, &e->ws);
    e->room = 0;
    bool ok = buffer_new(dev, 4ull * rank * e->model->config.dim, "pairs", &e->us) &&
              buffer_new(dev, 4ull * rank * e->model->config.ffn, "pairs", &e->ws);
    if (ok) e->room = rank;
    return ok;
}

static bool copy(struct editor *e, fbuf from, fbuf to, uint32_t n)
{
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = from, .y = to, .n = n, .alpha = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// |dW|^2 of a dense edit: row by row on the device, the rows on the host.
static bool dense_length2(struct editor *e, double *square)
{
    const struct config *c = &e->model->config;
    float *rows = mem_new(c->dim, sizeof *rows, "lengths");
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_dot_rows(&cmd, (struct dot_rows_args){.x = e->dense->address, .w = e->dense->address,
                                             .y = e->u->address, .rows = c->dim, .cols = c->ffn,
                                             .w_step = c->ffn});
    bool ok = rows && cmd_run_once(&cmd) &&
              buffer_read(e->model->dev, e->u, 0, rows, c->dim * sizeof *rows);
    cmd_free(&cmd);
    *square = 0;
    for (uint32_t i = 0; ok && i < c->dim; i++) *square += (double)rows[i];
    free(rows);
    return ok;
}

// |sum_i u_i w_i^T|^2 = sum_ij (u_i . u_j) (w_i . w_j)
static bool pairs_length2(struct editor *e, uint32_t rank, double *square)
{
    const struct config *c = &e->model->config;
    struct device *dev = e->model->dev;
    const uint64_t n = (uint64_t)rank * rank;
    struct buffer *grams[2] = {0};
    float *host = mem_new(2 * n, sizeof *host, "lengths");
    bool ok = host && buffer_new(dev, 4 * n, "lengths", &grams[0]) &&
              buffer_new(dev, 4 * n, "lengths", &grams[1]);
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    if (ok) {
        struct matrix u = matrix_of(e->us->address, rank, c->dim);
        struct matrix w = matrix_of(e->ws->address, rank, c->ffn);
        gemm_nt(&cmd, u, u, matrix_of(grams[0]->address, rank, rank), 1, 0);
        gemm_nt(&cmd, w, w, matrix_of(grams[1]->address, rank, rank), 1, 0);
        ok = cmd_run_once(&cmd) && buffer_read(dev, grams[0], 0, host, 4 * n) &&
             buffer_read(dev, grams[1], 0, host + n, 4 * n);
    }
    cmd_free(&cmd);
    *square = 0;
    for (uint64_t i = 0; ok && i < n; i++) *square += (double)host[i] * (double)host[n + i];
    buffer_free(dev, &grams[0]);
    buffer_free(dev, &grams[1]);
    free(host);
    return ok;
}

static bool length_of(struct editor *e, uint32_t rank, double *length)
{
    double square = 0;
    bool ok = rank ? pairs_length2(e, rank, &square) : dense_length2(e, &square);
    *length = square > 0 ? sqrt(square) : square == square ? 0 : square;
    return ok;
}

bool many_project(struct editor *e, struct edit *edit)
{
    const uint32_t dim = e->model->config.dim;
    double before = 0, after = 0;
    bool ok = length_of(e, edit->rank, &before);
    for (uint32_t i = 0; ok && i < edit->rank; i++) {
        fbuf row = e->us->address + 4ull * i * dim;
        edit->noop = false;
        ok = copy(e, row, e->u->address, dim) && e->guard->project(e, edit);
        struct cmd cmd;
        cmd_start(&cmd, e->model->dev, false);
        if (edit->noop) // rounding is left: no direction of its own
            op_fill(&cmd, (struct fill_args){.y = row, .n = dim});
        else
            op_axpby(&cmd, (struct axpby_args){.x = e->u->address, .y = row, .n = dim, .alpha = 1});
        ok = ok && cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    ok = ok && length_of(e, edit->rank, &after);
    edit->kept = before > 0 ? after / before : 1;
    edit->noop = edit->kept < 1e-6;
    return ok;
}

bool many_apply(struct editor *e, struct edit *edit)
{
    const struct config *c = &e->model->config;
    if (!length_of(e, edit->rank, &edit->u_norm)) return false;
    edit->w_norm = 1;
    if (!isfinite(edit->u_norm)) {
        char who[WHO_BYTES];
        edit_who(edit, who);
        return fail(STATUS_BAD_DATA, "%s: the update's length is %g, wanted a finite one; take a "
                                     "smaller --rate than %g", who, edit->u_norm, e->hparams.rate);
    }
    if (edit->u_norm == 0) edit->noop = true;
    if (edit->noop) return true;
    fbuf matrix = e->site->matrix->address;
    if (!edit->rank)
        return update_dense(e->model->dev, e->dense->address, matrix, c->dim, c->ffn);
    bool ok = true;
    for (uint32_t i = 0; ok && i < edit->rank; i++)
        ok = update_edit(e->model->dev, &e->mask, edit->number,
                         e->us->address + 4ull * i * c->dim, e->ws->address + 4ull * i * c->ffn,
                         matrix, c->dim, c->ffn);
    return ok;
}

bool many_commit(struct editor *e, struct edit *edit)
{
    const struct config *c = &e->model->config;
    bool ok = true;
    for (uint32_t i = 0; ok && i < edit->rank; i++)
        ok = copy(e, e->us->address + 4ull * i * c->dim, e->u->address, c->dim) &&
             copy(e, e->ws->address + 4ull * i * c->ffn, e->w->address, c->ffn) &&
             e->guard->commit(e, edit);
    return ok;
}
