#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "cli/diff.h"
#include "edit/guards.h"
#include "edit/mask.h"
#include "edit/pairs.h"
#include "io/journal.h"

struct side {
    struct journal journal;
    const struct guard *guard; // with a finish; NULL: pairs are written as they are
};

static bool same_pairs(const struct journal_edit *a, const struct journal_edit *b)
{
    uint64_t pairs = journal_pairs(a);
    return a->layer == b->layer && a->rows == b->rows && a->cols == b->cols &&
           a->rank == b->rank && (!a->rank || memcmp(a->u, b->u, 4 * pairs * a->rows) == 0) &&
           memcmp(a->w, b->w, 4 * pairs * a->cols) == 0;
}

struct difference { // of a layer, on the host: pairs, the sum of which is what differs
    const struct journal_tensor *tensor;
    float *u, *w; // [count, rows], [count, cols]
    size_t u_capacity, w_capacity;
    uint32_t count;
};

static bool room(struct difference *d, uint32_t more)
{
    const uint64_t count = (uint64_t)d->count + more;
    return mem_grow(&d->u, &d->u_capacity, count * d->tensor->rows, sizeof *d->u, "pairs") &&
           mem_grow(&d->w, &d->w_capacity, count * d->tensor->cols, sizeof *d->w, "pairs");
}

// The pairs of one journal's layer that the other does not have; `sign` goes to u.
static bool pairs_take(struct difference *d, const struct journal *j, const struct journal *other,
                       float sign)
{
    const struct journal_tensor *t = d->tensor;
    for (size_t i = 0; i < j->edit_count; i++) {
        const struct journal_edit *e = &j->edits[i];
        bool both = false;
        if (e->layer != t->layer || e->rows != t->rows || e->cols != t->cols) continue;
        if (!journal_edit_counts(e)) continue;
        for (size_t k = 0; k < other->edit_count && !both; k++)
            both = journal_edit_counts(&other->edits[k]) && same_pairs(e, &other->edits[k]);
        if (both) continue;
        if (!room(d, journal_pairs(e))) return false;
        journal_pairs_copy(e, sign, d->u + (size_t)d->count * e->rows,
                           d->w + (size_t)d->count * e->cols);
        d->count += journal_pairs(e);
    }
    return true;
}

// What the journal's guard appends to all of the layer's pairs.
static bool finish_take(struct difference *d, struct opened *o, const struct side *s, float sign)
{
    const struct journal *j = &s->journal;
    const uint64_t rows = d->tensor->rows, cols = d->tensor->cols;
    const struct journal_tensor *t = NULL;
    const struct tensor *base;
    struct pairs p = {0};
    size_t index = 0;
    for (; s->guard && index < j->header.tensor_count; index++)
        if (j->header.tensors[index].layer == d->tensor->layer) {
            t = &j->header.tensors[index];
            break;
        }
    if (!t || !journal_layer_pairs(j, t->layer)) return true;
    if (!o->weights.path)
        return fail(STATUS_USAGE, "diff: what guard %s makes of %s depends on the model, wanted -m "
                                  "MODEL", s->guard->name, j->where);
    bool ok = journal_base(j, &o->weights, index, &base) && pairs_load(&o->dev, j, t, &p);
    const uint32_t from = p.count;
    ok = ok && s->guard->finish(&o->dev, base, &p) && room(d, p.count - from);
    if (ok && p.count > from) {
        float *u = d->u + d->count * rows, *w = d->w + d->count * cols;
        ok = buffer_read(&o->dev, p.u, 4 * from * rows, u, 4 * (p.count - from) * rows) &&
             buffer_read(&o->dev, p.w, 4 * from * cols, w, 4 * (p.count - from) * cols);
        for (uint64_t i = 0; ok && i < (p.count - from) * rows; i++) u[i] *= sign;
        d->count += p.count - from;
    }
    pairs_free(&p);
    return ok;
}

// dW of the second without dW of the first: pairs that both have cancel exactly.
static bool layer_diff(struct opened *o, const struct args *args, const struct side *a,
                       const struct side *b, const struct journal_tensor *t, struct diff *table)
{
    const uint32_t rows = (uint32_t)t->rows, cols = (uint32_t)t->cols;
    struct difference d = {.tensor = t};
    struct diff_row row = {.name = t->name, .rows = rows, .cols = cols};
    bool ok = pairs_take(&d, &a->journal, &b->journal, -1);
    const uint32_t first = d.count;
    ok = ok && pairs_take(&d, &b->journal, &a->journal, 1);
    snprintf(row.types, sizeof row.types, "%u, %u pairs", first, d.count - first);
    // The same pairs and the same guard make the same of them.
    const bool same = d.count == 0 && a->guard == b->guard;
    ok = ok && (same || o->dev.handle || opened_device(o, args)) &&
         (same || (finish_take(&d, o, a, -1) && finish_take(&d, o, b, 1)));
    struct buffer *u = NULL, *w = NULL;
    if (ok && d.count) {
        ok = buffer_from(&o->dev, d.u, 4ull * d.count * rows, "pairs", &u) &&
             buffer_from(&o->dev, d.w, 4ull * d.count * cols, "pairs", &w) &&
             compare_pairs(&o->dev, u, w, d.count, rows, cols, &row.size);
        if (ok) diff_tell(table, &row);
    }
    buffer_free(&o->dev, &u);
    buffer_free(&o->dev, &w);
    free(d.u);
    free(d.w);
    return ok;
}

static bool side_open(struct side *s, const char *path)
{
    if (!journal_open(&s->journal, path, false) || !mask_refuse(&s->journal, "diff")) return false;
    const char *name = journal_setting(&s->journal.header, "guard");
    const struct guard *guard = name ? guard_find(name) : NULL;
    s->guard = guard && guard->finish ? guard : NULL;
    return true;
}

static bool same_model(const struct side *a, const struct side *b)
{
    const char *of_a = journal_setting(&a->journal.header, "model");
    const char *of_b = journal_setting(&b->journal.header, "model");
    return (of_a && of_b && strcmp(of_a, of_b) == 0) ||
           fail(STATUS_USAGE, "diff: %s and %s edit different models", a->journal.where,
                b->journal.where);
}

bool diff_journals(struct opened *o, const struct args *args, struct diff *table)
{
    struct side a = {0}, b = {0};
    bool ok = side_open(&a, args->words[0]) && side_open(&b, args->words[1]) &&
              same_model(&a, &b) && (!args->model || weights_open(&o->weights, args->model));
    const struct journal_header *of_a = &a.journal.header, *of_b = &b.journal.header;
    for (size_t i = 0; ok && i < of_a->tensor_count; i++)
        ok = layer_diff(o, args, &a, &b, &of_a->tensors[i], table);
    for (size_t i = 0; ok && i < of_b->tensor_count; i++) {
        bool known = false; // as a tensor of the first
        for (size_t k = 0; k < of_a->tensor_count; k++)
            known = known || of_a->tensors[k].layer == of_b->tensors[i].layer;
        ok = known || layer_diff(o, args, &a, &b, &of_b->tensors[i], table);
    }
    journal_free(&a.journal);
    journal_free(&b.journal);
    return ok;
}
