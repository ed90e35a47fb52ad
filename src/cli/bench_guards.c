#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "cli/bench_time.h"
#include "edit/guards.h"
#include "state.def"

// A guard at work on synthetic bases, without a model: the hooks that edits call.
struct guarded {
    struct model model;
    struct editor editor;
    struct site site;
    struct edit edit;
    struct buffer *vectors; // all rows that V will have
    struct buffer *state, *coef;
};

// Rows of the Householder matrix 1 - 2 w w^T, |w| = 1: orthonormal, dense, cheap.
static bool orthonormal(struct device *dev, uint32_t rows, uint32_t dim, uint64_t seed,
                        struct buffer **buffer)
{
    float *host = mem_new((uint64_t)rows * dim, sizeof *host, "a basis");
    double *w = mem_new(dim, sizeof *w, "a basis"), square = 0;
    bool ok = host && w;
    for (uint32_t i = 0; ok && i < dim; i++) {
        w[i] = random_unit(&seed) - 0.5;
        square += w[i] * w[i];
    }
    for (uint32_t i = 0; ok && i < rows; i++)
        for (uint32_t j = 0; j < dim; j++)
            host[(uint64_t)i * dim + j] = (float)((i == j) - 2 * w[i] * w[j] / square);
    ok = ok && buffer_from(dev, host, 4ull * rows * dim, "a basis", buffer);
    free(host);
    free(w);
    return ok;
}

static void guarded_close(struct guarded *g)
{
    struct device *dev = g->model.dev;
    struct editor *e = &g->editor;
    struct buffer **all[] = {&g->vectors, &g->state, &g->coef, &g->site.directions,
                             &e->u,       &e->delta, &e->scalars};
    if (e->guard && e->guard->stop) e->guard->stop(e);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
}

static bool guarded_open(struct guarded *g, struct bench *b, const char *guard, uint32_t dim,
                         uint32_t most)
{
    uint32_t rows = most < dim ? most : dim;
    *g = (struct guarded){.model = {.dev = b->dev, .config = {.dim = dim}}};
    g->editor = (struct editor){.model = &g->model, .guard = guard_find(guard),
                                .hparams = {.lambda1 = 50, .lambda2 = 50, .lambda3 = 1,
                                            .q_max = UINT32_MAX},
                                .sites = &g->site, .site = &g->site, .site_count = 1};
    g->site.direction_count = rows;
    struct editor *e = &g->editor;
    uint64_t bytes = 4ull * dim;
    float ones[STATE_SIZE];
    for (int i = 0; i < STATE_SIZE; i++) ones[i] = 1; // delta has a length
    return orthonormal(b->dev, rows, dim, 1, &g->vectors) &&
           orthonormal(b->dev, rows, dim, 2, &g->site.directions) &&
           orthonormal(b->dev, 1, dim, 3, &e->u) && orthonormal(b->dev, 1, dim, 4, &e->delta) &&
           buffer_new(b->dev, 64, "scalars", &e->scalars) &&
           buffer_from(b->dev, ones, sizeof ones, "Adam", &g->state) &&
           buffer_new(b->dev, bytes, "cosines", &g->coef) && e->guard->start(e);
}

// V as it is after `edits` edits.
static bool basis_set(struct guarded *g, uint32_t edits)
{
    struct device *dev = g->model.dev;
    const uint32_t dim = g->model.config.dim, rows = edits < dim ? edits : dim;
    basis_free(&g->site.basis);
    if (!basis_new(dev, dim, rows + 4, &g->site.basis)) return false;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = g->vectors->address,
                                       .y = g->site.basis.vectors->address, .n = rows * dim,
                                       .alpha = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    g->site.basis.rows = rows;
    return ok;
}

enum job { JOB_HOOKS, JOB_PENALTY };

// What the guard does for one edit, or (O-Edit) for one step of it.
static bool job_run(struct guarded *g, enum job job, const struct penalty penalties[2])
{
    struct editor *e = &g->editor;
    struct penalty made[2] = {0};
    if (job == JOB_HOOKS)
        return (!e->guard->loss || e->guard->loss(e, &g->edit, made)) &&
               (!e->guard->project || e->guard->project(e, &g->edit)) &&
               e->guard->commit(e, &g->edit);
    struct cmd cmd;
    cmd_start(&cmd, g->model.dev, false);
    for (int i = 0; i < 2; i++) {
        struct matrix rows = penalties[i].rows;
        if (!rows.rows) continue;
        op_dot_rows(&cmd, (struct dot_rows_args){.x = rows.data, .w = e->delta->address,
                                                 .y = g->coef->address, .rows = rows.rows,
                                                 .cols = rows.cols});
        op_cosine(&cmd, (struct cosine_args){.dots = g->coef->address,
                                             .norms = penalties[i].norms,
                                             .state = g->state->address,
                                             .coef = g->coef->address, .rows = rows.rows,
                                             .out_ = i ? STATE_F2 : STATE_F1,
                                             .weight = (float)penalties[i].weight});
        gemm_nn(&cmd, matrix_of(g->coef->address, 1, rows.rows), rows,
                matrix_of(e->u->address, 1, rows.cols), 1, 1);
    }
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool job_bench(struct bench *b, struct guarded *g, uint32_t edits, enum job job,
                      const char *what)
{
    const uint32_t dim = g->model.config.dim, most = g->site.direction_count;
    double *seconds = mem_new(b->repeat + 1, sizeof *seconds, "times");
    struct penalty penalties[2] = {0};
    struct bench_row *row = bench_add(b, "guard", g->editor.guard->name);
    struct work before = {0}, after = {0};
    bool ok = seconds && row;
    g->edit = (struct edit){.number = edits};
    for (uint32_t i = 0; ok && i <= b->repeat; i++) { // the first one warms up
        ok = basis_set(g, edits) &&
             (job == JOB_HOOKS || g->editor.guard->loss(&g->editor, &g->edit, penalties));
        before = account_total(&b->dev->account);
        double started = log_clock();
        ok = ok && job_run(g, job, penalties);
        seconds[i] = log_clock() - started;
        after = account_total(&b->dev->account);
    }
    if (ok) {
        bench_times(row, seconds + 1, b->repeat);
        snprintf(row->what, sizeof row->what, "%s", what);
        row->rows = dim;
        row->t = edits;
        row->r = edits < dim ? edits : dim;
        row->q = edits < most ? edits : most;
        row->flops = after.flops - before.flops;
        row->bytes = after.bytes - before.bytes;
        row->dispatches = (double)(after.dispatches - before.dispatches);
        row->needed = 4.0 * dim * (row->r + row->q); // once along V and G, there and back
        row->per = 1e9 * row->median / ((double)dim * (row->r + row->q));
    }
    free(seconds);
    return ok;
}

bool bench_guards(struct bench *b, const struct bench_shape *shape)
{
    static const uint32_t counts[] = {1, 10, 100, 500, 1000, 1500};
    static const struct {
        const char *guard, *what;
        enum job job;
    } jobs[] = {{"oedit-plus", "project and commit", JOB_HOOKS},
                {"oedit", "prepare loss and commit", JOB_HOOKS},
                {"oedit", "penalty of one step", JOB_PENALTY}};
    enum { COUNTS = sizeof counts / sizeof *counts };
    for (size_t i = 0; i < b->count; i++) // another shape of this size was measured
        if (b->rows[i].t && b->rows[i].rows == shape->dim) return true;
    bool ok = true;
    for (size_t j = 0; ok && j < sizeof jobs / sizeof *jobs; j++) {
        struct guarded g = {0};
        ok = guarded_open(&g, b, jobs[j].guard, shape->dim, counts[COUNTS - 1]);
        for (size_t i = 0; ok && i < COUNTS; i++)
            ok = job_bench(b, &g, counts[i], jobs[j].job, jobs[j].what);
        guarded_close(&g);
    }
    return ok;
}
