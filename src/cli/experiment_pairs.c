// What only a run's pairs and matrices tell: overlaps of updates, activation scores, |dW_total|_2.
// From a folder's files alone, on the host and in double precision: charts want no device, which
// eval/geometry.h, of a running editor or a journal, has anyway.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/status.h"
#include "cli/experiment.h"
#include "edit/solvers.h"
#include "io/journal.h"

static double dot(const float *a, const float *b, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

bool run_has_keys(const char *solver)
{
    const struct solver *s = solver_find(solver);
    return s && !s->make;
}

bool outcome_has_keys(const struct outcome *x)
{
    const cJSON *solver = cJSON_GetObjectItem(x->settings, "solver");
    const cJSON *guard = cJSON_GetObjectItem(x->settings, "guard");
    bool masked = cJSON_IsString(guard) && strcmp(guard->valuestring, "zero") == 0; // edit/mask.h
    return cJSON_IsString(solver) && run_has_keys(solver->valuestring) && !masked;
}

// An edit's vector, aligned; zeros if it wrote nothing.
static void vector(const uint8_t *bytes, uint32_t n, float *to)
{
    if (bytes) memcpy(to, bytes, n * sizeof *to);
    else memset(to, 0, n * sizeof *to);
}

struct loaded {
    struct journal journal;
    float *u, *w, *keys; // [edits, rows], [edits, cols], [edits, cols]
    uint32_t edits, rows, cols;
};

static void loaded_free(struct loaded *l)
{
    journal_free(&l->journal);
    free(l->u);
    free(l->w);
    free(l->keys);
}

static bool loaded_open(struct loaded *l, const struct args *args, const struct outcome *x)
{
    char *path = experiment_path(args, x->id, ".journal");
    *l = (struct loaded){0};
    bool ok = path && journal_open(&l->journal, path, false);
    l->edits = ok ? (uint32_t)l->journal.edit_count : 0;
    if (ok && l->journal.header.tensor_count) {
        l->rows = (uint32_t)l->journal.header.tensors[0].rows;
        l->cols = (uint32_t)l->journal.header.tensors[0].cols;
    }
    l->u = mem_new((size_t)l->edits * l->rows, sizeof *l->u, "updates");
    l->w = mem_new((size_t)l->edits * l->cols, sizeof *l->w, "updates");
    ok = ok && l->u && l->w;
    for (uint32_t i = 0; ok && i < l->edits; i++) {
        const struct journal_edit *e = &l->journal.edits[i];
        if (!e->noop && e->rank != 1)
            ok = fail(STATUS_BAD_DATA, "%s: edit %u is no single pair", path, e->number);
        if (!ok) break;
        vector(e->noop ? NULL : e->u, l->rows, l->u + (size_t)i * l->rows);
        vector(e->noop ? NULL : e->w, l->cols, l->w + (size_t)i * l->cols);
    }
    free(path);
    return ok;
}

static bool keys_open(struct loaded *l, const struct args *args, const struct outcome *x)
{
    char *path = experiment_path(args, x->id, ".keys");
    size_t bytes = (size_t)l->edits * l->cols * sizeof(float);
    struct file_map map = {0};
    bool ok = path && file_map_open(&map, path) &&
              (map.size >= bytes || fail(STATUS_BAD_DATA, "%s: %zu bytes, wanted %zu", path,
                                         map.size, bytes)) &&
              (l->keys = mem_new(bytes, 1, "keys")) != NULL;
    if (ok) memcpy(l->keys, map.data, bytes);
    file_map_close(&map);
    free(path);
    return ok;
}

// Edits of other layers do not act on this layer's keys.
static double acts(const struct loaded *l, uint32_t i, uint32_t j)
{
    if (l->journal.edits[i].layer != l->journal.edits[j].layer) return 0;
    return dot(l->w + (size_t)i * l->cols, l->keys + (size_t)j * l->cols, l->cols);
}

bool activation_of(const struct args *args, const struct outcome *x, struct activation *a)
{
    struct loaded l;
    bool ok = loaded_open(&l, args, x) && keys_open(&l, args, x);
    double *others = mem_new(l.rows, sizeof *others, "activations");
    *a = (struct activation){.edits = l.edits};
    a->own = mem_new(l.edits, sizeof *a->own, "activations");
    a->unrelated = mem_new(l.edits, sizeof *a->unrelated, "activations");
    ok = ok && others && a->own && a->unrelated;
    for (uint32_t j = 0; ok && j < l.edits; j++) {
        double squares = 0;
        memset(others, 0, l.rows * sizeof *others);
        for (uint32_t i = 0; i < l.edits; i++) {
            const float *u = l.u + (size_t)i * l.rows;
            double by = acts(&l, i, j);
            if (i == j) a->own[j] = fabs(by) * sqrt(dot(u, u, l.rows));
            else
                for (uint32_t k = 0; k < l.rows; k++) others[k] += by * (double)u[k];
        }
        for (uint32_t k = 0; k < l.rows; k++) squares += others[k] * others[k];
        a->unrelated[j] = sqrt(squares);
    }
    free(others);
    loaded_free(&l);
    if (!ok) activation_free(a);
    return ok;
}

void activation_free(struct activation *a)
{
    free(a->own);
    free(a->unrelated);
    *a = (struct activation){0};
}

bool cosines_of(const struct args *args, const struct outcome *x, uint32_t edits, double *cells)
{
    struct loaded l;
    bool ok = loaded_open(&l, args, x);
    for (uint32_t i = 0; ok && i < edits; i++)
        for (uint32_t j = 0; j < edits; j++) {
            const float *a = l.u + (size_t)i * l.rows, *b = l.u + (size_t)j * l.rows;
            bool both = i != j && i < l.edits && j < l.edits;
            double scale = both ? sqrt(dot(a, a, l.rows) * dot(b, b, l.rows)) : 0;
            cells[(size_t)i * edits + j] = scale > 0 ? fabs(dot(a, b, l.rows)) / scale : NAN;
        }
    loaded_free(&l);
    return ok;
}

bool dense_read(struct dense *d, const struct model *model)
{
    size_t bytes = (size_t)model->config.dim * model->config.ffn * sizeof(float);
    *d = (struct dense){.layers = model->config.layers};
    bool ok = (d->base = mem_new(d->layers, sizeof *d->base, "matrices")) != NULL;
    for (uint32_t i = 0; ok && i < d->layers; i++) {
        struct buffer *matrix = model->layers[i].edited;
        if (!matrix) continue;
        ok = (d->base[i] = mem_new(bytes, 1, "a matrix")) != NULL &&
             buffer_read(model->dev, matrix, 0, d->base[i], bytes);
    }
    return ok;
}

void dense_free(struct dense *d)
{
    for (uint32_t i = 0; d->base && i < d->layers; i++) free(d->base[i]);
    free(d->base);
    *d = (struct dense){0};
}

// The largest singular value of a [rows, cols] by power iteration on a^T a from a fixed start. The
// estimate only grows; it is done when it does no longer.
static bool spectral(const float *a, uint32_t rows, uint32_t cols, double *norm)
{
    double *x = mem_new(cols, sizeof *x, "a norm"), *y = mem_new(rows, sizeof *y, "a norm");
    uint64_t state = 1;
    enum { TURNS = 500 };
    for (uint32_t j = 0; x && j < cols; j++) x[j] = random_unit(&state) - 0.5;
    *norm = 0;
    for (int turn = 0; x && y && turn < TURNS; turn++) {
        double length = 0, before = *norm, squares = 0;
        for (uint32_t j = 0; j < cols; j++) length += x[j] * x[j];
        length = sqrt(length);
        if (!(length > 0)) break;
        for (uint32_t j = 0; j < cols; j++) x[j] /= length;
        for (uint32_t i = 0; i < rows; i++) {
            y[i] = 0;
            for (uint32_t j = 0; j < cols; j++) y[i] += (double)a[(size_t)i * cols + j] * x[j];
            squares += y[i] * y[i];
        }
        *norm = sqrt(squares);
        if (turn > 20 && *norm - before < 1e-7 * *norm) break;
        memset(x, 0, cols * sizeof *x);
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t j = 0; j < cols; j++) x[j] += (double)a[(size_t)i * cols + j] * y[i];
    }
    bool ok = x && y;
    free(x);
    free(y);
    return ok;
}

bool dense_norm(const struct dense *d, const struct model *model, double *norm)
{
    const uint32_t dim = model->config.dim, ffn = model->config.ffn;
    size_t count = (size_t)dim * ffn;
    float *now = mem_new(count, sizeof *now, "a matrix");
    bool ok = now != NULL;
    *norm = 0;
    for (uint32_t i = 0; ok && i < d->layers; i++) {
        double one = 0;
        if (!d->base[i]) continue;
        ok = buffer_read(model->dev, model->layers[i].edited, 0, now, count * sizeof *now);
        for (size_t k = 0; ok && k < count; k++) now[k] -= d->base[i][k];
        ok = ok && spectral(now, dim, ffn, &one);
        if (one > *norm) *norm = one;
    }
    free(now);
    return ok;
}
