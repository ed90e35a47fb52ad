#include <stdlib.h>

#include "base/mem.h"
#include "cli/commands.h"
#include "cli/grad_text.h"
#include "cli/settings.h"
#include "cli/statistic.h"

static bool corpus_open(struct corpus *corpus, struct opened *o, const struct args *args,
                        const struct hparams *h, uint32_t tokens)
{
    if (args->tokens) tokens = args->tokens;
    if (args->text)
        return corpus_from_file(corpus, &o->tokenizer, args->text, tokens, h->block);
    if (!args->tokens) tokens = 2 * o->model.config.ffn;
    return corpus_from_model(corpus, &o->model, &o->weights, &o->tokenizer, tokens, args->seed);
}

static bool statistic_of(struct statistic *s, struct opened *o, const struct args *args,
                         const struct hparams *h, const struct corpus *corpus, bool grad)
{
    *s = (struct statistic){.grad = grad, .block = corpus->block, .seed = args->seed,
                            .statements = corpus->starts ? corpus->start_count : 0,
                            .ridge = grad ? 0 : h->ridge};
    return origin_of(&s->origin, &o->model, &o->weights, corpus, h->layer) &&
           stats_batches(corpus, grad, &s->batches) &&
           (!grad || stats_count(&o->model, h, &s->directions));
}

bool command_stats(const struct args *args)
{
    struct opened o = {0};
    struct hparams h = {0};
    struct corpus corpus = {0};
    struct statistic s;
    struct shard shard;
    struct buffer *c = NULL;
    if (!shard_parse(args, &shard)) return false;
    bool ok = opened_start(&o, args) && settings_open(&h, args, &o.model.config) &&
              corpus_open(&corpus, &o, args, &h, h.stats_tokens) &&
              statistic_of(&s, &o, args, &h, &corpus, false);
    if (ok && shard.n)
        ok = statistic_shard(&o, &s, args, shard, &corpus);
    else
        ok = ok && stats_moment(&o.model, &o.weights, &corpus, h.layer, &c) &&
             statistic_moment(&o.dev, &s, args, c);
    if (o.dev.handle) buffer_free(&o.dev, &c);
    corpus_free(&corpus);
    hparams_free(&h);
    return opened_end(&o, args, ok);
}

bool command_grad(const struct args *args)
{
    struct opened o = {0};
    struct hparams h = {0};
    struct corpus corpus = {0};
    struct statistic s;
    struct shard shard;
    struct buffer *rows = NULL;
    if (!shard_parse(args, &shard) || !grad_text_check(args)) return false;
    bool ok = opened_start(&o, args) && settings_open(&h, args, &o.model.config) &&
              (h.grad_source ? grad_text_open(&corpus, args, &o.tokenizer, &h,
                                              args->tokens ? args->tokens : h.grad_tokens)
                             : corpus_open(&corpus, &o, args, &h, h.grad_tokens)) &&
              statistic_of(&s, &o, args, &h, &corpus, true);
    float *values = ok ? mem_new(o.model.config.dim, sizeof *values, "singular values") : NULL;
    if (ok && shard.n)
        ok = statistic_shard(&o, &s, args, shard, &corpus);
    else
        ok = ok && values &&
             stats_directions(&o.model, &o.weights, &corpus, h.layer, s.directions, &rows,
                              values) &&
             statistic_directions(&o.dev, &s, args, rows, values);
    free(values);
    if (o.dev.handle) buffer_free(&o.dev, &rows);
    corpus_free(&corpus);
    hparams_free(&h);
    return opened_end(&o, args, ok);
}
