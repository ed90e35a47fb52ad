#include "edit/sequence.h"

#include <math.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/blame.h"
#include "edit/choose.h"
#include "edit/many.h"
#include "edit/memory.h"
#include "edit/update.h"
#include "edit/value.h"

// Weights of the prompts' keys (O-Edit Eq. 4; METHOD 1.2). count: prompts without the KL prompt.
static void key_weights(enum key_mean mean, uint32_t count, float *weights)
{
    for (uint32_t i = 0; i < count; i++) {
        if (mean == KEY_PLAIN || count == 1)
            weights[i] = i == 0;
        else if (mean == KEY_MEAN)
            weights[i] = 1 / (float)count;
        else
            weights[i] = i == 0 ? 0.5f : 0.5f / (float)(count - 1);
    }
}

bool key_make(const struct model *model, const struct edit *edit, enum key_mean mean, fbuf y)
{
    struct device *dev = model->dev;
    const struct prompts *p = edit->prompts;
    uint32_t count = p->count - 1, row = edit->first;
    uint32_t *index = mem_new(count, sizeof *index, "lookups");
    float *weights = mem_new(count, sizeof *weights, "lookups");
    struct buffer *index_buffer = NULL, *weight_buffer = NULL;
    bool ok = index && weights;
    for (uint32_t i = 0; ok && i < count; i++) {
        index[i] = row + p->items[i].lookup;
        row += p->items[i].count;
    }
    if (ok) key_weights(mean, count, weights);
    ok = ok && buffer_from(dev, index, count * sizeof *index, "lookups", &index_buffer) &&
         buffer_from(dev, weights, count * sizeof *weights, "lookups", &weight_buffer);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_sum_rows(&cmd, (struct sum_rows_args){.x = edit->prepared->key->address,
                                                 .index = index_buffer->address,
                                                 .weight = weight_buffer->address, .y = y,
                                                 .count = count, .cols = model->config.ffn});
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    buffer_free(dev, &index_buffer);
    buffer_free(dev, &weight_buffer);
    free(index);
    free(weights);
    return ok;
}

// k* in its places, W k of the plain prompt and of k_right, and their lengths.
static bool keys_find(struct editor *e, struct edit *edit)
{
    const struct weight down = e->model->layers[e->site->layer].down;
    double v0 = 0, key = 0;
    edit->left = e->solver->left;
    edit->right = e->solver->right;
    if (e->guard->key) e->guard->key(edit);
    if (!key_make(e->model, edit, KEY_PLAIN, e->plain_key->address) ||
        !key_make(e->model, edit, edit->left, e->left_key->address) ||
        !key_make(e->model, edit, edit->right, e->right_key->address))
        return false;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    gemm_forward(&cmd, e->plain_key->address, down, 0, e->plain_value->address, 1);
    gemm_forward(&cmd, e->right_key->address, down, 0, e->right_value->address, 1);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    ok = ok && editor_dot(e, e->plain_value->address, e->plain_value->address,
                          e->model->config.dim, &v0) &&
         editor_dot(e, e->plain_key->address, e->plain_key->address, e->model->config.ffn, &key);
    edit->v0 = sqrt(v0);
    edit->k_norm = sqrt(key);
    edit->faulty = ok && !(isfinite(edit->v0) && isfinite(edit->k_norm));
    if (!ok || edit->faulty || (edit->v0 > 0 && edit->k_norm > 0)) return ok;
    char who[WHO_BYTES];
    edit_who(edit, who);
    return fail(STATUS_BAD_DATA, "%s: |%s| of layer %u is %g, wanted more than 0", who,
                edit->k_norm > 0 ? "W k*" : "k*", e->site->layer,
                edit->k_norm > 0 ? edit->v0 : edit->k_norm);
}

// W <- W + u w^T (O-Edit Eq. 11).
static bool apply(struct editor *e, struct edit *edit)
{
    const struct config *c = &e->model->config;
    double u = 0, w = 0;
    if (!editor_dot(e, e->u->address, e->u->address, c->dim, &u) ||
        !editor_dot(e, e->w->address, e->w->address, c->ffn, &w))
        return false;
    edit->u_norm = sqrt(u);
    edit->w_norm = sqrt(w);
    if (!isfinite(u) || !isfinite(w)) {
        char who[WHO_BYTES];
        edit_who(edit, who);
        return fail(STATUS_BAD_DATA, "%s: the update has lengths %g and %g, wanted finite ones",
                    who, edit->u_norm, edit->w_norm);
    }
    if (edit->u_norm == 0) edit->noop = true;
    return edit->noop || update_edit(e->model->dev, &e->mask, edit->number, e->u->address,
                                     e->w->address, e->site->matrix->address, c->dim, c->ffn);
}

// METHOD 2: no edit that changes nothing passes in silence.
static void warn_noop(const struct editor *e, const struct edit *edit)
{
    const struct trace *first = &edit->trace[0];
    char who[WHO_BYTES];
    edit_who(edit, who);
    if (edit->why)
        log_warn("%s: %s; the model is not changed", who, edit->why);
    else if (edit->u_norm > 0 || edit->kept < 1)
        log_warn("%s: nothing is left of the update after projection; the model is not changed "
                 "(r = %u, q = %u of %u dimensions)", who, edit->r, edit->q, e->model->config.dim);
    else if ((double)first->total < e->hparams.stop)
        log_warn("%s: the loss is %.3g before anything is changed, under --stop %g: the model "
                 "answers so already and is not changed", who, (double)first->total,
                 e->hparams.stop);
    else
        log_warn("%s: the loss of %.3g does not depend on layer %u at the subject: the model is "
                 "not changed", who, (double)first->total, e->site->layer);
}

// METHOD 2: an edit whose key is the attention sink's disables the model; say so.
static void warn(struct editor *e, const struct edit *edit)
{
    double norm = edit->u_norm * edit->w_norm;
    long long id = (long long)edit->request->id;
    const struct trace *first = &edit->trace[0], *taken = &edit->trace[edit->chosen];
    if (edit->noop)
        warn_noop(e, edit);
    else if (edit->kept < 0.1)
        log_warn("edit %u (request %lld): the projection keeps only %.3f of the update",
                 edit->number, id, edit->kept);
    if (edit->number > 3 && (norm > 6 * e->medians[0] || edit->k_norm > 6 * e->medians[1]))
        log_warn("edit %u (request %lld): |dW| = %.3g, |k| = %.3g stand out (typical %.3g, %.3g); "
                 "a subject that is an attention sink disables the model", edit->number, id, norm,
                 edit->k_norm, e->medians[0], e->medians[1]);
    if (!edit->noop && taken->nll > first->nll)
        log_warn("edit %u (request %lld): the target's loss rose from %.3g to %.3g in %u steps; "
                 "take a smaller --rate than %g", edit->number, id, (double)first->nll,
                 (double)taken->nll, edit->steps, e->hparams.rate);
    editor_follow(e, edit);
}

// Names what comes next in the account of time and work; always true.
static bool phase(struct editor *e, const char *name)
{
    account_phase(&e->model->dev->account, name);
    return true;
}

// Keys and value at the site at work.
static bool search(struct editor *e, struct edit *edit, struct penalty penalties[2])
{
    const struct guard *guard = e->guard;
    return phase(e, "keys") && keys_find(e, edit) && phase(e, "guard") &&
           (edit->faulty || !guard->loss || guard->loss(e, edit, penalties)) &&
           (edit->faulty || value_find(e, edit, penalties));
}

// The update by way of keys and a value.
static bool update_find(struct editor *e, struct edit *edit)
{
    struct penalty penalties[2] = {0};
    bool ok = e->site_count > 1 ? choose(e, edit, penalties, search)
                                : search(e, edit, penalties);
    if (ok && edit->faulty) return edit_blame(e, edit, penalties);
    return ok && phase(e, "solve") && e->solver->solve(e, edit);
}

static bool edit_one(struct editor *e, struct edit *edit)
{
    double started = log_clock();
    const struct guard *guard = e->guard;
    edit->kept = 1;
    edit->rank = 1;
    bool ok = e->solver->make ? phase(e, "steps") && e->solver->make(e, edit)
                              : update_find(e, edit);
    bool many = edit->rank != 1 || e->solver->make;
    ok = ok && phase(e, "guard") &&
         (!guard->project || (many ? many_project(e, edit) : guard->project(e, edit))) &&
         phase(e, "update") && (many ? many_apply(e, edit) : apply(e, edit)) && phase(e, "guard") &&
         (edit->noop || !guard->commit ||
          (many ? many_commit(e, edit) : guard->commit(e, edit))) &&
         memory_keep(e, edit);
    if (!ok) return false;
    edit->milliseconds = 1e3 * (log_clock() - started);
    warn(e, edit);
    e->edits++;
    e->site->edits += !edit->noop;
    return true;
}

static bool run_prepared(struct editor *e, const struct request *requests,
                         const struct prompts *prompts, const struct prepared *prepared,
                         uint32_t from, uint32_t count, edit_done done, void *user,
                         struct progress *bar)
{
    struct trace *trace = mem_new((size_t)e->hparams.steps + 1, sizeof *trace, "a trace");
    bool ok = trace != NULL;
    for (uint32_t i = from; ok && i < count; i++) {
        struct edit edit = {.request = &requests[i], .prompts = &prompts[i],
                            .prepared = prepared, .first = prepared->first[i],
                            .number = e->edits + 1, .trace = trace};
        ok = interrupt_check() && edit_one(e, &edit) && phase(e, "report") &&
             (!done || done(user, e, &edit));
        progress_step(bar, 1);
    }
    free(trace);
    return ok;
}

// What lies below a single edited layer is the same in every run; with several it is not.
static bool prepare_sites(const struct editor *e, const struct prompts *prompts, uint32_t count,
                          struct prepared prepared[static LAYERS_MAX])
{
    uint32_t layers[LAYERS_MAX];
    if (e->site_count == 1)
        return shelf_prepare(e->shelf, prepared, e->model, prompts, count, e->site->layer);
    for (uint32_t i = 0; i < e->site_count; i++) layers[i] = e->sites[i].layer;
    return prepare(prepared, e->model, prompts, count, layers, e->site_count);
}

bool sequence_run(struct editor *e, const struct request *requests, uint32_t count,
                  edit_done done, void *user)
{
    const char *before = account_phase(&e->model->dev->account, "prompts");
    struct prompts *prompts = mem_new(count, sizeof *prompts, "prompts");
    bool ok = prompts != NULL;
    // All requests are looked at before the first edit: bad input loses nothing.
    for (uint32_t i = 0; ok && i < count; i++)
        ok = prompts_new(&prompts[i], e->tokenizer, &requests[i], e->contexts.texts,
                         e->contexts.count);
    struct progress bar;
    uint32_t over = e->done_before < count ? e->done_before : count;
    e->done_before = 0;
    progress_start(&bar, "editing", "edit", count - over);
    // Batches are what they would be had nothing been done before: their size is in the bits.
    for (uint32_t i = 0, taken; ok && i < count; i += taken) {
        struct prepared prepared[LAYERS_MAX] = {0};
        uint32_t from = over > i ? over - i : 0;
        // An edit changes what layers above it see: with several, nothing can be done ahead.
        taken = e->site_count > 1 ? 1 : prepare_count(prompts + i, count - i);
        if (from >= taken) continue;
        ok = phase(e, "prepare") && prepare_sites(e, prompts + i, taken, prepared) &&
             run_prepared(e, requests + i, prompts + i, prepared, from, taken, done, user, &bar);
        for (uint32_t k = 0; k < e->site_count; k++) prepared_free(&prepared[k]);
    }
    progress_end(&bar);
    for (uint32_t i = 0; prompts && i < count; i++) prompts_free(&prompts[i]);
    free(prompts);
    account_phase(&e->model->dev->account, before);
    return ok;
}
