#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/controls.h"
#include "edit/guards.h"
#include "edit/sequence.h"
#include "edit/solvers.h"
#include "edit/stats.h"

bool editor_dot(struct editor *e, fbuf a, fbuf b, uint32_t n, double *result)
{
    float value = 0;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_dot_rows(&cmd, (struct dot_rows_args){.x = a, .w = b, .y = e->scalars->address, .rows = 1,
                                             .cols = n});
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(e->model->dev, e->scalars, 0, &value, sizeof value);
    cmd_free(&cmd);
    *result = (double)value;
    return ok;
}

// A median that follows its input by small steps; outliers do not move it.
static void median_follow(double *median, double value)
{
    if (*median == 0) *median = value;
    *median *= value > *median ? 1.1 : 1 / 1.1;
}

void editor_follow(struct editor *e, const struct edit *edit)
{
    if (edit->noop) return;
    median_follow(&e->medians[0], edit->u_norm * edit->w_norm);
    median_follow(&e->medians[1], edit->k_norm);
}

static bool vectors(struct editor *e)
{
    struct device *dev = e->model->dev;
    uint64_t dim = e->model->config.dim * 4ull, ffn = e->model->config.ffn * 4ull;
    return buffer_new(dev, dim, "delta", &e->delta) && buffer_new(dev, dim, "u", &e->u) &&
           buffer_new(dev, dim, "a value", &e->plain_value) &&
           buffer_new(dev, dim, "a value", &e->right_value) &&
           buffer_new(dev, ffn, "a key", &e->plain_key) &&
           buffer_new(dev, ffn, "a key", &e->left_key) &&
           buffer_new(dev, ffn, "a key", &e->right_key) && buffer_new(dev, ffn, "w", &e->w) &&
           buffer_new(dev, 64, "scalars", &e->scalars);
}

// Directions whose singular value is rounding error mean nothing: they are never used.
static uint32_t meaningful(const float *values, uint32_t dim, uint32_t ffn)
{
    uint32_t count = 0;
    while (count < dim && values[count] > (float)ffn * 6e-8f * values[0]) count++;
    return count;
}

static bool directions(struct editor *e, struct weights *weights, const struct corpus *corpus)
{
    uint32_t dim = e->model->config.dim;
    float *values = mem_new(dim, sizeof *values, "singular values");
    bool ok = values && stats_directions(e->model, weights, corpus, e->hparams.layer,
                                         &e->directions, values);
    if (ok) e->direction_count = meaningful(values, dim, e->model->config.ffn);
    free(values);
    return ok;
}

// Text that nobody gave is dear: sampled, and only as much as gives C full rank with room.
static bool corpus_open(struct editor *e, struct weights *weights,
                        const struct sequence_options *o, struct corpus *corpus)
{
    const struct hparams *h = &e->hparams;
    uint32_t tokens = o->tokens ? o->tokens : o->text ? h->stats_tokens : 2 * e->model->config.ffn;
    if (o->ids) return corpus_from_ids(corpus, o->ids, tokens, h->block);
    if (o->text) return corpus_from_file(corpus, e->tokenizer, o->text, tokens, h->block);
    return corpus_from_model(corpus, e->model, weights, e->tokenizer, tokens, o->seed);
}

// C is factored once; that it can be solved with is known before the first edit.
static bool moment_factor(struct editor *e)
{
    const uint32_t ffn = e->model->config.ffn;
    struct solve_report report = {0};
    if (!factor_new(e->model->dev, e->moment, ffn, e->hparams.ridge, &e->factor) ||
        !factor_check(&e->factor, &e->condition, &report))
        return false;
    log_detail("C [%u, %u] of layer %u: condition about %.2g with ridge %g; solved in %u steps of "
               "refinement, the last of %.1e", ffn, ffn, e->hparams.layer, e->condition,
               e->hparams.ridge, report.steps, report.correction);
    if (e->condition > 1e6)
        log_warn("C of layer %u has a condition of about %.1e, over 1e6: a larger --ridge or more "
                 "text makes edits less sensitive to rounding", e->hparams.layer, e->condition);
    return true;
}

// C over much text, grad G over less of the same.
static bool statistics(struct editor *e, struct weights *weights, const struct sequence_options *o)
{
    const struct hparams *h = &e->hparams;
    struct corpus corpus = {0};
    bool ok = corpus_open(e, weights, o, &corpus);
    corpus.unkept = o->unkept;
    ok = ok && stats_moment(e->model, weights, &corpus, h->layer, &e->moment) &&
         moment_factor(e);
    e->text_id = corpus.id;
    if (ok && e->guard->directions && h->ablate != ABLATE_GRAD) {
        struct corpus part = corpus_part(&corpus, o->text ? h->grad_tokens : corpus.count / 4);
        if (h->grad_source) part = *o->grad;
        if (h->grad_source) e->grad_id = part.id;
        part.unkept = o->unkept;
        ok = directions(e, weights, &part);
    }
    corpus_free(&corpus);
    return ok;
}

bool editor_open(struct editor *e, struct model *model, struct weights *weights,
                 const struct tokenizer *tokenizer, struct sequence_options *o)
{
    *e = (struct editor){.model = model, .tokenizer = tokenizer, .hparams = o->hparams,
                         .solver = solver_find(o->solver), .guard = guard_find(o->guard),
                         .seed = o->seed};
    o->hparams = (struct hparams){0};
    bool ok = e->solver || fail(STATUS_USAGE, "--solver: unknown solver '%s'", o->solver);
    ok = ok && (e->guard || fail(STATUS_USAGE, "--guard: unknown guard '%s'", o->guard));
    if (ok && e->hparams.grad_source && !o->grad)
        ok = fail(STATUS_USAGE, "--grad-source %s: wanted the text that it names",
                  grad_source_names[e->hparams.grad_source]);
    ok = ok && control_settle(&e->hparams, o->guard);
    if (ok && e->hparams.ablate && !e->guard->directions)
        ok = fail(STATUS_USAGE, "--ablate %s: guard %s has nothing to leave out, wanted oedit or "
                                "oedit-plus", ablation_names[e->hparams.ablate], o->guard);
    if (ok && e->hparams.layer >= model->config.layers)
        ok = fail(STATUS_USAGE, "--layer: got %u, the model has layers 0 to %u", e->hparams.layer,
                  model->config.layers - 1);
    const char *before = account_phase(&model->dev->account, "contexts");
    ok = ok && vectors(e) && contexts_new(&e->contexts, model, tokenizer, &e->hparams, o->seed);
    account_phase(&model->dev->account, "statistics");
    ok = ok && statistics(e, weights, o) && model_edit(model, e->hparams.layer) &&
         (!e->guard->start || e->guard->start(e));
    account_phase(&model->dev->account, before);
    if (!ok) editor_close(e);
    return ok;
}

void editor_close(struct editor *e)
{
    if (!e->model) return;
    struct device *dev = e->model->dev;
    if (e->guard && e->guard->stop) e->guard->stop(e);
    factor_free(&e->factor);
    struct buffer **all[] = {&e->moment,      &e->directions, &e->delta,     &e->u, &e->plain_value,
                             &e->right_value, &e->plain_key,  &e->left_key,  &e->right_key, &e->w,
                             &e->scalars};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
    contexts_free(&e->contexts);
    hparams_free(&e->hparams);
    *e = (struct editor){0};
}
