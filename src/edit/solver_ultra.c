// UltraEdit (Gu et al., 2025, arXiv 2505.14679). Of the positions that predict the answer: keys
// h [ffn] and gradients g [dim] at W's output, each column normalised by the mean and deviation of
// all rows so far, this edit's among them. With v = -rate |h^|^2 g^ the update solves
// min |dW H^T - V^T|^2 + |dW|^2, H with the keys as they are: dW = V^T (H H^T + I)^-1 H.
#include "edit/solver_ultra.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/answer.h"
#include "edit/blame.h"
#include "edit/many.h"
#include "io/journal.h"

static const float LEAST = 0x1p-23f; // the paper's small constant, which it gives no value

struct columns { // of keys or gradients, over `seen` rows
    struct buffer *mean, *spread; // spread: sum of squared deviations
    uint32_t count;
};

struct running {
    struct columns keys, grads;
    uint32_t seen;
};

static bool columns_new(struct device *dev, uint32_t count, struct columns *c)
{
    c->count = count;
    if (!buffer_new(dev, 4ull * count, "running means", &c->mean) ||
        !buffer_new(dev, 4ull * count, "running deviations", &c->spread))
        return false;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = c->mean->address, .n = count});
    op_fill(&cmd, (struct fill_args){.y = c->spread->address, .n = count});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static void ultra_stop(struct editor *e)
{
    struct running *r = e->running;
    if (!r) return;
    struct device *dev = e->model->dev;
    buffer_free(dev, &r->keys.mean);
    buffer_free(dev, &r->keys.spread);
    buffer_free(dev, &r->grads.mean);
    buffer_free(dev, &r->grads.spread);
    buffer_free(dev, &e->notes);
    free(r);
    e->running = NULL;
}

static bool ultra_start(struct editor *e)
{
    struct device *dev = e->model->dev;
    struct running *r = e->running = mem_new(1, sizeof *r, "running statistics");
    return r && columns_new(dev, e->model->config.ffn, &r->keys) &&
           columns_new(dev, e->model->config.dim, &r->grads);
}

// Room for n rows of keys and, behind them, of gradients: what a journal keeps of the edit.
static bool notes_room(struct editor *e, uint32_t n)
{
    uint64_t bytes = 4ull * n * (e->model->config.dim + e->model->config.ffn);
    if (e->notes && e->notes->wanted >= bytes) return true;
    buffer_free(e->model->dev, &e->notes);
    return buffer_new(e->model->dev, bytes, "keys and gradients", &e->notes);
}

static fbuf keys_of(const struct editor *e)
{
    return e->notes->address;
}

static fbuf grads_of(const struct editor *e, uint32_t n)
{
    return e->notes->address + 4ull * n * e->model->config.ffn;
}

static void learn(struct cmd *cmd, const struct columns *c, fbuf x, uint32_t n, uint32_t seen)
{
    op_running_stats(cmd, (struct running_stats_args){.x = x, .mean = c->mean->address,
                                                      .spread = c->spread->address, .rows = n,
                                                      .cols = c->count, .before = (float)seen});
}

// The statistics with the n rows of the notes.
static bool follow(struct editor *e, uint32_t n)
{
    struct running *r = e->running;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    learn(&cmd, &r->keys, keys_of(e), n, r->seen);
    learn(&cmd, &r->grads, grads_of(e, n), n, r->seen);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    r->seen += n;
    return ok;
}

static void normalise(struct cmd *cmd, const struct editor *e, const struct columns *c, fbuf x,
                      fbuf factor, float alpha, fbuf y, uint32_t n)
{
    const uint32_t seen = e->running->seen;
    op_normalise_rows(cmd, (struct normalise_rows_args){
                               .x = x, .mean = c->mean->address, .spread = c->spread->address,
                               .factor = factor, .y = y, .rows = n, .cols = c->count,
                               .over = seen > 1 ? (float)(seen - 1) : 1, .least = LEAST,
                               .alpha = alpha});
}

struct solve { // of n rows
    struct buffer *gram, *inverse, *unit; // H H^T, (H H^T + I)^-1 in rows `stride` apart, I
    struct buffer *hat, *factor, *value;  // keys normalised [n, ffn], |h^|^2 [n], V [n, dim]
    struct factor cholesky;
    uint32_t n, stride;
};

static void solve_free(struct device *dev, struct solve *s)
{
    factor_free(&s->cholesky);
    struct buffer **all[] = {&s->gram, &s->inverse, &s->unit, &s->hat, &s->factor, &s->value};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
}

static bool solve_new(const struct editor *e, uint32_t n, struct solve *s)
{
    struct device *dev = e->model->dev;
    *s = (struct solve){.n = n, .stride = CEIL(n, 4) * 4}; // rows begin on 16 bytes
    const uint64_t square = (uint64_t)s->stride * n;
    float *unit = mem_new(square, sizeof *unit, "unit vectors");
    for (uint32_t i = 0; unit && i < n; i++) unit[(uint64_t)i * s->stride + i] = 1;
    bool ok = unit && buffer_from(dev, unit, 4 * square, "unit vectors", &s->unit) &&
              buffer_new(dev, 4ull * n * n, "products of keys", &s->gram) &&
              buffer_new(dev, 4 * square, "an inverse", &s->inverse) &&
              buffer_new(dev, 4ull * n * e->model->config.ffn, "keys", &s->hat) &&
              buffer_new(dev, 4ull * n, "lengths", &s->factor) &&
              buffer_new(dev, 4ull * n * e->model->config.dim, "values", &s->value);
    free(unit);
    return ok;
}

// (H H^T + I)^-1: the factor's ridge counts in means of the diagonal.
static bool invert(const struct editor *e, const struct edit *edit, struct solve *s)
{
    struct device *dev = e->model->dev;
    float *diagonal = mem_new((uint64_t)s->n * s->n, sizeof *diagonal, "products of keys");
    double mean = 0;
    bool ok = diagonal && buffer_read(dev, s->gram, 0, diagonal, 4ull * s->n * s->n);
    for (uint32_t i = 0; ok && i < s->n; i++) mean += (double)diagonal[i * (s->n + 1)] / s->n;
    free(diagonal);
    if (ok && !(mean > 0 && isfinite(mean))) {
        char who[WHO_BYTES];
        edit_who(edit, who);
        ok = fail(STATUS_BAD_DATA, "%s: the keys of layer %u have the mean square %g, wanted a "
                                   "finite one over 0", who, e->site->layer, mean);
    }
    ok = ok && factor_new(dev, s->gram, s->n, 1 / mean, &s->cholesky);
    for (uint32_t i = 0; ok && i < s->n; i++) {
        const uint64_t row = 4ull * i * s->stride;
        ok = factor_solve(&s->cholesky, s->unit->address + row, s->inverse->address + row, NULL);
    }
    return ok;
}

// editor->us, ws: dW = sum_i u_i h_i^T, U = (H H^T + I)^-1 V.
static bool pairs_make(struct editor *e, struct edit *edit, uint32_t n)
{
    const struct config *c = &e->model->config;
    const struct running *r = e->running;
    struct matrix keys = matrix_of(keys_of(e), n, c->ffn);
    struct solve s;
    bool ok = solve_new(e, n, &s) && many_room(e, n);
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    if (ok) {
        fbuf hat = s.hat->address, factor = s.factor->address;
        normalise(&cmd, e, &r->keys, keys.data, factor, 0, hat, n);
        op_dot_rows(&cmd, (struct dot_rows_args){.x = hat, .w = hat, .y = factor, .rows = n,
                                                 .cols = c->ffn, .w_step = c->ffn});
        normalise(&cmd, e, &r->grads, grads_of(e, n), factor, -(float)e->hparams.rate,
                  s.value->address, n);
        gemm_nt(&cmd, keys, keys, matrix_of(s.gram->address, n, n), 1, 0);
        ok = cmd_run_once(&cmd) && invert(e, edit, &s);
    }
    cmd_free(&cmd);
    cmd_start(&cmd, e->model->dev, false);
    if (ok) {
        gemm_nn(&cmd, (struct matrix){s.inverse->address, n, n, s.stride},
                matrix_of(s.value->address, n, c->dim), matrix_of(e->us->address, n, c->dim), 1, 0);
        op_axpby(&cmd, (struct axpby_args){.x = keys.data, .y = e->ws->address,
                                           .n = n * c->ffn, .alpha = 1});
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    solve_free(e->model->dev, &s);
    return ok;
}

// One look: keys and gradients where the answer is predicted, to the notes.
static bool gather(struct editor *e, struct edit *edit, uint32_t *n)
{
    const struct config *c = &e->model->config;
    struct answer a = {0};
    struct cmd cmd = {0};
    double loss = 0;
    bool ok = answer_new(&a, e, edit) && notes_room(e, a.losses);
    if (ok) {
        fbuf index = a.head.index->address;
        cmd_start(&cmd, e->model->dev, false);
        answer_record(&cmd, &a, 0);
        op_gather_rows(&cmd, (struct gather_rows_args){.x = a.key, .index = index,
                                                       .y = keys_of(e), .rows = a.losses,
                                                       .cols = c->ffn});
        op_gather_rows(&cmd, (struct gather_rows_args){.x = a.grads.stream->address,
                                                       .index = index, .y = grads_of(e, a.losses),
                                                       .rows = a.losses, .cols = c->dim});
        ok = cmd_run_once(&cmd) && answer_loss(&a, &loss);
    }
    cmd_free(&cmd);
    *n = a.losses;
    answer_free(&a);
    edit->trace[0] = (struct trace){.total = (float)loss, .nll = (float)loss};
    edit->steps = 1;
    if (!ok || isfinite(loss)) return ok;
    char who[WHO_BYTES];
    edit_who(edit, who);
    return fail(STATUS_BAD_DATA, "%s: the loss is %g, wanted a finite one", who, loss);
}

static bool ultra_make(struct editor *e, struct edit *edit)
{
    uint32_t n = 0;
    if (!gather(e, edit, &n) || !follow(e, n)) return false;
    edit->rank = n;
    edit->realised = 1;
    edit->note_count = n * (e->model->config.dim + e->model->config.ffn);
    if (e->running->seen == 1)
        edit->why = "one row alone has no deviation: the next edits have more to compare with";
    return pairs_make(e, edit, n);
}

static bool ultra_replay(struct editor *e, const struct journal_edit *record)
{
    const uint32_t each = e->model->config.dim + e->model->config.ffn;
    const uint32_t n = record->note_count / each;
    if (n == 0 || record->note_count % each != 0)
        return fail(STATUS_BAD_DATA, "edit %u of the journal has %u numbers of keys and gradients, "
                                     "wanted a multiple of %u", record->number,
                    record->note_count, each);
    return notes_room(e, n) &&
           buffer_write(e->model->dev, e->notes, 0, record->notes, 4ull * record->note_count) &&
           follow(e, n);
}

const struct solver solver_ultra = {
    .name = "ultraedit", .cite = "UltraEdit, arXiv 2505.14679", .start = ultra_start,
    .make = ultra_make, .replay = ultra_replay, .stop = ultra_stop,
};
