#include "cli/plan_time.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/bench.h"
#include "cli/bench_need.h"

static bool probe(struct opened *o, const struct args *args, struct plan_time *time)
{
    const struct config *c = &o->weights.config;
    const struct bench_shape shape = {"the model", c->dim, c->ffn, c->heads, c->kv_heads,
                                      c->head_dim, c->vocab};
    struct bench b = {.dev = &o->dev, .args = args, .shapes = {&shape}, .shape_count = 1,
                      .repeat = 3, .least = 0.02};
    const uint64_t peak = o->dev.bytes_peak;
    bool ok = bench_probes(&b);
    o->dev.bytes_peak = peak; // the probes are no part of a run
    time->peak_flops = b.peak_flops;
    time->peak_bytes = b.peak_bytes;
    free(b.rows);
    return ok;
}

// A prefix of about so many tokens.
static char *words(uint32_t tokens)
{
    static const char word[] = " the";
    const size_t each = sizeof word - 1;
    char *text = mem_new((size_t)tokens * each + 1, 1, "a prefix");
    for (uint32_t i = 0; text && i < tokens; i++) memcpy(text + i * each, word, each);
    return text;
}

static void part_add(struct plan_time *t, double flops, double bytes, double times)
{
    t->flops += flops * times;
    t->bytes += bytes * times;
    t->seconds += fmax(flops / t->peak_flops, bytes / t->peak_bytes) * times;
}

// What every step reads: the layers above the edited one, and the head.
static double weights_above(const struct weights *w, uint32_t layer)
{
    double bytes = 0;
    for (uint32_t i = layer + 1; i < w->config.layers; i++)
        for (int part = PART_ATTN_NORM; part < PART_COUNT; part++) {
            const struct tensor *t = weights_part(w, (enum part)part, i);
            if (t) bytes += (double)t->bytes;
        }
    return bytes + (double)weights_part(w, w->config.tied ? PART_EMBED : PART_OUTPUT, 0)->bytes;
}

static void edit_add(struct plan_time *t, const struct plan *p, const struct bench_need *n,
                     double part)
{
    const struct config *c = &p->run.weights->config;
    const double above = weights_above(p->run.weights, p->hparams.layer);
    const double square = 4.0 * c->ffn * c->ffn, matrix = 4.0 * c->dim * c->ffn;
    part_add(t, n->prepare, 0, part);
    part_add(t, n->keys + n->prefix, above, part);
    part_add(t, n->step, 2 * above, part * p->hparams.steps);
    part_add(t, n->solve, p->run.solver->null_space ? 0 : square, part);
    part_add(t, n->update, 2 * matrix, part);
}

bool plan_time(const struct plan *p, struct opened *o, const struct args *args,
               const struct dataset *data, struct plan_time *t)
{
    *t = (struct plan_time){0};
    if (p->run.solver->make) return true;
    const struct hparams *h = &p->hparams;
    const uint32_t count = h->context_text_count ? h->context_text_count : h->contexts;
    char *prefix = words((h->context_short + h->context_long) / 2);
    char **prefixes = mem_new(count, sizeof *prefixes, "prefixes");
    bool ok = prefix && prefixes && probe(o, args, t);
    for (uint32_t i = 0; ok && i < count; i++)
        prefixes[i] = h->context_text_count ? h->context_texts[i] : prefix;
    for (size_t i = 0; ok && i < data->count; i++) {
        struct prompts prompts;
        ok = prompts_new(&prompts, &o->tokenizer, &data->requests[i], prefixes, count);
        if (!ok) break;
        const struct bench_need n = bench_need_of(&o->weights.config, h->layer, &prompts);
        edit_add(t, p, &n, 1 / (double)data->count);
        prompts_free(&prompts);
    }
    free(prefixes);
    free(prefix);
    return ok;
}
