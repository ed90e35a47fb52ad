#include "edit/choose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "edit/blame.h"

// What a search leaves in the editor.
static void vectors(struct editor *e, struct buffer **all[static EDIT_VECTORS])
{
    all[0] = &e->delta;
    all[1] = &e->plain_value;
    all[2] = &e->right_value;
    all[3] = &e->plain_key;
    all[4] = &e->left_key;
    all[5] = &e->right_key;
}

bool choose_new(struct editor *e)
{
    const uint64_t dim = e->model->config.dim * 4ull, ffn = e->model->config.ffn * 4ull;
    bool ok = true;
    if (e->site_count < 2) return true;
    for (uint32_t i = 0; ok && i < EDIT_VECTORS; i++)
        ok = buffer_new(e->model->dev, i < 3 ? dim : ffn, "the best layer's vectors", &e->best[i]);
    e->candidates = ok ? mem_new(e->site_count, sizeof *e->candidates, "candidates") : NULL;
    return e->candidates != NULL;
}

void choose_free(struct editor *e)
{
    for (uint32_t i = 0; i < EDIT_VECTORS; i++) buffer_free(e->model->dev, &e->best[i]);
    free(e->candidates);
    e->candidates = NULL;
}

static void exchange(struct editor *e)
{
    struct buffer **all[EDIT_VECTORS];
    vectors(e, all);
    for (uint32_t i = 0; i < EDIT_VECTORS; i++) {
        struct buffer *other = e->best[i];
        e->best[i] = *all[i];
        *all[i] = other;
    }
}

// |W|_F^2 of the site at work; u, which the solver fills later, is the scratch.
static bool frobenius(struct editor *e, double *square)
{
    const struct config *c = &e->model->config;
    struct device *dev = e->model->dev;
    fbuf w = e->site->matrix->address;
    float *rows = mem_new(c->dim, sizeof *rows, "row sums");
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_dot_rows(&cmd, (struct dot_rows_args){.x = w, .w = w, .y = e->u->address, .rows = c->dim,
                                             .cols = c->ffn, .w_step = c->ffn});
    bool ok = rows && cmd_run_once(&cmd) && buffer_read(dev, e->u, 0, rows, c->dim * sizeof *rows);
    cmd_free(&cmd);
    *square = 0;
    for (uint32_t i = 0; ok && i < c->dim; i++) *square += (double)rows[i];
    free(rows);
    return ok;
}

// How willingly a candidate is taken: those without a score come last.
enum rank { RANK_RIGHT, RANK_STILL, RANK_FAULTY, RANK_NONE };

static bool score(struct editor *e, const struct edit *edit, struct candidate *c, enum rank *rank)
{
    double w = 0, k = 0;
    *c = (struct candidate){.layer = e->site->layer, .score = NAN, .length = edit->length};
    *rank = RANK_FAULTY;
    if (!frobenius(e, &w) || !editor_dot(e, e->right_key->address, e->right_key->address,
                                         e->model->config.ffn, &k))
        return false;
    c->w_norm = sqrt(w);
    c->k_norm = sqrt(k);
    if (edit->faulty) return true;
    // A delta of nothing is a right one only if nothing was to be done.
    *rank = RANK_STILL;
    if (edit->length == 0 && !((double)edit->trace[0].total < e->hparams.stop)) return true;
    c->score = edit->length * edit->length * w / k;
    *rank = isfinite(c->score) ? RANK_RIGHT : RANK_FAULTY;
    return true;
}

static void warn_faulty(const struct editor *e, const struct edit *edit)
{
    char who[WHO_BYTES];
    edit_who(edit, who);
    log_warn("%s: a value at layer %u is not finite: the layer is left out", who, e->site->layer);
}

bool choose(struct editor *e, struct edit *edit, struct penalty penalties[2], edit_search search)
{
    struct trace *trace = mem_new(e->hparams.steps, sizeof *trace, "a trace");
    enum rank best_rank = RANK_NONE, rank;
    struct edit best = *edit;
    uint32_t chosen = 0;
    bool ok = trace != NULL;
    for (uint32_t i = 0; ok && i < e->site_count; i++) {
        struct penalty own[2] = {0};
        struct edit one = *edit;
        one.prepared = edit->prepared + i;
        one.trace = trace;
        e->site = &e->sites[i];
        ok = search(e, &one, own) && score(e, &one, &e->candidates[i], &rank);
        if (!ok) break;
        if (rank == RANK_FAULTY) warn_faulty(e, &one);
        if (rank > best_rank || (rank == best_rank && !(e->candidates[i].score <
                                                        e->candidates[chosen].score)))
            continue;
        chosen = i;
        best_rank = rank;
        best = one;
        best.trace = edit->trace;
        memcpy(best.trace, trace, one.steps * sizeof *trace);
        memcpy(penalties, own, sizeof own);
        exchange(e);
    }
    free(trace);
    if (!ok) return false;
    exchange(e);
    *edit = best;
    edit->candidates = e->candidates;
    edit->candidate_count = e->site_count;
    e->site = &e->sites[chosen];
    return true;
}
