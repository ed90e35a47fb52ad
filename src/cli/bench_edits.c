#include "cli/bench_edits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/settings.h"
#include "edit/sequence.h"

enum { TOKENS = 256 };

static bool requests_open(struct edits *e, const struct args *args)
{
    struct dataset_options some = {.skip = (size_t)args->skip, .limit = args->n ? args->n : 1};
    if (args->requests) return dataset_open(&e->data, args->requests, some);
    return dataset_from_strings(&e->data, "The capital of France is", "France", "Rome");
}

bool edits_open(struct edits *e, struct bench *b, const char *solver)
{
    struct args args = *b->args;
    args.solver = strcmp(solver, "rome") == 0;
    struct sequence_options options = {.solver = solver, .guard = settings_guard(&args),
                                       .text = args.text, .tokens = args.tokens,
                                       .seed = args.seed};
    // The speed of an edit does not depend on what is in C: without a text, any tokens will do.
    uint32_t *ids = args.text ? NULL : bench_tokens(b, TOKENS);
    if (!args.text && !ids) return false;
    if (ids) options.tokens = TOKENS;
    if (ids && isnan(args.ridge)) args.ridge = 0.05f;
    options.ids = ids;
    *e = (struct edits){.bench = b};
    bool guarded = strcmp(options.guard, "none") != 0;
    snprintf(e->name, sizeof e->name, "%s%s%s", solver, guarded ? " " : "",
             guarded ? options.guard : "");
    bool ok = requests_open(e, &args) &&
              settings_open(&options.hparams, &args, &b->opened.model.config) &&
              editor_open(&e->editor, &b->opened.model, &b->opened.weights, &b->opened.tokenizer,
                          &options) &&
              edits_need(e);
    hparams_free(&options.hparams);
    free(ids);
    if (!ok) edits_close(e);
    return ok;
}

void edits_close(struct edits *e)
{
    editor_close(&e->editor);
    dataset_free(&e->data);
}

static void need_add(struct bench_need *sum, const struct bench_need *n, double part)
{
    sum->rows += n->rows;
    sum->before += n->before;
    sum->behind += n->behind;
    sum->heads += n->heads;
    sum->prepare += part * n->prepare;
    sum->keys += part * n->keys;
    sum->prefix += part * n->prefix;
    sum->step += part * n->step;
    sum->solve += part * n->solve;
    sum->update += part * n->update;
}

bool edits_need(struct edits *e)
{
    const struct editor *editor = &e->editor;
    e->need = (struct bench_need){0};
    for (size_t i = 0; i < e->data.count; i++) {
        struct prompts p;
        if (!prompts_new(&p, editor->tokenizer, &e->data.requests[i], editor->contexts.texts,
                         editor->contexts.count))
            return false;
        struct bench_need n = bench_need_of(&editor->model->config, editor->site->layer, &p);
        need_add(&e->need, &n, 1 / (double)e->data.count);
        prompts_free(&p);
    }
    return true;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    struct edits *e = user;
    (void)editor;
    e->steps += edit->steps;
    return true;
}

// Everything as before the first edit.
static bool undo(struct edits *e)
{
    struct editor *editor = &e->editor;
    const struct guard *guard = editor->guard;
    editor->edits = 0;
    if (guard->stop) guard->stop(editor);
    return (!guard->start || guard->start(editor)) && model_restore(editor->model);
}

bool edits_run(struct edits *e, struct account *before, struct account *after)
{
    struct account *account = &e->bench->dev->account;
    e->steps = 0;
    account_flush(account);
    *before = *account;
    bool ok = sequence_run(&e->editor, e->data.requests, (uint32_t)e->data.count, on_edit, e);
    account_flush(account);
    *after = *account;
    return ok && undo(e);
}

double edits_phase(const struct edits *e, const struct account *before,
                   const struct account *after, const char *phase, struct bench_row *row)
{
    struct phase a = account_find(before, phase), z = account_find(after, phase);
    double count = (double)e->data.count;
    row->flops = (z.work.flops - a.work.flops) / count;
    row->bytes = (z.work.bytes - a.work.bytes) / count;
    row->dispatches = (double)(z.work.dispatches - a.work.dispatches) / count;
    return (phase_seconds(&z) - phase_seconds(&a)) / count;
}
