#include "edit/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/store.h"
#include "linalg/range.h"
#include "linalg/svd.h"
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

// C += alpha * K^T K over some blocks.
static bool moment_add(struct model *model, const struct sequence *sequences, uint32_t count,
                       uint32_t rows, uint32_t layer, fbuf c, float alpha, fbuf fault,
                       uint32_t place)
{
    struct pass pass = {0};
    struct cmd cmd = {0};
    uint32_t ffn = model->config.ffn;
    bool ok = pass_new(&pass, model, sequences, count, layer + 1, false);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        pass_key(&cmd, model, &pass, layer);
        struct matrix keys = matrix_of(pass.acts.key->address, rows, ffn);
        gemm_tn(&cmd, keys, keys, matrix_of(c, ffn, ffn), alpha, 1, SHAPE_LOWER);
        moment_watch(&cmd, c, ffn, fault, place);
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    pass_free(&pass);
    return ok;
}

// Computes a batch of blocks into a result of its own.
typedef bool again_fn(struct model *model, const struct sequence *sequences, uint32_t count,
                      uint32_t rows, uint32_t layer, struct buffer **result);

static bool zeroed(struct device *dev, uint64_t n, const char *name, struct buffer **buffer)
{
    if (!buffer_new(dev, n * sizeof(float), name, buffer)) return false;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = (*buffer)->address, .n = (uint)n, .value = 0});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
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
              zeroed(model->dev, FAULT_WORDS, "a fault", &fault) &&
              moment_add(model, sequences, count, rows, layer, (*result)->address, 1,
                         fault->address, 1);
    buffer_free(model->dev, &fault);
    return ok;
}

static bool moment_compute(struct model *model, const struct corpus *corpus, uint32_t layer,
                           struct buffer **c)
{
    struct sequence *sequences = mem_new(ROWS, sizeof *sequences, "sequences");
    struct buffer *fault = NULL;
    uint32_t words[FAULT_WORDS] = {0};
    uint64_t ffn = model->config.ffn;
    bool ok = sequences && zeroed(model->dev, ffn * ffn, "C", c) &&
              zeroed(model->dev, FAULT_WORDS, "a fault", &fault);
    struct progress bar;
    progress_start(&bar, "statistics C", "token", corpus->count);
    for (uint32_t i = 0, count, rows; ok && i < corpus_blocks(corpus); i += count) {
        count = take_blocks(corpus, i, sequences, &rows);
        ok = interrupt_check() &&
             moment_add(model, sequences, count, rows, layer, (*c)->address,
                        (float)(1 / (double)corpus->count), fault->address, i + 1);
        progress_step(&bar, rows);
    }
    progress_end(&bar);
    ok = ok && buffer_read(model->dev, fault, 0, words, sizeof words);
    if (ok && words[FAULT_PLACE])
        ok = blame(model, corpus, words[FAULT_PLACE] - 1, layer, "C", moment_again);
    buffer_free(model->dev, &fault);
    free(sequences);
    return ok;
}

// The cache's file: what was measured, of which model and layer, on which text, with which numbers.
static bool name_of(char kind, struct model *model, struct weights *weights,
                    const struct corpus *corpus, uint32_t layer, char name[static 128])
{
    const char *hash = weights_hash(weights);
    if (hash)
        snprintf(name, 128, "%c-%s-%u-%016llx%s.f32", kind, hash, layer,
                 (unsigned long long)corpus->id, model->dev->strict ? "-strict" : "");
    return hash != NULL;
}

bool stats_moment(struct model *model, struct weights *weights, const struct corpus *corpus,
                  uint32_t layer, struct buffer **c)
{
    uint64_t ffn = model->config.ffn, bytes = ffn * ffn * sizeof(float);
    float *host = mem_new(ffn * ffn, sizeof *host, "C");
    char name[128];
    bool ok = host && name_of('c', model, weights, corpus, layer, name);
    *c = NULL;
    if (ok && !corpus->unkept && store_load(name, ffn, ffn, host)) {
        log_detail("C of layer %u from the cache", layer);
        ok = buffer_from(model->dev, host, bytes, "C", c);
    } else if (ok) {
        log_say("C of layer %u from %u tokens of %s", layer, corpus->count, corpus->source);
        ok = moment_compute(model, corpus, layer, c) &&
             buffer_read(model->dev, *c, 0, host, bytes) &&
             (corpus->unkept || store_save(name, ffn, ffn, host));
    }
    free(host);
    if (!ok) buffer_free(model->dev, c);
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
    backward_layers(cmd, model, &pass->batch, &pass->cache, &pass->acts, &p->grads, layer + 1, layers);
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

bool stats_gradient(struct model *model, const struct corpus *corpus, uint32_t layer,
                    struct buffer **g, double *loss)
{
    struct sequence *sequences = mem_new(ROWS, sizeof *sequences, "sequences");
    struct gradient sum = {0};
    bool ok = sequences &&
              zeroed(model->dev, (uint64_t)model->config.dim * model->config.ffn, "grad G", g);
    struct progress bar;
    progress_start(&bar, "gradient G", "token", corpus->count);
    for (uint32_t i = 0, count, rows; ok && i < corpus_blocks(corpus); i += count) {
        count = take_blocks(corpus, i, sequences, &rows);
        if (rows < 2) break; // a last block of one token predicts nothing
        ok = interrupt_check() &&
             gradient_add(model, sequences, count, rows, layer, (*g)->address, &sum);
        if (ok && sum.faulty) ok = blame(model, corpus, i, layer, "grad G", gradient_again);
        progress_step(&bar, rows);
    }
    progress_end(&bar);
    free(sequences);
    *loss = sum.targets ? sum.loss / sum.targets : 0;
    return ok;
}

// The first `count` left singular vectors of a [n, cols] and their values; zero behind them.
static bool some_vectors(struct device *dev, struct buffer *a, uint32_t n, uint32_t cols,
                         uint32_t count, struct buffer *rows, float *values)
{
    struct range_report r;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = rows->address, .n = n * n});
    bool ok = cmd_run_once(&cmd) && range_left(dev, a, n, cols, count, rows, values, &r);
    cmd_free(&cmd);
    for (uint32_t i = count; i < n; i++) values[i] = 0;
    if (!ok || !(r.energy > 0)) return ok;
    char turned[64] = "";
    if (r.sine < 1) snprintf(turned, sizeof turned, "; they are turned by a sine of %.1e", r.sine);
    log_say("%u of %u directions by %u random probes in %u passes, %.1f s: they hold %.4g%% of "
            "|G|^2, and no %u hold over %.4g%% more%s (but with probability %g)", count, n,
            r.probes, r.passes, r.seconds, 100 * r.held / r.energy, count, 100 * r.lost / r.energy, turned,
            RANGE_ODDS);
    return true;
}

// All of them.
static bool all_vectors(struct device *dev, struct buffer *a, uint32_t n, uint32_t cols,
                        struct buffer *rows, float *values)
{
    struct buffer *sigma = NULL;
    bool ok = buffer_new(dev, n * 4, "singular values", &sigma) &&
              svd_left(dev, a, n, cols, rows, sigma, NULL) &&
              buffer_read(dev, sigma, 0, values, n * 4);
    buffer_free(dev, &sigma);
    return ok;
}

// Left singular vectors as rows [n, n] and their values [n] of what `make` makes, or from the
// cache: `count` of them, or n.
static bool vectors(struct model *model, const struct corpus *corpus, const char *name,
                    const char *what, uint32_t n, uint32_t cols, uint32_t count,
                    struct buffer *made,
                    bool (*make)(struct model *model, const struct corpus *corpus, uint32_t layer,
                                 struct buffer **made),
                    uint32_t layer, struct buffer **rows, float *values)
{
    struct device *dev = model->dev;
    const uint64_t square = (uint64_t)n * n;
    float *host = mem_new(square + n, sizeof *host, "singular vectors"); // vectors, then values
    struct buffer *own = NULL;
    bool ok = host != NULL;
    *rows = NULL;
    if (ok && !corpus->unkept && store_load(name, n + 1, n, host)) {
        log_detail("singular vectors of %s of layer %u from the cache", what, layer);
        ok = buffer_from(dev, host, square * 4, "singular vectors", rows);
    } else if (ok) {
        log_say("%s of layer %u from %u tokens of %s", what, layer, corpus->count, corpus->source);
        ok = (made || make(model, corpus, layer, &own)) &&
             buffer_new(dev, square * 4, "singular vectors", rows) &&
             (count < n ? some_vectors(dev, made ? made : own, n, cols, count, *rows, host + square)
                        : all_vectors(dev, made ? made : own, n, cols, *rows, host + square)) &&
             buffer_read(dev, *rows, 0, host, square * 4) &&
             (corpus->unkept || store_save(name, n + 1, n, host));
    }
    for (uint32_t i = 0; ok && i < n; i++) values[i] = host[square + i];
    buffer_free(dev, &own);
    free(host);
    if (!ok) buffer_free(dev, rows);
    return ok;
}

static bool gradient_make(struct model *model, const struct corpus *corpus, uint32_t layer,
                          struct buffer **made)
{
    double loss;
    return stats_gradient(model, corpus, layer, made, &loss);
}

bool stats_count(const struct model *model, const struct hparams *h, uint32_t *count)
{
    const struct config *c = &model->config;
    const bool fits = range_fits(c->dim, c->ffn, h->q_max);
    *count = c->dim;
    if (h->grad_svd == GRAD_SVD_PROBES && !fits) {
        uint32_t most = c->dim;
        while (most > 0 && !range_fits(c->dim, c->ffn, most)) most--;
        return fail(STATUS_USAGE, "--grad-svd probes: wanted --q-max from 1 to %u, as the "
                                  "directions of a matrix [%u, %u] to be found",
                    most, c->dim, c->ffn);
    }
    if (h->grad_svd == GRAD_SVD_PROBES ||
        (h->grad_svd == GRAD_SVD_AUTO && range_pays(c->dim, c->ffn, h->q_max)))
        *count = h->q_max;
    return true;
}

bool stats_directions(struct model *model, struct weights *weights, const struct corpus *corpus,
                      uint32_t layer, uint32_t count, struct buffer **rows, float *values)
{
    const struct config *c = &model->config;
    char name[128], few[32] = "";
    if (!name_of('g', model, weights, corpus, layer, name)) return false;
    if (count < c->dim) { // a file of its own, by its number
        snprintf(few, sizeof few, "-first%u.f32", count);
        name[strlen(name) - strlen(".f32")] = 0;
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s", few);
    }
    return vectors(model, corpus, name, "grad G", c->dim, c->ffn, count, NULL, gradient_make, layer,
                   rows, values);
}

bool stats_spectrum(struct model *model, struct weights *weights, const struct corpus *corpus,
                    uint32_t layer, struct buffer *c, struct buffer **rows, float *values)
{
    const uint32_t n = model->config.ffn;
    char name[128];
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    op_mirror(&cmd, (struct mirror_args){.c = c->address, .n = n});
    bool ok = cmd_run_once(&cmd) && name_of('e', model, weights, corpus, layer, name) &&
              vectors(model, corpus, name, "the spectrum of C", n, n, n, c, NULL, layer, rows,
                      values);
    cmd_free(&cmd);
    return ok;
}
