#include "cli/layer_trials.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/settings.h"
#include "edit/finish.h"
#include "edit/layers.h"
#include "eval/measures.h"

// What the trials of one layer need, and share with those of others.
struct at_layer {
    struct layer_trials *t;
    struct opened *o;
    const struct args *args;
    const struct dataset *data;
    struct measures measures;
    struct exam exam;
    struct marks marks;
    struct contexts contexts; // sampled once: they do not depend on the layer
    struct progress bar;
    uint32_t layer, record;
};

static bool layer_trials_new(struct layer_trials *t, uint32_t layers, uint32_t records)
{
    *t = (struct layer_trials){.layers = layers, .records = records};
    t->figures = mem_new((size_t)layers * records, sizeof *t->figures, "trials");
    t->done = mem_new(layers, sizeof *t->done, "trials");
    if (!t->figures || !t->done) return false;
    for (size_t i = 0; i < (size_t)layers * records; i++)
        for (int f = 0; f < TRIAL_FIGURES; f++) t->figures[i][f] = (double)NAN;
    return true;
}

void layer_trials_free(struct layer_trials *t)
{
    free(t->figures);
    free(t->done);
    *t = (struct layer_trials){0};
}

static double *figures(const struct at_layer *b)
{
    return b->t->figures[(size_t)b->layer * b->t->records + b->record];
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    struct at_layer *b = user;
    (void)editor;
    figures(b)[TRIAL_NORM] = edit->u_norm * edit->w_norm;
    return true;
}

// Of the weights as they would be written.
static bool measure(struct at_layer *b, struct editor *e)
{
    if (!editor_finish(e) ||
        !measures_take(&b->measures, &b->exam, &b->o->model, b->record, 1, &b->marks) ||
        !editor_go_on(e))
        return false;
    figures(b)[TRIAL_REL] = b->marks.scores[MEASURE_REL][b->record];
    figures(b)[TRIAL_GEN] = b->marks.scores[MEASURE_GEN][b->record];
    figures(b)[TRIAL_LOC] = b->marks.scores[MEASURE_LOC][b->record];
    return true;
}

static bool contexts_keep(struct at_layer *b, const struct editor *e)
{
    struct contexts *c = &b->contexts;
    if (c->texts || !e->contexts.count) return true;
    c->texts = mem_new(e->contexts.count, sizeof *c->texts, "contexts");
    bool ok = c->texts != NULL;
    for (uint32_t i = 0; ok && i < e->contexts.count; i++) {
        const char *text = e->contexts.texts[i];
        c->texts[i] = mem_text(text, strlen(text), "contexts");
        ok = c->texts[i] != NULL;
        c->count += ok;
    }
    return ok;
}

static bool contexts_lend(const struct at_layer *b, struct hparams *h)
{
    if (h->context_texts || !b->contexts.count) return true;
    h->context_texts = mem_new(b->contexts.count, sizeof *h->context_texts, "contexts");
    bool ok = h->context_texts != NULL;
    for (uint32_t i = 0; ok && i < b->contexts.count; i++) {
        const char *text = b->contexts.texts[i];
        h->context_texts[i] = mem_text(text, strlen(text), "contexts");
        ok = h->context_texts[i] != NULL;
        h->context_text_count += ok;
    }
    return ok;
}

static bool open_at(struct at_layer *b, struct editor *e)
{
    struct sequence_options options = settings_sequence(b->args, b->o->dev.strict);
    struct args args = *b->args;
    args.layer = b->layer;
    args.layers = NULL;
    bool ok = settings_open(&options.hparams, &args, &b->o->model.config);
    options.hparams.key_memory = 0; // there are no earlier edits
    ok = ok && contexts_lend(b, &options.hparams) &&
         editor_open(e, &b->o->model, &b->o->weights, &b->o->tokenizer, &options) &&
         contexts_keep(b, e);
    hparams_free(&options.hparams);
    return ok;
}

// Everything as before the edit. A solver that remembers edits is begun again.
static bool take_back(struct at_layer *b, struct editor *e)
{
    if (e->solver->start || e->solver->null_space) {
        editor_close(e);
        model_unedit(&b->o->model);
        return true;
    }
    e->edits = e->site->edits = 0;
    e->medians[0] = e->medians[1] = 0;
    return model_restore(e->model);
}

static bool try_layer(struct at_layer *b)
{
    struct editor e = {0};
    bool ok = true;
    for (b->record = 0; ok && b->record < b->t->records; b->record++) {
        const struct request *request = &b->data->requests[b->record];
        ok = interrupt_check() && (e.model || open_at(b, &e)) &&
             sequence_run(&e, request, 1, on_edit, b) && measure(b, &e) && take_back(b, &e);
        b->t->done[b->layer] += ok;
        progress_step(&b->bar, 1);
    }
    editor_close(&e);
    model_unedit(&b->o->model);
    return ok;
}

// A layer may be none to edit, which is a finding; a device that fails is not.
static bool go_on(struct at_layer *b)
{
    enum status code = status_code();
    if (code != STATUS_BAD_DATA && code != STATUS_FAILED) return false;
    log_warn("layer %u is not tried further: %s", b->layer, status_message());
    status_clear();
    progress_step(&b->bar, b->t->records - b->record);
    return true;
}

static bool listed(const struct hparams *list, const struct args *args,
                   const struct located *located, uint32_t layer)
{
    if (!args->layers) return !located_sink(located, layer);
    if (!list->layer_count) return layer == list->layer; // a single one
    for (uint32_t i = 0; i < list->layer_count; i++)
        if (list->layers[i] == layer) return true;
    return false;
}

static void layer_say(const struct layer_trials *t, uint32_t layer, uint32_t number, double seconds)
{
    log_say("layer %u (%u of %u): Rel %.2f  Gen %.2f  Loc %.2f  |dW| %.3g, %.1f s", layer, number,
            t->planned, layer_trials_mean(t, layer, TRIAL_REL),
            layer_trials_mean(t, layer, TRIAL_GEN), layer_trials_mean(t, layer, TRIAL_LOC),
            layer_trials_mean(t, layer, TRIAL_NORM), seconds);
}

static bool try_all(struct at_layer *b, const struct located *located, const uint32_t *order)
{
    struct layer_trials *t = b->t;
    struct hparams list = {0};
    if (b->args->layers && !layers_read(&list, b->args->layers, &b->o->model.config)) return false;
    for (uint32_t i = 0; i < t->layers; i++) t->planned += listed(&list, b->args, located, i);
    log_say("trial edits: %u layers, %u records each, solver %s (--trials 0: none; Ctrl-C: what is "
            "there)", t->planned, t->records, t->solver);
    progress_start(&b->bar, "trial edits", "edit", (uint64_t)t->planned * t->records);
    bool ok = true;
    for (uint32_t i = 0, number = 0; ok && i < t->layers; i++) {
        if (!listed(&list, b->args, located, order[i])) continue;
        double started = log_clock();
        b->layer = order[i];
        ok = try_layer(b) || go_on(b);
        if (t->done[b->layer]) layer_say(t, b->layer, ++number, log_clock() - started);
    }
    progress_end(&b->bar);
    return ok;
}

bool layer_trials_check(const struct args *args, const struct config *config)
{
    struct hparams first = {0}, list = {0};
    struct args one = *args;
    one.layers = NULL;
    struct file_map text = {0};
    if (args->text && !file_map_open(&text, args->text)) return false;
    file_map_close(&text);
    bool ok = settings_open(&first, &one, config) &&
              (!args->layers || layers_read(&list, args->layers, config));
    hparams_free(&first);
    return ok;
}

bool layer_trials_run(struct layer_trials *t, struct opened *o, const struct args *args,
                      const struct dataset *data, uint32_t records, const struct located *located,
                      const uint32_t *order)
{
    struct at_layer b = {.t = t, .o = o, .args = args, .data = data,
                            .measures = {.which = MEASURES_DEFAULT, .tokenizer = &o->tokenizer}};
    bool ok = layer_trials_new(t, o->model.config.layers, records);
    t->solver = settings_solver(args);
    ok = ok && exam_new(&b.exam, &o->tokenizer, data->requests, records) &&
         marks_new(&b.marks, records) && measures_unedited(&b.measures, &b.exam, &o->model) &&
         try_all(&b, located, order);
    contexts_free(&b.contexts);
    marks_free(&b.marks);
    exam_free(&b.exam);
    return ok;
}

double layer_trials_mean(const struct layer_trials *t, uint32_t layer, enum trial_figure figure)
{
    double sum = 0;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < t->done[layer]; i++) {
        double x = t->figures[(size_t)layer * t->records + i][figure];
        if (isnan(x)) continue;
        sum += x;
        seen++;
    }
    return seen ? sum / seen : (double)NAN;
}

double layer_trials_score(const struct layer_trials *t, uint32_t layer)
{
    double sum = 0;
    uint32_t seen = 0;
    for (int f = TRIAL_REL; f <= TRIAL_LOC; f++) {
        double x = layer_trials_mean(t, layer, (enum trial_figure)f);
        if (isnan(x)) continue;
        sum += x;
        seen++;
    }
    return seen ? sum / seen : (double)NAN;
}

uint32_t layer_trials_best(const struct layer_trials *t, const struct located *located,
                           const uint32_t *order)
{
    for (int sinks = 0; t->figures && sinks < 2; sinks++) {
        double best = -1;
        for (uint32_t i = 0; i < t->layers; i++) {
            double score = layer_trials_score(t, i);
            if (located_sink(located, i) == sinks && score > best) best = score;
        }
        for (uint32_t i = 0; best >= 0 && i < t->layers; i++)
            if (located_sink(located, order[i]) == sinks &&
                layer_trials_score(t, order[i]) > best - TRIALS_NEAR)
                return order[i];
    }
    return order[0];
}
