#define XXH_INLINE_ALL
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "check/small_model.h"
#include "cli/selftest.h"
#include "edit/sequence.h"
#include "vk/trace.h"

enum { TEXT = 512, STEPS = 6 };

const char *const edit_run_names[EDIT_RUNS] = {"memit, oedit-plus", "rome"};
static const struct {
    const char *solver, *guard;
} runs[EDIT_RUNS] = {{"memit", "oedit-plus"}, {"rome", "none"}};

struct session { // the small model on a device, and one run's editor
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct dataset facts;
};

static void session_close(struct session *s)
{
    editor_close(&s->editor);
    dataset_free(&s->facts);
    model_close(&s->model);
    tokenizer_free(&s->tokenizer);
    weights_close(&s->weights);
}

// The file is mapped: it may go as soon as it is open.
static bool model_ready(struct session *s, struct device *dev)
{
    char *path = options_temporary_file();
    bool ok = path && small_model_write(path) && weights_open(&s->weights, path) &&
              tokenizer_open(&s->tokenizer, &s->weights) && model_open(&s->model, dev, &s->weights);
    if (path) unlink(path);
    free(path);
    return ok;
}

static bool facts_ready(struct session *s)
{
    struct dataset *all = &s->facts;
    for (uint32_t i = 0; i < SMALL_FACTS; i++) {
        struct dataset one = {0};
        bool ok = dataset_from_strings(&one, small_facts[i].prompt, small_facts[i].subject,
                                       small_facts[i].target) &&
                  mem_grow(&all->requests, &all->capacity, all->count + 1, sizeof *all->requests,
                           "facts");
        if (ok) {
            all->requests[all->count] = one.requests[0];
            all->requests[all->count++].id = i;
            one.count = 0; // taken over
        }
        dataset_free(&one);
        if (!ok) return false;
    }
    return true;
}

// Fixed prefixes: sampled ones would need the host's exp.
static bool settings(struct hparams *h, const struct config *config, const char *solver)
{
    static const char *const prefixes[] = {"the dog", "music of the sea and the city ."};
    if (!hparams_open(h, config, solver, NULL)) return false;
    h->layer = 1;
    h->steps = STEPS;
    h->ridge = 0.01;
    h->context_texts = mem_new(2, sizeof *h->context_texts, "contexts");
    for (uint32_t i = 0; h->context_texts && i < 2; i++) {
        h->context_texts[i] = mem_text(prefixes[i], strlen(prefixes[i]), "contexts");
        if (!h->context_texts[i]) return false;
        h->context_text_count++;
    }
    return h->context_texts != NULL;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    struct tested_edits *r = user;
    (void)editor;
    r->loss = (double)edit->trace[edit->chosen].total;
    r->dw = edit->u_norm * edit->w_norm;
    return true;
}

// W before and after all facts.
static bool edit_all(struct session *s, struct device *dev, uint32_t run, struct tested_edits *r,
                     float *before, float *after)
{
    uint32_t *ids = small_model_text(TEXT);
    struct sequence_options options = {.solver = runs[run].solver, .guard = runs[run].guard,
                                       .ids = ids, .tokens = TEXT, .unkept = true};
    bool ok = ids && model_ready(s, dev) && facts_ready(s) &&
              settings(&options.hparams, &s->model.config, runs[run].solver) &&
              editor_open(&s->editor, &s->model, &s->weights, &s->tokenizer, &options);
    uint64_t bytes = ok ? 4ull * s->model.config.dim * s->model.config.ffn : 0;
    ok = ok && buffer_read(dev, s->model.layers[1].edited, 0, before, bytes) &&
         sequence_run(&s->editor, s->facts.requests, (uint32_t)s->facts.count, on_edit, r) &&
         buffer_read(dev, s->model.layers[1].edited, 0, after, bytes);
    hparams_free(&options.hparams);
    free(ids);
    return ok;
}

static void judge(struct selftest *t, uint32_t run, const float *before, const float *after,
                  uint32_t n)
{
    struct tested_edits *r = &t->edits[run];
    double change = 0, apart = 0;
    for (uint32_t i = 0; i < n; i++) {
        change += pow((double)after[i] - (double)before[i], 2);
        apart += pow((double)after[i] - (double)t->fast[run][i], 2);
    }
    const struct digest *expected = digests_find(&t->digests, "edit", r->name);
    r->digest = XXH3_64bits(after, n * sizeof *after);
    r->difference = sqrt(apart / change);
    // One edit's dW is good to 1e-3 (DESIGN 5: 6e-5 were seen); they follow each other.
    bool near = r->difference <= 1e-3 * SMALL_FACTS;
    r->fast = near ? VERDICT_RIGHT : VERDICT_WRONG;
    if (!near)
        snprintf(r->why, sizeof r->why, "fast and strict changes of W are %.2g apart, wanted %.2g",
                 r->difference, 1e-3 * SMALL_FACTS);
    r->expected = expected ? expected->value : 0;
    r->strict = !expected ? VERDICT_NONE : r->expected == r->digest ? VERDICT_RIGHT : VERDICT_WRONG;
    if (r->strict == VERDICT_WRONG && near)
        snprintf(r->why, sizeof r->why, "W has the digest %016llx, wanted %016llx",
                 (unsigned long long)r->digest, (unsigned long long)r->expected);
}

// Keeps the trace and ends it.
static bool trace_take(struct device *dev, struct tested_edits *r)
{
    const char *text = trace_text(dev);
    r->trace = mem_text(text, strlen(text), "a trace");
    for (const char *at = r->trace; at && *at; at++) r->dispatches += *at == '\n';
    trace_close(dev);
    return r->trace != NULL;
}

bool selftest_edits(struct selftest *t, struct device *dev)
{
    bool ok = true;
    for (uint32_t run = 0; ok && run < EDIT_RUNS; run++) {
        struct session session = {0};
        struct tested_edits *r = &t->edits[run];
        enum { ROOM = 1 << 14 }; // floats; W of the small model has 2048
        float *before = mem_new(ROOM, sizeof *before, "W");
        float *after = mem_new(ROOM, sizeof *after, "W");
        r->name = edit_run_names[run];
        ok = before && after && (!dev->strict || trace_open(dev, NULL));
        ok = ok && edit_all(&session, dev, run, r, before, after);
        uint32_t n = ok ? session.model.config.dim * session.model.config.ffn : 0;
        session_close(&session);
        if (ok && dev->strict) ok = trace_take(dev, r);
        if (ok && dev->strict) judge(t, run, before, after, n);
        if (ok && !dev->strict) {
            t->fast[run] = after;
            after = NULL;
        }
        free(before);
        free(after);
    }
    return ok;
}
