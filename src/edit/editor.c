#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/choose.h"
#include "edit/controls.h"
#include "edit/guards.h"
#include "edit/memory.h"
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

// C over much text, grad G over less of the same; of every layer before any is changed.
static bool statistics(struct editor *e, struct weights *weights, const struct sequence_options *o)
{
    struct corpus corpus = {0};
    if (e->solver->make && !e->guard->directions) return true; // needs neither C nor grad G
    bool ok = corpus_open(e, weights, o, &corpus);
    corpus.unkept = o->unkept;
    struct corpus part = {0};
    const bool directions = e->guard->directions && e->hparams.ablate != ABLATE_GRAD;
    if (ok) part = corpus_part(&corpus, o->text ? e->hparams.grad_tokens : corpus.count / 4);
    if (ok && directions && e->hparams.grad_source) {
        part = *o->grad;
        part.unkept = o->unkept;
        e->grad_id = part.id;
    }
    uint32_t layers[LAYERS_MAX];
    for (uint32_t i = 0; i < e->site_count; i++) layers[i] = e->sites[i].layer;
    ok = ok && (e->solver->make ||
                stats_moments(e->model, weights, &corpus, layers, e->site_count));
    for (uint32_t i = 0; ok && i < e->site_count; i++)
        ok = site_measure(&e->sites[i], e->model, weights, &e->hparams, e->solver->null_space,
                          e->solver->make ? NULL : &corpus, directions ? &part : NULL);
    e->text_id = corpus.id;
    corpus_free(&corpus);
    return ok;
}

static bool sites_new(struct editor *e)
{
    const struct hparams *h = &e->hparams;
    uint32_t count = h->layer_count ? h->layer_count : 1;
    e->sites = e->site = mem_new(count, sizeof *e->sites, "edited layers");
    if (!e->sites) return false;
    if (e->guard->several && count < 2)
        return fail(STATUS_USAGE, "--guard %s: got one layer, wanted several to choose from, as "
                                  "--layers 5-10", e->guard->name);
    e->site_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct site *site = &e->sites[i];
        site->layer = h->layer_count ? h->layers[i] : h->layer;
        if (site->layer >= e->model->config.layers)
            return fail(STATUS_USAGE, "%s: got %u, the model has layers 0 to %u",
                        h->layer_count ? "--layers" : "--layer", site->layer,
                        e->model->config.layers - 1);
    }
    return true;
}

// Makes the matrices writable and lets the guard begin.
static bool sites_start(struct editor *e)
{
    bool ok = true;
    for (uint32_t i = e->site_count; ok && i-- > 0;) {
        e->site = &e->sites[i];
        ok = model_edit(e->model, e->site->layer);
        e->site->matrix = e->model->layers[e->site->layer].edited;
        ok = ok && (!e->solver->start || e->solver->start(e)) &&
             (!e->guard->start || e->guard->start(e));
    }
    return ok;
}

// A guard works on a value's optimisation or on pairs; a solver has to have them.
static bool axes_fit(const struct editor *e)
{
    const struct solver *s = e->solver;
    const struct guard *g = e->guard;
    if (s->make && (g->key || g->loss))
        return fail(STATUS_USAGE, "--guard %s changes %s, which solver %s has not", g->name,
                    g->key ? "k*" : "the optimisation of v*", s->name);
    if (s->dense && (g->project || g->commit))
        return fail(STATUS_USAGE, "--guard %s projects pairs, the updates of solver %s are dense",
                    g->name, s->name);
    if (s->make && e->site_count > 1)
        return fail(STATUS_USAGE, "--layers: layers are chosen by v*, which solver %s has not",
                    s->name);
    return true;
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
    ok = ok && sites_new(e) && axes_fit(e) && memory_start(e);
    const char *before = account_phase(&model->dev->account, "contexts");
    ok = ok && vectors(e) && choose_new(e) &&
         contexts_new(&e->contexts, model, tokenizer, &e->hparams, o->seed);
    account_phase(&model->dev->account, "statistics");
    ok = ok && statistics(e, weights, o) && sites_start(e);
    account_phase(&model->dev->account, before);
    if (!ok) editor_close(e);
    return ok;
}

void editor_close(struct editor *e)
{
    if (!e->model) return;
    struct device *dev = e->model->dev;
    for (uint32_t i = 0; i < e->site_count; i++) {
        e->site = &e->sites[i];
        if (e->guard && e->guard->stop) e->guard->stop(e);
        if (e->solver && e->solver->stop) e->solver->stop(e);
        site_free(e->site, dev);
    }
    choose_free(e);
    memory_stop(e);
    struct buffer **all[] = {&e->delta,     &e->u,        &e->plain_value, &e->right_value,
                             &e->plain_key, &e->left_key, &e->right_key,   &e->w,
                             &e->scalars,   &e->us,       &e->ws};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
    free(e->sites);
    contexts_free(&e->contexts);
    hparams_free(&e->hparams);
    *e = (struct editor){0};
}
