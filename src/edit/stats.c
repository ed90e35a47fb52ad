#include "edit/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/store.h"
#include "linalg/range.h"
#include "linalg/svd.h"
#include "ops/ops.h"

bool origin_of(struct origin *o, const struct model *model, struct weights *weights,
               const struct corpus *corpus, uint32_t layer)
{
    const char *hash = weights_hash(weights);
    if (!hash) return false;
    *o = (struct origin){.text = corpus->id, .layer = layer, .tokens = corpus->count,
                         .dim = model->config.dim, .ffn = model->config.ffn,
                         .strict = model->dev->strict, .unkept = corpus->unkept};
    snprintf(o->model, sizeof o->model, "%s", hash);
    snprintf(o->source, sizeof o->source, "%s", corpus->source);
    return true;
}

// The cache's file: what was measured, of which model and layer, on which text, with which numbers.
// Strict ones say in which order they were summed (edit/tree.h), since their bits are promised.
static void name_of(char kind, const struct origin *o, char name[static 128])
{
    snprintf(name, 128, "%c-%s-%u-%016llx%s.f32", kind, o->model, o->layer,
             (unsigned long long)o->text, o->strict ? "-strict-tree" : "");
}

// Another process may be making it.
static bool wait_for(const struct origin *o, const char *name, struct lock *lock)
{
    return o->unkept || store_wait(name, lock);
}

static bool mirror(struct device *dev, struct buffer *c, uint32_t n)
{
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_mirror(&cmd, (struct mirror_args){.c = c->address, .n = n});
    const bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

bool stats_moment_keep(struct device *dev, const struct origin *o, struct buffer *c)
{
    const uint64_t n = o->ffn;
    char name[128];
    if (!mirror(dev, c, o->ffn)) return false; // what lies above the diagonal depends on tiles
    if (o->unkept) return true;
    float *host = mem_new(n * n, sizeof *host, "C");
    name_of('c', o, name);
    bool ok = host && buffer_read(dev, c, 0, host, n * n * sizeof *host) &&
              store_save(name, n, n, host);
    free(host);
    return ok;
}

static bool moment_load(struct device *dev, const struct origin *o, struct buffer **c, bool *found)
{
    const uint64_t n = o->ffn;
    char name[128];
    *found = false;
    if (o->unkept) return true;
    float *host = mem_new(n * n, sizeof *host, "C");
    name_of('c', o, name);
    *found = host && store_load(name, n, n, host);
    bool ok = host && (!*found || buffer_from(dev, host, n * n * sizeof *host, "C", c));
    free(host);
    return ok;
}

// C of `count` layers, by their origins, in one pass: into the cache, and to c, if it is given.
static bool moments_make(struct model *model, const struct corpus *corpus,
                         const struct origin *origins, uint32_t count, struct buffer **c)
{
    struct tree *trees = mem_new(count, sizeof *trees, "sums over text");
    uint32_t *layers = mem_new(count, sizeof *layers, "layers");
    bool ok = trees && layers;
    for (uint32_t i = 0; ok && i < count; i++) layers[i] = origins[i].layer;
    if (ok && count > 1)
        log_say("C of %u layers, %u to %u, from %u tokens of %s", count, layers[0],
                layers[count - 1], corpus->count, corpus->source);
    else if (ok)
        log_say("C of layer %u from %u tokens of %s", layers[0], corpus->count, corpus->source);
    ok = ok && stats_moment_sum(model, corpus, layers, count, LEAVES_ALL, trees);
    for (uint32_t i = 0; trees && i < count; i++) {
        struct buffer *sum = NULL;
        ok = ok && tree_take(&trees[i], &sum) && stats_moment_keep(model->dev, &origins[i], sum);
        tree_free(&trees[i]);
        if (ok && c) c[i] = sum;
        else buffer_free(model->dev, &sum);
    }
    free(trees);
    free(layers);
    return ok;
}

bool stats_moment(struct model *model, struct weights *weights, const struct corpus *corpus,
                  uint32_t layer, struct buffer **c)
{
    struct lock lock = {0};
    struct origin o;
    bool found = false;
    char name[128];
    *c = NULL;
    if (!origin_of(&o, model, weights, corpus, layer)) return false;
    name_of('c', &o, name);
    bool ok = wait_for(&o, name, &lock) && moment_load(model->dev, &o, c, &found);
    if (found) log_detail("C of layer %u from the cache", layer);
    ok = ok && (found || moments_make(model, corpus, &o, 1, c));
    lock_drop(&lock);
    if (!ok) buffer_free(model->dev, c);
    return ok;
}

uint32_t stats_together(uint32_t ffn, uint32_t waiting, uint32_t count)
{
    const uint64_t most = STATS_WAITING / (tree_kept(ffn, ffn, true) * sizeof(float) * waiting + 1);
    return most < 1 ? 1 : most < count ? (uint32_t)most : count;
}

// The next layers that the cache lacks, `most` of them at most, each with its lock: all processes
// take them in the same order. *first: behind the last one looked at.
static bool lacking(const struct origin *all, uint32_t count, uint32_t most, uint32_t *first,
                    struct origin *some, struct lock *locks, uint32_t *found)
{
    bool ok = true;
    for (*found = 0; ok && *first < count && *found < most; ++*first) {
        char name[128];
        name_of('c', &all[*first], name);
        ok = store_wait(name, &locks[*found]);
        if (!ok || store_has(name)) lock_drop(&locks[*found]);
        else some[(*found)++] = all[*first];
    }
    return ok;
}

bool stats_moments(struct model *model, struct weights *weights, const struct corpus *corpus,
                   const uint32_t *layers, uint32_t count)
{
    uint32_t batches, first = 0, found = 0;
    if (corpus->unkept || count < 2) return true;
    struct origin *all = mem_new(count, sizeof *all, "layers");
    struct origin *some = mem_new(count, sizeof *some, "layers");
    struct lock *locks = mem_new(count, sizeof *locks, "locks");
    bool ok = all && some && locks && stats_batches(corpus, false, &batches);
    for (uint32_t i = 0; ok && i < count; i++)
        ok = origin_of(&all[i], model, weights, corpus, layers[i]);
    const uint32_t most =
        ok ? stats_together(model->config.ffn, tree_waiting(batches), count) : 0;
    while (ok && first < count) {
        ok = lacking(all, count, most, &first, some, locks, &found) &&
             (found == 0 || moments_make(model, corpus, some, found, NULL));
        while (found) lock_drop(&locks[--found]);
    }
    free(all);
    free(some);
    free(locks);
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
            "|G|^2, and no %u hold over %.4g%% more%s (but with probability %g)",
            count, n, r.probes, r.passes, r.seconds, 100 * r.held / r.energy, count,
            100 * r.lost / r.energy, turned, RANGE_ODDS);
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

// Rows [n, n] and values [n] from the cache, if they are there.
static bool vectors_load(struct device *dev, const struct origin *o, const char *name, uint32_t n,
                         struct buffer **rows, float *values, bool *found)
{
    const uint64_t square = (uint64_t)n * n;
    *found = false;
    *rows = NULL;
    if (o->unkept) return true;
    float *host = mem_new(square + n, sizeof *host, "singular vectors"); // vectors, then values
    *found = host && store_load(name, (uint64_t)n + 1, n, host);
    bool ok = host && (!*found || buffer_from(dev, host, square * 4, "singular vectors", rows));
    if (*found) memcpy(values, host + square, n * sizeof *values);
    free(host);
    return ok;
}

// Left singular vectors of a [n, cols] as rows [n, n] and their values [n]: `count` of them, or n.
// They are put into the cache.
static bool vectors_make(struct device *dev, const struct origin *o, const char *name,
                         struct buffer *a, uint32_t n, uint32_t cols, uint32_t count,
                         struct buffer **rows, float *values)
{
    const uint64_t square = (uint64_t)n * n;
    float *host = mem_new(square + n, sizeof *host, "singular vectors");
    bool ok = host && buffer_new(dev, square * 4, "singular vectors", rows) &&
              (count < n ? some_vectors(dev, a, n, cols, count, *rows, values)
                         : all_vectors(dev, a, n, cols, *rows, values)) &&
              buffer_read(dev, *rows, 0, host, square * 4);
    if (ok) memcpy(host + square, values, n * sizeof *values);
    ok = ok && (o->unkept || store_save(name, (uint64_t)n + 1, n, host));
    free(host);
    if (!ok) buffer_free(dev, rows);
    return ok;
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

static void directions_name(const struct origin *o, uint32_t count, char name[static 128])
{
    name_of('g', o, name);
    if (count == o->dim) return;
    const size_t size = strlen(name) - strlen(".f32"); // a file of its own, by its number
    snprintf(name + size, 128 - size, "-first%u.f32", count);
}

bool stats_directions_keep(struct device *dev, const struct origin *o, struct buffer *g,
                           uint32_t count, struct buffer **rows, float *values)
{
    char name[128];
    directions_name(o, count, name);
    return vectors_make(dev, o, name, g, o->dim, o->ffn, count, rows, values);
}

bool stats_directions(struct model *model, struct weights *weights, const struct corpus *corpus,
                      uint32_t layer, uint32_t count, struct buffer **rows, float *values)
{
    struct device *dev = model->dev;
    struct buffer *g = NULL;
    struct lock lock = {0};
    struct origin o;
    double loss;
    bool found = false;
    char name[128];
    *rows = NULL;
    if (!origin_of(&o, model, weights, corpus, layer)) return false;
    directions_name(&o, count, name);
    bool ok = wait_for(&o, name, &lock) && vectors_load(dev, &o, name, o.dim, rows, values, &found);
    if (found) log_detail("singular vectors of grad G of layer %u from the cache", layer);
    if (ok && !found) {
        log_say("grad G of layer %u from %u tokens of %s", layer, corpus->count, corpus->source);
        ok = stats_gradient(model, corpus, layer, &g, &loss) &&
             stats_directions_keep(dev, &o, g, count, rows, values);
    }
    lock_drop(&lock);
    buffer_free(dev, &g);
    return ok;
}

bool stats_spectrum(struct model *model, struct weights *weights, const struct corpus *corpus,
                    uint32_t layer, struct buffer *c, struct buffer **rows, float *values)
{
    const uint32_t n = model->config.ffn;
    struct lock lock = {0};
    struct origin o;
    bool found = false;
    char name[128];
    *rows = NULL;
    if (!mirror(model->dev, c, n) || !origin_of(&o, model, weights, corpus, layer)) return false;
    name_of('e', &o, name);
    bool ok = wait_for(&o, name, &lock) &&
              vectors_load(model->dev, &o, name, n, rows, values, &found);
    if (found) log_detail("the spectrum of C of layer %u from the cache", layer);
    if (ok && !found) {
        log_say("the spectrum of C of layer %u from %u tokens of %s", layer, corpus->count,
                corpus->source);
        ok = vectors_make(model->dev, &o, name, c, n, n, n, rows, values);
    }
    lock_drop(&lock);
    return ok;
}
