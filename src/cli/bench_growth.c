#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/bench_edits.h"
#include "cli/bench_time.h"

enum { STEPS = 2 }; // enough to see what one takes

// One step with the editor as it is now; `steps` of the first run has compiling in it.
static bool step_bench(struct edits *e, const char *what)
{
    struct bench *b = e->bench;
    struct account before, after;
    double *seconds = mem_new(b->repeat_edits, sizeof *seconds, "times");
    struct bench_row *row = bench_add(b, "growth", e->name);
    bool ok = seconds && row && edits_need(e) && edits_run(e, &before, &after);
    for (uint32_t i = 0; ok && i < b->repeat_edits; i++) {
        ok = edits_run(e, &before, &after);
        seconds[i] = edits_phase(e, &before, &after, "steps", row) / STEPS;
    }
    if (ok) {
        bench_times(row, seconds, b->repeat_edits);
        row->model = b->model;
        row->rows = e->need.behind / (uint32_t)e->data.count;
        row->flops /= STEPS;
        row->bytes /= STEPS;
        row->dispatches /= STEPS;
        row->needed = e->need.step;
        row->units = 1;
        row->unit = "steps";
        snprintf(row->what, sizeof row->what, "%s", what);
    }
    free(seconds);
    return ok;
}

static bool contexts_bench(struct edits *e)
{
    static const uint32_t counts[] = {0, 1, 5, 10, 20};
    struct editor *editor = &e->editor;
    const uint32_t given = editor->hparams.context_text_count;
    bool ok = true;
    editor->hparams.context_text_count = 0; // sampled ones, as many as wanted
    for (size_t i = 0; ok && i < sizeof counts / sizeof *counts; i++) {
        char what[80];
        editor->hparams.contexts = counts[i];
        contexts_free(&editor->contexts);
        snprintf(what, sizeof what, "%u prompts, layer %u", counts[i] + 2, editor->site->layer);
        ok = contexts_new(&editor->contexts, editor->model, editor->tokenizer, &editor->hparams,
                          e->bench->args->seed) &&
             step_bench(e, what);
    }
    editor->hparams.context_text_count = given;
    return ok;
}

// Any layer's step can be measured: the optimisation does not change the matrix.
static bool layers_bench(struct edits *e)
{
    struct editor *editor = &e->editor;
    const uint32_t layers = editor->model->config.layers, own = editor->site->layer;
    bool ok = true;
    for (uint32_t i = 0; ok && i < 4; i++) {
        char what[80];
        editor->site->layer = i * (layers - 1) / 4;
        snprintf(what, sizeof what, "%u prompts, layer %u", editor->contexts.count + 2,
                 editor->site->layer);
        ok = step_bench(e, what);
    }
    editor->site->layer = own;
    return ok;
}

bool bench_growth(struct bench *b)
{
    struct edits e = {0};
    bool ok = edits_open(&e, b, "memit");
    e.editor.hparams.steps = STEPS;
    e.editor.hparams.stop = 0;
    ok = ok && layers_bench(&e) && contexts_bench(&e);
    edits_close(&e);
    return ok;
}
