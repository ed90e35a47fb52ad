#include "cli/trail_geometry.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/mem.h"
#include "ops/gemm.h"

static bool load(struct device *dev, const float *rows, uint32_t count, uint32_t cols,
                 struct buffer **buffer)
{
    return count == 0 || buffer_from(dev, rows, 4ull * count * cols, "pairs of edits", buffer);
}

// Masked edits have no low rank: their sum is formed.
static bool spectrum_of(struct device *dev, const struct trail *t, struct buffer *u,
                        struct buffer *w, struct spectrum *s)
{
    struct buffer *total = NULL;
    if (!t->mask.zeros || !t->count) return spectrum_pairs(dev, u, w, t->count, t->dim, t->ffn, s);
    bool ok = trail_total(t, dev, &total) && spectrum_matrix(dev, total, t->dim, t->ffn, s);
    buffer_free(dev, &total);
    return ok;
}

// Of masked edits, one key after the other: |A k|, and |(A - B) k| by the difference of the values.
struct masked {
    struct buffer *total, *one, *key, *values; // values: A k, B k [2, dim]
    float *host;                               // [2, dim]
};

static bool masked_scores(struct device *dev, const struct trail *t, struct masked *m, float *own,
                          float *unrelated)
{
    const uint32_t d = t->dim, n = t->ffn;
    m->host = mem_new(2ull * d, sizeof *m->host, "activations");
    bool ok = m->host && trail_total(t, dev, &m->total) &&
              buffer_new(dev, 4ull * d * n, "dW of an edit", &m->one) &&
              buffer_new(dev, 4ull * n, "a key", &m->key) &&
              buffer_new(dev, 8ull * d, "activations", &m->values);
    for (uint32_t j = 0; ok && j < t->count; j++) {
        struct cmd cmd;
        double mine = 0, others = 0;
        ok = interrupt_check() && trail_one(t, dev, j, m->one) &&
             buffer_write(dev, m->key, 0, t->k + (size_t)j * n, 4ull * n);
        if (!ok) break;
        cmd_start(&cmd, dev, false);
        gemm_nt(&cmd, matrix_of(m->key->address, 1, n), matrix_of(m->one->address, d, n),
                matrix_of(m->values->address, 1, d), 1, 0);
        gemm_nt(&cmd, matrix_of(m->key->address, 1, n), matrix_of(m->total->address, d, n),
                matrix_of(m->values->address + 4ull * d, 1, d), 1, 0);
        ok = cmd_run_once(&cmd) && buffer_read(dev, m->values, 0, m->host, 8ull * d);
        cmd_free(&cmd);
        for (uint32_t i = 0; i < d; i++) {
            double one = (double)m->host[i], rest = (double)m->host[d + i] - one;
            mine += one * one;
            others += rest * rest;
        }
        own[j] = (float)sqrt(mine);
        unrelated[j] = (float)sqrt(others);
    }
    buffer_free(dev, &m->total);
    buffer_free(dev, &m->one);
    buffer_free(dev, &m->key);
    buffer_free(dev, &m->values);
    free(m->host);
    return ok;
}

static bool scores(struct trail_geometry *g, struct device *dev, const struct trail *t,
                   struct buffer *u, struct buffer *w)
{
    struct buffer *k = NULL;
    struct masked masked = {0};
    g->own = mem_new(t->count, sizeof *g->own, "activation scores");
    g->unrelated = mem_new(t->count, sizeof *g->unrelated, "activation scores");
    if (!g->own || !g->unrelated) return false;
    if (t->mask.zeros) return masked_scores(dev, t, &masked, g->own, g->unrelated);
    bool ok = load(dev, t->k, t->count, t->ffn, &k) &&
              geometry_scores(dev, u, w, k, t->count, t->dim, t->ffn, g->own, g->unrelated);
    buffer_free(dev, &k);
    return ok;
}

bool trail_geometry(struct trail_geometry *g, struct device *dev, const struct trail *t,
                    struct buffer *base, struct buffer *edited)
{
    struct buffer *u = NULL, *w = NULL;
    const size_t square = (size_t)t->count * t->count;
    *g = (struct trail_geometry){.trail = t};
    g->cosines_u = mem_new(square, sizeof *g->cosines_u, "cosines");
    g->cosines_w = mem_new(square, sizeof *g->cosines_w, "cosines");
    bool ok = g->cosines_u && g->cosines_w && load(dev, t->u, t->count, t->dim, &u) &&
              load(dev, t->w, t->count, t->ffn, &w) && spectrum_of(dev, t, u, w, &g->total) &&
              geometry_cosines(dev, u, t->count, t->dim, g->cosines_u, &g->cos_u) &&
              geometry_cosines(dev, w, t->count, t->ffn, g->cosines_w, &g->cos_w) &&
              (!t->k || scores(g, dev, t, u, w)) &&
              (!base || (spectrum_matrix(dev, base, t->dim, t->ffn, &g->base) &&
                         spectrum_matrix(dev, edited, t->dim, t->ffn, &g->edited)));
    buffer_free(dev, &u);
    buffer_free(dev, &w);
    if (!ok) trail_geometry_free(g);
    return ok;
}

void trail_geometry_free(struct trail_geometry *g)
{
    spectrum_free(&g->total);
    spectrum_free(&g->base);
    spectrum_free(&g->edited);
    free(g->cosines_u);
    free(g->cosines_w);
    free(g->own);
    free(g->unrelated);
    *g = (struct trail_geometry){0};
}

bool trail_norm(struct device *dev, const struct trail *t, double *norm)
{
    struct buffer *u = NULL, *w = NULL;
    struct spectrum s = {0};
    bool ok = load(dev, t->u, t->count, t->dim, &u) && load(dev, t->w, t->count, t->ffn, &w) &&
              spectrum_of(dev, t, u, w, &s);
    *norm = s.norm;
    spectrum_free(&s);
    buffer_free(dev, &u);
    buffer_free(dev, &w);
    return ok;
}

static void add_spectrum(cJSON *to, const char *name, const struct spectrum *s, bool values)
{
    cJSON *o = cJSON_AddObjectToObject(to, name);
    json_number(o, "norm", s->norm);
    json_number(o, "frobenius", s->frobenius);
    json_number(o, "rank", s->rank);
    json_number(o, "condition", s->condition);
    json_number(o, "condition_nonzero", s->nonzero);
    if (!values) return;
    cJSON *list = cJSON_AddArrayToObject(o, "values");
    for (uint32_t i = 0; i < s->count; i++)
        json_push(list, (double)s->values[i]);
}

static void add_cosines(cJSON *to, const char *name, const float *cosines, uint32_t count,
                        uint32_t shown)
{
    cJSON *rows = cJSON_AddArrayToObject(to, name);
    for (uint32_t i = 0; i < shown; i++) {
        cJSON *row = cJSON_CreateArray();
        for (uint32_t j = 0; j < shown; j++)
            json_push(row, (double)cosines[(size_t)i * count + j]);
        json_append(rows, row);
    }
}

static double mean(const float *values, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sum += (double)values[i];
    return count ? sum / count : NAN;
}

cJSON *trail_geometry_json(const struct trail_geometry *g, uint32_t shown)
{
    const struct trail *t = g->trail;
    cJSON *o = cJSON_CreateObject();
    if (shown > t->count) shown = t->count;
    json_number(o, "edits", t->count);
    add_spectrum(o, "total", &g->total, true);
    if (g->base.values) add_spectrum(o, "base", &g->base, false);
    if (g->edited.values) add_spectrum(o, "edited", &g->edited, false);
    json_number(o, "cos_u", g->cos_u);
    json_number(o, "cos_w", g->cos_w);
    add_cosines(o, "cosines_u", g->cosines_u, t->count, shown);
    add_cosines(o, "cosines_w", g->cosines_w, t->count, shown);
    if (!g->own) return o;
    json_number(o, "own", mean(g->own, t->count));
    json_number(o, "unrelated", mean(g->unrelated, t->count));
    cJSON *list = cJSON_AddArrayToObject(o, "scores");
    for (uint32_t j = 0; j < t->count; j++) {
        cJSON *score = cJSON_CreateObject();
        json_number(score, "edit", t->numbers[j]);
        json_number(score, "own", (double)g->own[j]);
        json_number(score, "unrelated", (double)g->unrelated[j]);
        json_append(list, score);
    }
    return o;
}

static void print_matrix(const char *name, const struct spectrum *s)
{
    printf("%-14s |.|_2 %.4g, |.|_F %.4g, condition %.4g\n", name, s->norm, s->frobenius,
           s->condition);
}

void trail_geometry_print(const struct trail_geometry *g)
{
    const uint32_t count = g->trail->count;
    printf("%-14s %u\n", "edits", count);
    printf("%-14s |.|_2 %.4g, |.|_F %.4g, rank %u, condition of what is not zero %.4g\n",
           "dW_total", g->total.norm, g->total.frobenius, g->total.rank, g->total.nonzero);
    if (g->base.values) print_matrix("W", &g->base);
    if (g->edited.values) print_matrix("W + dW_total", &g->edited);
    printf("%-14s u %.4f, w %.4f\n", "mean |cos|", g->cos_u, g->cos_w);
    if (g->own)
        printf("%-14s own %.4g, unrelated %.4g\n", "activation", mean(g->own, count),
               mean(g->unrelated, count));
}
