#include "eval/cause.h"

#include <math.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/status.h"
#include "model/pass.h"

const char *const cause_names[CAUSE_KINDS] = {"hidden", "mlp", "attn"};

// One prompt at work. `both` has two texts, first the clean one and then the corrupted one;
// `again` has the text once for every position that is restored.
struct tracer {
    const struct model *model;
    const struct cause_prompt *prompt;
    const struct cause_options *options;
    uint32_t positions;
    struct pass both, again;
    struct buffer *noise, *scratch;  // [subject's tokens, dim]
    struct buffer *parts[CAUSE_KINDS]; // clean MLP and attention outputs [layers, positions, dim]
    struct buffer *corrupt, *mixed;  // rows of `both` that `again` starts from [again's rows]
    struct buffer *restored, *patch; // rows of `again` [positions]; their new content
    struct buffer *target, *lse, *loss; // [positions], or 2 for `both`
    struct buffer *keys, *streams;   // norms of both's rows [layers, rows]
};

void cause_window(uint32_t layer, uint32_t window, uint32_t layers, uint32_t *from, uint32_t *to)
{
    uint32_t before = window / 2;
    *from = layer > before ? layer - before : 0;
    *to = layer + window - before;
    if (*to > layers) *to = layers;
}

void cause_noise(struct cmd *cmd, fbuf y, fbuf scratch, uint32_t n, uint32_t seed)
{
    enum { SUMMANDS = 12 }; // of variance 1/12
    op_fill(cmd, (struct fill_args){.y = y, .n = n});
    for (uint32_t i = 0; i < SUMMANDS; i++) {
        op_random(cmd, (struct random_args){.y = scratch, .n = n, .seed = seed * SUMMANDS + i});
        op_axpby(cmd, (struct axpby_args){.x = scratch, .y = y, .n = n, .alpha = 1, .beta = 1});
    }
}

static bool again_new(struct tracer *t)
{
    uint32_t n = t->positions, count = t->prompt->count, rows = n * count;
    struct sequence *texts = mem_new(n, sizeof *texts, "texts");
    uint32_t *words = mem_new(2ull * rows + 3ull * n, sizeof *words, "rows");
    uint32_t *corrupt = words, *mixed = corrupt + rows, *restored = mixed + rows;
    uint32_t *last = restored + n, *target = last + n;
    bool ok = texts && words;
    for (uint32_t i = 0; ok && i < n; i++) {
        uint32_t at = t->prompt->first + i;
        texts[i] = (struct sequence){.tokens = t->prompt->tokens, .end = count, .slot = i * count};
        for (uint32_t p = 0; p < count; p++) {
            corrupt[i * count + p] = count + p;
            mixed[i * count + p] = p == at ? p : count + p;
        }
        restored[i] = i * count + at;
        last[i] = (i + 1) * count - 1;
        target[i] = t->prompt->answer;
    }
    struct device *dev = t->model->dev;
    uint64_t bytes = 4ull * n;
    ok = ok && pass_new(&t->again, t->model, texts, n, t->model->config.layers, false) &&
         pass_head(&t->again, t->model, last, n) &&
         buffer_from(dev, corrupt, 4ull * rows, "rows", &t->corrupt) &&
         buffer_from(dev, mixed, 4ull * rows, "rows", &t->mixed) &&
         buffer_from(dev, restored, bytes, "rows", &t->restored) &&
         buffer_new(dev, bytes * t->model->config.dim, "restored states", &t->patch) &&
         buffer_from(dev, target, bytes, "targets", &t->target) &&
         buffer_new(dev, bytes + 8, "losses", &t->lse) &&
         buffer_new(dev, bytes + 8, "losses", &t->loss);
    free(texts);
    free(words);
    return ok;
}

static bool tracer_new(struct tracer *t)
{
    const struct cause_prompt *p = t->prompt;
    const struct config *c = &t->model->config;
    struct device *dev = t->model->dev;
    struct sequence texts[2] = {{.tokens = p->tokens, .end = p->count},
                                {.tokens = p->tokens, .end = p->count, .slot = p->count}};
    uint32_t last[2] = {p->count - 1, 2 * p->count - 1};
    uint64_t noise = 4ull * (p->last - p->first + 1) * c->dim;
    uint64_t part = 4ull * c->layers * t->positions * c->dim, norms = 8ull * c->layers * p->count;
    return pass_new(&t->both, t->model, texts, 2, c->layers, true) &&
           pass_head(&t->both, t->model, last, 2) &&
           buffer_new(dev, noise, "noise", &t->noise) &&
           buffer_new(dev, noise, "noise", &t->scratch) &&
           buffer_new(dev, part, "MLP outputs", &t->parts[CAUSE_MLP]) &&
           buffer_new(dev, part, "attention outputs", &t->parts[CAUSE_ATTN]) &&
           buffer_new(dev, norms, "norms", &t->keys) &&
           buffer_new(dev, norms, "norms", &t->streams) && again_new(t);
}

static void tracer_free(struct tracer *t)
{
    struct buffer **all[] = {&t->noise, &t->scratch, &t->parts[CAUSE_MLP], &t->parts[CAUSE_ATTN],
                             &t->corrupt, &t->mixed, &t->restored, &t->patch, &t->target, &t->lse,
                             &t->loss, &t->keys, &t->streams};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(t->model->dev, all[i]);
    pass_free(&t->both);
    pass_free(&t->again);
}

// y <- the clean text's a - b, from the first restored position on.
static void keep_part(struct cmd *cmd, const struct tracer *t, enum cause_kind kind,
                      uint32_t layer, const struct buffer *a, const struct buffer *b)
{
    uint32_t dim = t->model->config.dim, n = t->positions * dim;
    fbuf y = t->parts[kind]->address + 4ull * layer * n;
    uint64_t skip = 4ull * t->prompt->first * dim;
    op_axpby(cmd, (struct axpby_args){.x = a->address + skip, .y = y, .n = n, .alpha = 1});
    op_axpby(cmd, (struct axpby_args){.x = b->address + skip, .y = y, .n = n, .alpha = -1,
                                      .beta = 1});
}

// The clean and the corrupted text, all their states kept.
static void record_both(struct cmd *cmd, const struct tracer *t)
{
    const struct model *m = t->model;
    const struct config *c = &m->config;
    const struct pass *p = &t->both;
    uint32_t rows = p->batch.rows, count = t->prompt->count;
    uint32_t n = (t->prompt->last - t->prompt->first + 1) * c->dim;
    fbuf subject = p->acts.stream[0]->address + 4ull * (count + t->prompt->first) * c->dim;
    forward_embed(cmd, m, &p->batch, &p->acts);
    cause_noise(cmd, t->noise->address, t->scratch->address, n, t->options->seed);
    op_axpby(cmd, (struct axpby_args){.x = t->noise->address, .y = subject, .n = n,
                                      .alpha = t->options->deviation, .beta = 1});
    for (uint32_t l = 0; l < c->layers; l++) {
        const struct buffer *in = p->acts.stream[l], *out = p->acts.stream[l + 1];
        const struct buffer *mid = p->acts.layers[l].mid;
        forward_key(cmd, m, &p->batch, &p->cache, &p->acts, l);
        op_norm_rows(cmd, (struct norm_rows_args){.x = p->acts.key->address,
                                                  .y = t->keys->address + 4ull * l * rows,
                                                  .rows = rows, .cols = c->ffn, .ldx = c->ffn});
        forward_down(cmd, m, l, p->acts.key->address, mid->address, out->address, rows);
        op_norm_rows(cmd, (struct norm_rows_args){.x = out->address,
                                                  .y = t->streams->address + 4ull * l * rows,
                                                  .rows = rows, .cols = c->dim, .ldx = c->dim});
        keep_part(cmd, t, CAUSE_ATTN, l, mid, in);
        keep_part(cmd, t, CAUSE_MLP, l, out, mid);
    }
    forward_head(cmd, m, &p->head, p->acts.stream[c->layers]->address);
}

// Row `restored[i]` of y becomes that of x plus the clean part of position i.
static void restore(struct cmd *cmd, const struct tracer *t, enum cause_kind kind, uint32_t layer,
                    fbuf x, fbuf y)
{
    uint32_t dim = t->model->config.dim, n = t->positions * dim;
    fbuf part = t->parts[kind]->address + 4ull * layer * n, patch = t->patch->address;
    op_gather_rows(cmd, (struct gather_rows_args){.x = x, .index = t->restored->address,
                                                  .y = patch, .rows = t->positions, .cols = dim});
    op_axpby(cmd, (struct axpby_args){.x = part, .y = patch, .n = n, .alpha = 1, .beta = 1});
    op_scatter_rows(cmd, (struct scatter_rows_args){.x = patch, .slot = t->restored->address,
                                                    .y = y, .rows = t->positions, .cols = dim});
}

// A layer of `again`, at every text's own position with the clean output of its part. The stream
// that attention adds to is kept, as it is overwritten only by the down projection.
static void record_restored(struct cmd *cmd, const struct tracer *t, enum cause_kind kind,
                            uint32_t layer)
{
    const struct model *m = t->model;
    const struct pass *p = &t->again;
    fbuf in = p->acts.stream[layer]->address, mid = p->acts.layers[layer].mid->address;
    fbuf out = p->acts.stream[layer + 1]->address;
    cmd_part(cmd, "layer", layer);
    forward_attend(cmd, m, &p->batch, &p->cache, &p->acts, layer);
    if (kind == CAUSE_ATTN) restore(cmd, t, kind, layer, in, mid);
    forward_gate(cmd, m, &p->acts, layer, p->batch.rows);
    forward_down(cmd, m, layer, p->acts.key->address, mid, out, p->batch.rows);
    if (kind == CAUSE_MLP) restore(cmd, t, kind, layer, mid, out);
}

// From the corrupted states below the first layer that is restored to the logits.
static void record_again(struct cmd *cmd, const struct tracer *t, enum cause_kind kind,
                         uint32_t layer)
{
    const struct model *m = t->model;
    const struct pass *p = &t->again;
    uint32_t layers = m->config.layers, from = layer + 1, to = layer + 1;
    if (kind != CAUSE_HIDDEN) cause_window(layer, t->options->window, layers, &from, &to);
    const struct buffer *index = kind == CAUSE_HIDDEN ? t->mixed : t->corrupt;
    op_gather_rows(cmd, (struct gather_rows_args){.x = t->both.acts.stream[from]->address,
                                                  .index = index->address,
                                                  .y = p->acts.stream[from]->address,
                                                  .rows = p->batch.rows, .cols = m->config.dim});
    for (uint32_t l = from; l < to; l++) record_restored(cmd, t, kind, l);
    forward_layers(cmd, m, &p->batch, &p->cache, &p->acts, to, layers);
    forward_head(cmd, m, &p->head, p->acts.stream[layers]->address);
}

// Runs what was recorded, and the probability of the answer in each row of logits.
static bool probabilities(struct cmd *cmd, const struct tracer *t, const struct head *head,
                          fbuf target, double *p)
{
    float *loss = mem_new(head->count, sizeof *loss, "losses");
    op_cross_entropy(cmd, (struct cross_entropy_args){
                              .logits = head->logits->address, .target = target,
                              .lse = t->lse->address, .loss = t->loss->address,
                              .rows = head->count, .cols = t->model->config.vocab});
    bool ok = loss && cmd_run_once(cmd) &&
              buffer_read(t->model->dev, t->loss, 0, loss, head->count * sizeof *loss);
    for (uint32_t i = 0; ok && i < head->count; i++) {
        p[i] = maths_exp(-(double)loss[i]);
        if (!isfinite(loss[i]))
            ok = fail(STATUS_BAD_DATA, "causal tracing: a loss is %g, wanted a number; the "
                                       "model's activations overflow", (double)loss[i]);
    }
    free(loss);
    return ok;
}

static bool norms_read(struct cause *cause, const struct tracer *t)
{
    uint32_t rows = t->both.batch.rows, count = t->prompt->count;
    bool ok = true;
    for (uint32_t l = 0; ok && l < cause->layers; l++)
        ok = buffer_read(t->model->dev, t->keys, 4ull * l * rows,
                         cause->key_norms + (size_t)l * count, 4ull * count) &&
             buffer_read(t->model->dev, t->streams, 4ull * l * rows,
                         cause->stream_norms + (size_t)l * count, 4ull * count);
    return ok;
}

static bool cause_new(struct cause *cause, const struct tracer *t)
{
    size_t layers = t->model->config.layers;
    *cause = (struct cause){.layers = (uint32_t)layers, .positions = t->positions,
                            .first = t->prompt->first, .tokens = t->prompt->count};
    for (int k = 0; k < CAUSE_KINDS; k++)
        cause->p[k] = mem_new(layers * t->positions, sizeof(double), "effects");
    cause->key_norms = mem_new(layers * cause->tokens, sizeof(float), "norms");
    cause->stream_norms = mem_new(layers * cause->tokens, sizeof(float), "norms");
    return cause->p[0] && cause->p[1] && cause->p[2] && cause->key_norms && cause->stream_norms;
}

static bool run(struct cause *cause, const struct tracer *t)
{
    struct cmd cmd = {0};
    double pair[2];
    struct buffer *target = NULL;
    uint32_t answers[2] = {t->prompt->answer, t->prompt->answer};
    bool ok = buffer_from(t->model->dev, answers, sizeof answers, "targets", &target);
    cmd_start(&cmd, t->model->dev, false);
    if (ok) record_both(&cmd, t);
    ok = ok && probabilities(&cmd, t, &t->both.head, target->address, pair) &&
         norms_read(cause, t);
    if (ok) cause->clean = pair[0];
    if (ok) cause->corrupted = pair[1];
    for (uint32_t k = 0; ok && k < CAUSE_KINDS; k++)
        for (uint32_t l = 0; ok && l < cause->layers; l++) {
            if (!(ok = interrupt_check())) break;
            record_again(&cmd, t, (enum cause_kind)k, l);
            ok = probabilities(&cmd, t, &t->again.head, t->target->address,
                               cause->p[k] + (size_t)l * t->positions);
        }
    cmd_free(&cmd);
    buffer_free(t->model->dev, &target);
    return ok;
}

bool cause_trace(struct cause *cause, const struct model *model, const struct cause_prompt *prompt,
                 const struct cause_options *options)
{
    struct tracer t = {.model = model, .prompt = prompt, .options = options,
                       .positions = prompt->count - prompt->first};
    bool ok = cause_new(cause, &t) && tracer_new(&t) && run(cause, &t);
    tracer_free(&t);
    if (!ok) cause_free(cause);
    return ok;
}

void cause_free(struct cause *cause)
{
    for (int k = 0; k < CAUSE_KINDS; k++) free(cause->p[k]);
    free(cause->key_norms);
    free(cause->stream_norms);
    *cause = (struct cause){0};
}

bool cause_deviation(const struct model *model, const uint32_t *tokens, uint32_t count,
                     double *deviation)
{
    struct device *dev = model->dev;
    struct sequence *texts = mem_new(count, sizeof *texts, "texts");
    struct batch batch = {0};
    struct acts acts = {0};
    struct buffer *ones = NULL, *sums = NULL;
    struct cmd cmd = {0};
    uint32_t n = count * model->config.dim;
    float got[2] = {0};
    for (uint32_t i = 0; texts && i < count; i++)
        texts[i] = (struct sequence){.tokens = tokens + i, .end = 1, .slot = i};
    bool ok = texts && batch_new(&batch, model, texts, count) &&
              acts_new(&acts, model, 0, 1, &batch, false) &&
              buffer_new(dev, 4ull * n, "ones", &ones) && buffer_new(dev, 8, "sums", &sums);
    if (ok) {
        fbuf x = acts.stream[0]->address;
        cmd_start(&cmd, dev, false);
        forward_embed(&cmd, model, &batch, &acts);
        op_fill(&cmd, (struct fill_args){.y = ones->address, .n = n, .value = 1});
        op_dot_rows(&cmd, (struct dot_rows_args){.x = x, .w = ones->address, .y = sums->address,
                                                 .rows = 1, .cols = n});
        op_dot_rows(&cmd, (struct dot_rows_args){.x = x, .w = x, .y = sums->address + 4,
                                                 .rows = 1, .cols = n});
        ok = cmd_run_once(&cmd) && buffer_read(dev, sums, 0, got, sizeof got);
    }
    double mean = (double)got[0] / n;
    *deviation = sqrt((double)got[1] / n - mean * mean);
    cmd_free(&cmd);
    buffer_free(dev, &ones);
    buffer_free(dev, &sums);
    acts_free(&acts);
    batch_free(&batch);
    free(texts);
    return ok;
}
