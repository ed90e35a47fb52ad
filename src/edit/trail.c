#include "edit/trail.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "edit/guards.h"
#include "edit/solvers.h"
#include "edit/update.h"

static bool grow(struct trail *t, bool keys)
{
    const size_t n = (size_t)t->count + 1;
    return mem_grow(&t->u, &t->u_capacity, n * t->dim, sizeof *t->u, "pairs") &&
           mem_grow(&t->w, &t->w_capacity, n * t->ffn, sizeof *t->w, "pairs") &&
           (!keys || mem_grow(&t->k, &t->k_capacity, n * t->ffn, sizeof *t->k, "keys")) &&
           mem_grow(&t->numbers, &t->number_capacity, n, sizeof *t->numbers, "pairs");
}

bool trail_add(struct trail *t, const struct editor *e, const struct edit *edit)
{
    struct device *dev = e->model->dev;
    t->dim = e->model->config.dim;
    t->ffn = e->model->config.ffn;
    t->mask = e->mask;
    if (edit->noop || e->solver->make) return true;
    const size_t row = (size_t)t->count * t->ffn;
    if (!grow(t, true) ||
        !buffer_read(dev, e->u, 0, t->u + (size_t)t->count * t->dim, t->dim * sizeof *t->u) ||
        !buffer_read(dev, e->w, 0, t->w + row, t->ffn * sizeof *t->w) ||
        !buffer_read(dev, e->right_key, 0, t->k + row, t->ffn * sizeof *t->k))
        return false;
    t->numbers[t->count++] = edit->number;
    return true;
}

bool trail_read(struct trail *t, const struct journal *j, uint32_t layer)
{
    *t = (struct trail){0};
    bool ok = mask_read(j, &t->mask);
    for (size_t i = 0; ok && i < j->edit_count; i++) {
        const struct journal_edit *e = &j->edits[i];
        if (e->layer != layer || !journal_edit_counts(e)) continue;
        t->dim = e->rows;
        t->ffn = e->cols;
        ok = (e->rank == 1 ||
              fail(STATUS_USAGE, "%s: edit %u is %s, wanted edits of one pair", j->where, e->number,
                   e->rank ? "of several pairs" : "dense")) &&
             grow(t, false);
        if (!ok) break;
        memcpy(t->u + (size_t)t->count * t->dim, e->u, t->dim * sizeof *t->u);
        memcpy(t->w + (size_t)t->count * t->ffn, e->w, t->ffn * sizeof *t->w);
        t->numbers[t->count++] = e->number;
    }
    if (!ok) trail_free(t);
    return ok;
}

// The prefixes of the run: borrowed [*count].
static char **contexts_of(const struct journal_header *h, uint32_t *count)
{
    char **texts = mem_new(h->setting_count, sizeof *texts, "contexts");
    *count = 0;
    for (size_t i = 0; texts && i < h->setting_count; i++)
        if (strncmp(h->settings[i].name, "context.", 8) == 0)
            texts[(*count)++] = h->settings[i].value;
    return texts;
}

// Which prompts' keys the run's solver and guard average where W k is to become v*.
static bool mean_of(const struct journal *j, enum key_mean *mean)
{
    const char *solver = journal_setting(&j->header, "solver");
    const char *guard = journal_setting(&j->header, "guard");
    const struct solver *s = solver ? solver_find(solver) : NULL;
    const struct guard *g = guard ? guard_find(guard) : NULL;
    if (!s || !g)
        return fail(STATUS_BAD_DATA, "%s: its %s '%.40s' is not known", j->where,
                    s ? "guard" : "solver", s ? (guard ? guard : "") : solver ? solver : "");
    struct edit edit = {.left = s->left, .right = s->right};
    if (g->key) g->key(&edit);
    *mean = edit.right;
    return true;
}

struct keys { // of one journal's edits
    const struct model *model;
    const struct tokenizer *tokenizer;
    char **contexts;
    uint32_t context_count, layer;
    enum key_mean mean;
    struct buffer *key; // [ffn]
};

static bool key_again(struct keys *k, const struct request *request, float *to)
{
    struct prompts prompts = {0};
    struct prepared prepared = {0};
    bool ok = prompts_new(&prompts, k->tokenizer, request, k->contexts, k->context_count) &&
              prepare(&prepared, k->model, &prompts, 1, &k->layer, 1);
    if (ok) {
        struct edit edit = {.request = request, .prompts = &prompts, .prepared = &prepared,
                            .first = prepared.first[0]};
        ok = key_make(k->model, &edit, k->mean, k->key->address) &&
             buffer_read(k->model->dev, k->key, 0, to, k->model->config.ffn * sizeof *to);
    }
    prepared_free(&prepared);
    prompts_free(&prompts);
    return ok;
}

bool trail_keys(struct trail *t, const struct model *model, const struct tokenizer *tokenizer,
                const struct journal *j, uint32_t layer)
{
    struct keys k = {.model = model, .tokenizer = tokenizer, .layer = layer};
    k.contexts = contexts_of(&j->header, &k.context_count);
    free(t->k);
    t->k = mem_new((size_t)t->count * t->ffn, sizeof *t->k, "keys");
    t->k_capacity = (size_t)t->count * t->ffn;
    bool ok = k.contexts && t->k && mean_of(j, &k.mean) &&
              (t->count == 0 || t->ffn == model->config.ffn ||
               fail(STATUS_BAD_DATA, "%s: its edits have %u columns, the model %u", j->where,
                    t->ffn, model->config.ffn)) &&
              buffer_new(model->dev, model->config.ffn * sizeof(float), "a key", &k.key);
    for (uint32_t i = 0; ok && i < t->count; i++)
        ok = key_again(&k, &j->edits[t->numbers[i] - 1].request, t->k + (size_t)i * t->ffn);
    buffer_free(model->dev, &k.key);
    free(k.contexts);
    return ok;
}

// matrix += dW of the edits [from, to)
static bool add(const struct trail *t, struct device *dev, uint32_t from, uint32_t to,
                struct buffer *matrix)
{
    struct buffer *u = NULL, *w = NULL;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = matrix->address, .n = t->dim * t->ffn});
    bool ok = cmd_run_once(&cmd) && buffer_new(dev, t->dim * sizeof(float), "u", &u) &&
              buffer_new(dev, t->ffn * sizeof(float), "w", &w);
    cmd_free(&cmd);
    for (uint32_t i = from; ok && i < to; i++)
        ok = buffer_write(dev, u, 0, t->u + (size_t)i * t->dim, t->dim * sizeof(float)) &&
             buffer_write(dev, w, 0, t->w + (size_t)i * t->ffn, t->ffn * sizeof(float)) &&
             update_edit(dev, &t->mask, t->numbers[i], u->address, w->address, matrix->address,
                         t->dim, t->ffn);
    buffer_free(dev, &u);
    buffer_free(dev, &w);
    return ok;
}

bool trail_total(const struct trail *t, struct device *dev, struct buffer **total)
{
    *total = NULL;
    bool ok = buffer_new(dev, 4ull * t->dim * t->ffn, "dW_total", total) &&
              add(t, dev, 0, t->count, *total);
    if (!ok) buffer_free(dev, total);
    return ok;
}

bool trail_one(const struct trail *t, struct device *dev, uint32_t j, struct buffer *one)
{
    return add(t, dev, j, j + 1, one);
}

void trail_free(struct trail *t)
{
    free(t->u);
    free(t->w);
    free(t->k);
    free(t->numbers);
    *t = (struct trail){0};
}
