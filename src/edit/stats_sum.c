#include "edit/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/pass.h"
#include "ops/watch.h"

enum { ROWS = STATS_ROWS };

// As many whole blocks as fit into ROWS, from block `first` on.
static uint32_t take_blocks(const struct corpus *c, uint32_t first, struct sequence *sequences,
                            uint32_t *rows)
{
    uint32_t count = 0;
    *rows = 0;
    for (uint32_t i = first; i < corpus_blocks(c) && count < ROWS; i++) {
        uint32_t begin, end;
        corpus_block(c, i, &begin, &end);
        if (*rows + end - begin > ROWS && count > 0) break;
        sequences[count++] = (struct sequence){
            .tokens = c->tokens + begin, .end = end - begin, .slot = *rows};
        *rows += end - begin;
    }
    return count;
}

// A key that is not finite, or large, shows on the diagonal of C, as a sum of squares.
static void moment_watch(struct cmd *cmd, fbuf c, uint32_t ffn, fbuf fault, uint32_t place)
{
    op_watch(cmd, (struct watch_args){.x = c, .fault = fault, .n = ffn, .step_ = ffn + 1,
                                      .place = place});
}

// Where sums go: of layer list[i] to sums[i], what is wrong with it to fault + i * FAULT_WORDS.
struct moments {
    const uint32_t *list; // ascending
    const fbuf *sums;
    uint32_t count;
    fbuf fault;
};

// C += alpha * K^T K over some blocks, of all layers in one pass.
static bool moment_add(struct model *model, const struct sequence *sequences, uint32_t count,
                       uint32_t rows, const struct moments *m, float alpha, uint32_t place)
{
    struct pass pass = {0};
    struct cmd cmd = {0};
    const uint32_t ffn = model->config.ffn, last = m->list[m->count - 1];
    bool ok = pass_new(&pass, model, sequences, count, last + 1, false);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        const struct matrix keys = matrix_of(pass.acts.key->address, rows, ffn);
        for (uint32_t i = 0, from = 0; i < m->count; from = m->list[i++] + 1) {
            pass_next_key(&cmd, model, &pass, from, m->list[i], i + 1 == m->count);
            gemm_tn(&cmd, keys, keys, matrix_of(m->sums[i], ffn, ffn), alpha, 1, SHAPE_LOWER);
            moment_watch(&cmd, m->sums[i], ffn, m->fault + 4ull * FAULT_WORDS * i, place);
        }
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    pass_free(&pass);
    return ok;
}

// Computes a batch of blocks into a result of its own.
typedef bool again_fn(struct model *model, const struct sequence *sequences, uint32_t count,
                      uint32_t rows, uint32_t layer, struct buffer **result);

static bool zero(struct device *dev, struct buffer *buffer, uint64_t n)
{
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = buffer->address, .n = (uint)n, .value = 0});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

static bool zeroed(struct device *dev, uint64_t n, const char *name, struct buffer **buffer)
{
    return buffer_new(dev, n * sizeof(float), name, buffer) && zero(dev, *buffer, n);
}

// The blocks from `first` on are at fault: once more, watched. Always fails.
static bool blame(struct model *model, const struct corpus *corpus, uint32_t first,
                  uint32_t layer, const char *what, again_fn *again)
{
    struct sequence *sequences = mem_new(ROWS, sizeof *sequences, "sequences");
    struct watch watch = {0};
    struct buffer *result = NULL;
    char who[160];
    uint32_t rows = 0, begin = 0, end = 0, count = 0;
    if (sequences) count = take_blocks(corpus, first, sequences, &rows);
    corpus_block(corpus, first, &begin, &end);
    snprintf(who, sizeof who, "%s of layer %u, tokens %u to %u of %s", what, layer, begin,
             begin + rows - 1, corpus->source);
    (void)(sequences && watch_start(&watch, model->dev) &&
           again(model, sequences, count, rows, layer, &result));
    watch_end(&watch, who, NULL);
    buffer_free(model->dev, &result);
    free(sequences);
    return false;
}

static bool moment_again(struct model *model, const struct sequence *sequences, uint32_t count,
                         uint32_t rows, uint32_t layer, struct buffer **result)
{
    uint64_t ffn = model->config.ffn;
    struct buffer *fault = NULL;
    bool ok = zeroed(model->dev, ffn * ffn, "C", result) &&
              zeroed(model->dev, FAULT_WORDS, "a fault", &fault);
    if (ok) {
        const struct moments one = {&layer, &(*result)->address, 1, fault->address};
        ok = moment_add(model, sequences, count, rows, &one, 1, 1);
    }
    buffer_free(model->dev, &fault);
    return ok;
}

// Everything one batch of blocks needs for its gradient.
struct slope {
    struct pass pass;
    struct grads grads;
    struct buffer *key, *target, *weight, *lse, *loss, *fault;
    uint32_t targets;
};

static void slope_free(struct device *dev, struct slope *p)
{
    pass_free(&p->pass);
    grads_free(&p->grads);
    buffer_free(dev, &p->key);
    buffer_free(dev, &p->target);
    buffer_free(dev, &p->weight);
    buffer_free(dev, &p->lse);
    buffer_free(dev, &p->loss);
    buffer_free(dev, &p->fault);
}

// The head's rows, targets and weights: every token but a block's last predicts the next.
static bool targets_make(struct slope *p, const struct model *model,
                         const struct sequence *sequences, uint32_t count, uint32_t rows)
{
    uint32_t *index = mem_new(rows, sizeof *index, "targets");
    uint32_t *target = mem_new(rows, sizeof *target, "targets");
    float *weight = mem_new(rows, sizeof *weight, "targets");
    bool ok = index && target && weight;
    for (uint32_t s = 0; ok && s < count; s++)
        for (uint32_t t = 0; t + 1 < sequences[s].end; t++, p->targets++) {
            index[p->targets] = sequences[s].slot + t;
            target[p->targets] = sequences[s].tokens[t + 1];
            weight[p->targets] = 1;
        }
    struct device *dev = model->dev;
    uint64_t bytes = p->targets * sizeof(float);
    ok = ok && p->targets > 0 && pass_head(&p->pass, model, index, p->targets) &&
         buffer_from(dev, target, bytes, "targets", &p->target) &&
         buffer_from(dev, weight, bytes, "targets", &p->weight) &&
         buffer_new(dev, bytes, "losses", &p->lse) && buffer_new(dev, bytes, "losses", &p->loss);
    free(index);
    free(target);
    free(weight);
    return ok;
}

static void slope_record(struct cmd *cmd, struct model *model, struct slope *p, uint32_t layer,
                         fbuf g)
{
    const struct pass *pass = &p->pass;
    uint32_t rows = pass->batch.rows, layers = model->config.layers, vocab = model->config.vocab;
    forward_embed(cmd, model, &pass->batch, &pass->acts);
    forward_layers(cmd, model, &pass->batch, &pass->cache, &pass->acts, 0, layer + 1);
    op_axpby(cmd, (struct axpby_args){.x = pass->acts.key->address, .y = p->key->address,
                                      .n = rows * model->config.ffn, .alpha = 1});
    forward_layers(cmd, model, &pass->batch, &pass->cache, &pass->acts, layer + 1, layers);
    forward_head(cmd, model, &pass->head, pass->acts.stream[layers]->address);
    cmd_part(cmd, "loss", CMD_NO_NUMBER);
    op_cross_entropy(cmd, (struct cross_entropy_args){
                              .logits = pass->head.logits->address, .target = p->target->address,
                              .lse = p->lse->address, .loss = p->loss->address,
                              .rows = p->targets, .cols = vocab});
    op_cross_entropy_back(cmd, (struct cross_entropy_back_args){
                                   .target = p->target->address, .lse = p->lse->address,
                                   .weight = p->weight->address,
                                   .logits = pass->head.logits->address, .rows = p->targets,
                                   .cols = vocab});
    backward_head(cmd, model, &pass->head, &p->grads, rows);
    backward_layers(cmd, model, &pass->batch, &pass->cache, &pass->acts, &p->grads, layer + 1,
                    layers);
    fbuf streams[] = {pass->acts.stream[layers]->address, p->grads.stream->address};
    for (uint32_t i = 0; i < 2; i++)
        op_watch(cmd, (struct watch_args){.x = streams[i], .fault = p->fault->address,
                                          .n = rows * model->config.dim, .step_ = 1,
                                          .place = i + 1});
    gemm_tn(cmd, matrix_of(p->grads.stream->address, rows, model->config.dim),
            matrix_of(p->key->address, rows, model->config.ffn),
            matrix_of(g, model->config.dim, model->config.ffn), 1, 1, SHAPE_FULL);
}

struct gradient { // of the blocks so far
    double loss;
    uint32_t targets;
    bool faulty;
};

static bool gradient_add(struct model *model, const struct sequence *sequences, uint32_t count,
                         uint32_t rows, uint32_t layer, fbuf g, struct gradient *sum)
{
    struct slope p = {0};
    uint32_t words[FAULT_WORDS] = {0};
    struct device *dev = model->dev;
    struct cmd cmd = {0};
    float *losses = mem_new(rows, sizeof *losses, "losses");
    bool ok = losses && pass_new(&p.pass, model, sequences, count, model->config.layers, true) &&
              grads_new(&p.grads, model, &p.pass.batch, rows) &&
              buffer_new(dev, (uint64_t)rows * model->config.ffn * 4, "keys", &p.key) &&
              zeroed(dev, FAULT_WORDS, "a fault", &p.fault) &&
              targets_make(&p, model, sequences, count, rows);
    if (ok) {
        cmd_start(&cmd, dev, false);
        slope_record(&cmd, model, &p, layer, g);
        ok = cmd_run_once(&cmd) && buffer_read(dev, p.fault, 0, words, sizeof words) &&
             buffer_read(dev, p.loss, 0, losses, p.targets * sizeof(float));
    }
    for (uint32_t i = 0; ok && i < p.targets; i++) sum->loss += (double)losses[i];
    sum->targets += p.targets;
    sum->faulty = words[FAULT_PLACE] || !isfinite(sum->loss);
    cmd_free(&cmd);
    slope_free(dev, &p);
    free(losses);
    return ok;
}

static bool gradient_again(struct model *model, const struct sequence *sequences, uint32_t count,
                           uint32_t rows, uint32_t layer, struct buffer **result)
{
    struct gradient sum = {0};
    return zeroed(model->dev, (uint64_t)model->config.dim * model->config.ffn, "grad G", result) &&
           gradient_add(model, sequences, count, rows, layer, (*result)->address, &sum);
}

// The batches a text is cut into: batch i has the blocks [first[i], first[i + 1]).
struct batches {
    uint32_t *first; // [count + 1]
    uint32_t count;
};

static bool batches_cut(struct batches *b, const struct corpus *corpus, bool predicting)
{
    const uint32_t blocks = corpus_blocks(corpus);
    struct sequence *sequences = mem_new(ROWS, sizeof *sequences, "sequences");
    *b = (struct batches){.first = mem_new((size_t)blocks + 1, sizeof *b->first, "batches")};
    bool ok = sequences && b->first;
    for (uint32_t i = 0, rows = 0; ok && i < blocks; b->first[++b->count] = i) {
        i += take_blocks(corpus, i, sequences, &rows);
        if (i == blocks && rows < 2 && predicting) break; // a block of one token predicts nothing
    }
    free(sequences);
    return ok;
}

bool stats_batches(const struct corpus *corpus, bool predicting, uint32_t *count)
{
    struct batches b;
    const bool ok = batches_cut(&b, corpus, predicting);
    *count = b.count;
    free(b.first);
    return ok;
}

// A sum in the making: what a batch adds to it.
struct summing {
    struct model *model;
    const struct corpus *corpus;
    struct moments moments; // grad G: one layer and its sum
    struct gradient gradient;
};
typedef bool batch_fn(struct summing *s, const struct sequence *sequences, uint32_t count,
                      uint32_t rows, uint32_t first);

static bool moment_batch(struct summing *s, const struct sequence *sequences, uint32_t count,
                         uint32_t rows, uint32_t first)
{
    return moment_add(s->model, sequences, count, rows, &s->moments,
                      (float)(1 / (double)s->corpus->count), first + 1);
}

static bool gradient_batch(struct summing *s, const struct sequence *sequences, uint32_t count,
                           uint32_t rows, uint32_t first)
{
    const uint32_t layer = s->moments.list[0];
    return gradient_add(s->model, sequences, count, rows, layer, s->moments.sums[0],
                        &s->gradient) &&
           (!s->gradient.faulty ||
            blame(s->model, s->corpus, first, layer, "grad G", gradient_again));
}

static uint64_t tokens_of(const struct corpus *corpus, const struct batches *b,
                          struct leaves leaves)
{
    uint32_t begin, end, last, unused;
    if (leaves.end <= leaves.first) return 0;
    tree_leaf(leaves.first, b->count, &begin, &unused);
    tree_leaf(leaves.end - 1, b->count, &unused, &end);
    if (end <= begin) return 0;
    corpus_block(corpus, b->first[begin], &begin, &unused);
    corpus_block(corpus, b->first[end] - 1, &unused, &last);
    return last - begin;
}

static bool leaves_sum(struct summing *s, const struct batches *b, struct leaves leaves,
                       batch_fn *add, const char *label, struct tree *trees)
{
    const uint32_t n = s->moments.count;
    struct sequence *sequences = mem_new(ROWS, sizeof *sequences, "sequences");
    bool ok = sequences != NULL;
    struct progress bar;
    progress_start(&bar, label, "token", tokens_of(s->corpus, b, leaves));
    for (uint32_t leaf = leaves.first; ok && leaf < leaves.end; leaf++) {
        uint32_t first, end, rows;
        tree_leaf(leaf, b->count, &first, &end);
        for (uint32_t t = 0; ok && t < n && first < end; t++)
            ok = zero(s->model->dev, trees[t].sum, (uint64_t)trees[t].rows * trees[t].cols);
        for (uint32_t i = first; ok && i < end; i++) {
            const uint32_t count = take_blocks(s->corpus, b->first[i], sequences, &rows);
            ok = interrupt_check() && add(s, sequences, count, rows, b->first[i]);
            progress_step(&bar, rows);
        }
        for (uint32_t t = 0; ok && t < n; t++) ok = tree_put(&trees[t], leaf, 1, first < end);
    }
    progress_end(&bar);
    free(sequences);
    return ok;
}

// The sums as they came out, unless one of them is at fault.
static bool moments_check(struct model *model, const struct corpus *corpus,
                          const struct moments *m, struct buffer *fault)
{
    for (uint32_t i = 0; i < m->count; i++) {
        uint32_t words[FAULT_WORDS] = {0};
        if (!buffer_read(model->dev, fault, sizeof words * i, words, sizeof words)) return false;
        if (words[FAULT_PLACE])
            return blame(model, corpus, words[FAULT_PLACE] - 1, m->list[i], "C", moment_again);
    }
    return true;
}

bool stats_moment_sum(struct model *model, const struct corpus *corpus, const uint32_t *layers,
                      uint32_t count, struct leaves leaves, struct tree *trees)
{
    const uint32_t ffn = model->config.ffn;
    struct batches batches = {0};
    struct buffer *fault = NULL;
    fbuf *sums = mem_new(count, sizeof *sums, "sums over text");
    bool ok = sums && batches_cut(&batches, corpus, false) &&
              zeroed(model->dev, (uint64_t)FAULT_WORDS * count, "a fault", &fault);
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = tree_new(&trees[i], model->dev, ffn, ffn, true);
        if (ok) sums[i] = trees[i].sum->address;
    }
    if (ok) {
        struct summing s = {.model = model, .corpus = corpus,
                            .moments = {layers, sums, count, fault->address}};
        ok = leaves_sum(&s, &batches, leaves, moment_batch, "statistics C", trees) &&
             moments_check(model, corpus, &s.moments, fault);
    }
    buffer_free(model->dev, &fault);
    free(batches.first);
    free(sums);
    for (uint32_t i = 0; !ok && i < count; i++) tree_free(&trees[i]);
    return ok;
}

bool stats_gradient_sum(struct model *model, const struct corpus *corpus, uint32_t layer,
                        struct leaves leaves, struct tree *tree, double *loss)
{
    struct summing s = {.model = model, .corpus = corpus};
    struct batches batches = {0};
    bool ok = batches_cut(&batches, corpus, true) &&
              tree_new(tree, model->dev, model->config.dim, model->config.ffn, false);
    if (ok) {
        s.moments = (struct moments){.list = &layer, .sums = &tree->sum->address, .count = 1};
        ok = leaves_sum(&s, &batches, leaves, gradient_batch, "gradient G", tree);
    }
    *loss = s.gradient.targets ? s.gradient.loss / s.gradient.targets : 0;
    free(batches.first);
    if (!ok) tree_free(tree);
    return ok;
}

bool stats_gradient(struct model *model, const struct corpus *corpus, uint32_t layer,
                    struct buffer **g, double *loss)
{
    struct tree tree = {0};
    *g = NULL;
    bool ok = stats_gradient_sum(model, corpus, layer, LEAVES_ALL, &tree, loss) &&
              tree_take(&tree, g);
    tree_free(&tree);
    return ok;
}
