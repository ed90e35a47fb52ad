#include "model/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/status.h"
#include "model/pass.h"
#include "ops/top_k.h"

// State of the texts that still grow. Text i keeps positions [slot, slot + room) of the cache.
struct session {
    const struct model *model;
    const struct generate_options *options;
    struct generated *texts;
    size_t count;
    uint32_t *slots;
    struct cache cache;
    uint32_t *ids;    // [count, top]
    float *values;    // [count, top]
    uint64_t *random; // [count]
};

// The next token of one text from its best candidates, best first.
static uint32_t choose(const struct session *s, size_t text, const uint32_t *ids,
                       const float *values)
{
    uint32_t top = s->options->top;
    if (s->options->temperature <= 0 || top == 1) return ids[0];
    double sum = 0, weights[256];
    for (uint32_t i = 0; i < top; i++) {
        weights[i] =
            maths_exp((double)(values[i] - values[0]) / (double)s->options->temperature);
        sum += weights[i];
    }
    double at = random_unit(&s->random[text]) * sum;
    for (uint32_t i = 0; i < top; i++)
        if ((at -= weights[i]) < 0) return ids[i];
    return ids[top - 1];
}

// Runs the given stretches, then the candidates behind each one's last row into s->ids.
static bool advance(struct session *s, const struct sequence *sequences, uint32_t *last,
                    size_t active)
{
    const struct model *model = s->model;
    struct batch batch = {0};
    struct acts acts = {0};
    struct head head = {0};
    struct buffer *ids = NULL, *values = NULL;
    struct cmd cmd = {0};
    uint64_t bytes = active * s->options->top * sizeof(uint32_t);
    uint32_t layers = model->config.layers;
    bool ok = batch_new(&batch, model, sequences, active) &&
              acts_new(&acts, model, 0, layers, &batch, false) &&
              head_new(&head, model, last, (uint32_t)active) &&
              buffer_new(model->dev, bytes, "candidates", &ids) &&
              buffer_new(model->dev, bytes, "candidates", &values);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        forward_embed(&cmd, model, &batch, &acts);
        forward_layers(&cmd, model, &batch, &s->cache, &acts, 0, layers);
        forward_head(&cmd, model, &head, acts.stream[0]->address);
        top_k(&cmd, head.logits->address, ids->address, values->address, (uint32_t)active,
              model->config.vocab, s->options->top);
        ok = cmd_run_once(&cmd) && buffer_read(model->dev, ids, 0, s->ids, bytes) &&
             buffer_read(model->dev, values, 0, s->values, bytes);
    }
    cmd_free(&cmd);
    buffer_free(model->dev, &ids);
    buffer_free(model->dev, &values);
    head_free(&head);
    acts_free(&acts);
    batch_free(&batch);
    return ok;
}

static bool is_stop(const struct generate_options *o, uint32_t id)
{
    for (uint32_t i = 0; i < o->stop_count; i++)
        if (o->stop[i] == id) return true;
    return false;
}

// The logits behind a text are not finite. Returns false.
static bool text_blame(const struct model *model, const struct generated *text)
{
    struct sequence sequence = {.tokens = text->tokens, .end = text->count};
    uint32_t last = text->count - 1;
    char who[64];
    snprintf(who, sizeof who, "generating text, position %u", text->count);
    return pass_blame(model, &sequence, 1, &last, 1, who);
}

// One token more for every text in `which`; those that end leave the list.
static bool step(struct session *s, size_t *which, size_t *active, uint32_t *done,
                 struct sequence *sequences, uint32_t *last)
{
    uint32_t row = 0;
    for (size_t i = 0; i < *active; i++) {
        const struct generated *t = &s->texts[which[i]];
        sequences[i] = (struct sequence){.tokens = t->tokens, .begin = done[which[i]],
                                         .end = t->count, .slot = s->slots[which[i]]};
        row += t->count - done[which[i]];
        last[i] = row - 1;
    }
    if (!advance(s, sequences, last, *active)) return false;
    size_t left = 0;
    for (size_t i = 0; i < *active; i++) {
        struct generated *t = &s->texts[which[i]];
        uint32_t top = s->options->top;
        uint32_t id = choose(s, which[i], s->ids + i * top, s->values + i * top);
        if (id >= s->model->config.vocab || !isfinite(s->values[i * top]))
            return text_blame(s->model, t);
        done[which[i]] = t->count;
        t->stopped = is_stop(s->options, id);
        if (!t->stopped) t->tokens[t->count++] = id;
        if (!t->stopped && s->options->enough)
            t->stopped = s->options->enough(s->options->user, t);
        t->stopped |= t->count > s->model->positions; // the last token is the context's end
        if (!t->stopped && t->count - t->prompt < s->options->tokens) which[left++] = which[i];
    }
    *active = left;
    return true;
}

static bool session_start(struct session *s, uint32_t *slots)
{
    for (size_t i = 0; i < s->count; i++) {
        struct generated *t = &s->texts[i];
        t->prompt = t->count;
        t->stopped = false;
        if (t->count == 0) return fail(STATUS_BAD_DATA, "got an empty prompt, wanted a token");
        uint32_t room = t->count + s->options->tokens;
        uint32_t *grown = realloc(t->tokens, room * sizeof *grown);
        if (!grown) return fail(STATUS_NO_MEMORY, "out of host memory for a text");
        t->tokens = grown;
        s->slots[i] = *slots;
        *slots += room;
        s->random[i] = s->options->seed + 0x632be59bd9b4e019u * (i + 1);
    }
    return true;
}

bool generate(const struct model *model, struct generated *texts, size_t count,
              const struct generate_options *options, struct progress *bar)
{
    struct generate_options fixed = *options;
    if (fixed.top > 256) fixed.top = 256;
    if (fixed.top > model->config.vocab) fixed.top = model->config.vocab;
    if (fixed.temperature <= 0 || fixed.top == 0) fixed.top = 1;
    struct session s = {.model = model, .options = &fixed, .texts = texts, .count = count};
    s.slots = mem_new(count, sizeof *s.slots, "texts");
    s.ids = mem_new(count * fixed.top, sizeof *s.ids, "texts");
    s.values = mem_new(count * fixed.top, sizeof *s.values, "texts");
    s.random = mem_new(count, sizeof *s.random, "texts");
    size_t *which = mem_new(count, sizeof *which, "texts"), active = count;
    uint32_t *done = mem_new(count, sizeof *done, "texts");
    uint32_t *last = mem_new(count, sizeof *last, "texts"), slots = 0;
    struct sequence *sequences = mem_new(count, sizeof *sequences, "texts");
    bool ok = s.slots && s.ids && s.values && s.random && which && done && last && sequences &&
              session_start(&s, &slots) &&
              cache_new(&s.cache, model, 0, model->config.layers, slots, false);
    for (size_t i = 0; ok && i < count; i++) which[i] = i;
    if (fixed.tokens == 0) active = 0;
    while (ok && active > 0) {
        size_t now = active;
        ok = interrupt_check() && step(&s, which, &active, done, sequences, last);
        if (bar) progress_step(bar, now);
    }
    cache_free(&s.cache);
    free(s.slots);
    free(s.ids);
    free(s.values);
    free(s.random);
    free(which);
    free(done);
    free(last);
    free(sequences);
    return ok;
}
