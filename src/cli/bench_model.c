#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/bench_time.h"
#include "model/generate.h"

enum { GENERATED = 32 };

uint32_t *bench_tokens(const struct bench *b, uint32_t count)
{
    uint32_t *tokens = mem_new(count, sizeof *tokens, "a text");
    // Any tokens do; neighbours far apart in the embedding.
    for (uint32_t i = 0; tokens && i < count; i++)
        tokens[i] = (uint32_t)((1 + i * 7919ull) % b->opened.model.config.vocab);
    return tokens;
}

// One text in one pass, up to the logits behind its last token, with all that it takes.
static bool prompt_run(struct bench *b, void *what)
{
    const struct generated *text = what;
    const struct model *model = &b->opened.model;
    struct batch batch = {0};
    struct cache cache = {0};
    struct acts acts = {0};
    struct head head = {0};
    struct cmd cmd = {0};
    struct sequence sequence = {.tokens = text->tokens, .end = text->count};
    uint32_t last = text->count - 1, layers = model->config.layers;
    bool ok = batch_new(&batch, model, &sequence, 1) &&
              cache_new(&cache, model, 0, layers, text->count, false) &&
              acts_new(&acts, model, 0, layers, &batch, false) &&
              head_new(&head, model, &last, 1);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        forward_embed(&cmd, model, &batch, &acts);
        forward_layers(&cmd, model, &batch, &cache, &acts, 0, layers);
        forward_head(&cmd, model, &head, acts.stream[layers]->address);
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    head_free(&head);
    acts_free(&acts);
    cache_free(&cache);
    batch_free(&batch);
    return ok;
}

static bool generate_run(struct bench *b, void *what)
{
    (void)what;
    struct generated text = {.tokens = bench_tokens(b, 1), .count = 1};
    struct generate_options options = {.tokens = GENERATED, .top = 1};
    bool ok = text.tokens && generate(&b->opened.model, &text, 1, &options, NULL);
    free(text.tokens);
    return ok;
}

static bool prompt_bench(struct bench *b, uint32_t count)
{
    struct bench_row *row = bench_add(b, "model", "prompt");
    struct generated text = {.tokens = bench_tokens(b, count), .count = count};
    bool ok = row && text.tokens;
    if (ok) {
        snprintf(row->what, sizeof row->what, "prompt of %u tokens", count);
        row->model = b->model;
        row->rows = count;
        row->units = count;
        row->unit = "tokens";
        if (count > b->opened.model.positions)
            snprintf(row->skipped, sizeof row->skipped, "the context is %u tokens",
                     b->opened.model.positions);
        else
            ok = bench_time_run(b, prompt_run, &text, b->repeat, row);
    }
    free(text.tokens);
    return ok;
}

bool bench_model(struct bench *b)
{
    if (!prompt_bench(b, 64) || !prompt_bench(b, 512)) return false;
    struct bench_row *row = bench_add(b, "model", "generate");
    if (!row) return false;
    snprintf(row->what, sizeof row->what, "%d tokens generated", GENERATED);
    row->model = b->model;
    row->rows = 1;
    row->units = GENERATED;
    row->unit = "tokens";
    return bench_time_run(b, generate_run, NULL, b->repeat, row);
}
