#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/opened.h"
#include "edit/mask.h"
#include "io/journal.h"
#include "model/unpack.h"

// What is told of one tensor in which the two differ.
struct row {
    const char *name, *note;
    uint64_t rows, cols;
    char types[32];
    double base; // |A|_F; 0: not known
    struct size_of size;
};

struct table {
    cJSON *json; // NULL: print
    uint32_t count;
};

static void tell(struct table *table, const struct row *r)
{
    table->count++;
    if (table->json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "tensor", r->name);
        cJSON_AddNumberToObject(o, "rows", (double)r->rows);
        cJSON_AddNumberToObject(o, "cols", (double)r->cols);
        cJSON_AddStringToObject(o, "types", r->types);
        if (r->note) cJSON_AddStringToObject(o, "note", r->note);
        cJSON_AddNumberToObject(o, "rank", r->size.rank);
        cJSON_AddNumberToObject(o, "frobenius", r->size.frobenius);
        cJSON_AddNumberToObject(o, "spectral", r->size.spectral);
        if (r->base > 0) cJSON_AddNumberToObject(o, "base_frobenius", r->base);
        cJSON_AddItemToArray(table->json, o);
        return;
    }
    printf("%s [%llu, %llu] %s: ", r->name, (unsigned long long)r->rows,
           (unsigned long long)r->cols, r->types);
    if (r->note) {
        printf("%s\n", r->note);
        return;
    }
    printf("rank %u, |dW|_F %.6g, |dW|_2 %.6g", r->size.rank, r->size.frobenius, r->size.spectral);
    if (r->base > 0) printf(" (|W|_F %.6g)", r->base);
    putchar('\n');
}

// The unit of rounding of what is stored; a quantised block's is that of its few bits.
static double rounding(enum dtype type)
{
    switch (type) {
    case DTYPE_F32:
        return FLT_EPSILON / 2.0;
    case DTYPE_F16:
        return 0x1p-11;
    case DTYPE_BF16:
        return 0x1p-8;
    case DTYPE_Q8_0:
        return 0x1p-7;
    default:
        return 0x1p-4;
    }
}

// B - A on the device. A matrix of independent errors has singular values up to about the lengths
// of its longest row and column together; many additions make more: four times that is noise.
static bool measure(struct device *dev, const struct tensor *a, const struct tensor *b,
                    struct row *row)
{
    struct buffer *x = NULL, *y = NULL;
    struct norms first = {0}, second = {0};
    uint32_t rows = (uint32_t)a->rows, cols = (uint32_t)a->cols;
    if (a->rows * a->cols > UINT32_MAX)
        return fail(STATUS_FAILED, "diff: tensor %s is too large", a->name);
    bool ok = tensor_unpack(dev, a, &x) && tensor_unpack(dev, b, &y) &&
              compare_norms(dev, x, rows, cols, &first) &&
              compare_norms(dev, y, rows, cols, &second);
    row->base = first.frobenius;
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_axpby(&cmd, (struct axpby_args){.x = x->address, .y = y->address, .n = rows * cols,
                                           .alpha = -1, .beta = 1});
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    double unit = fmax(rounding(a->dtype), rounding(b->dtype));
    // The sums began with A as f32, exactly.
    if (b->dtype == DTYPE_F32) unit = rounding(DTYPE_F32);
    double noise = 4 * unit * (fmax(first.row, second.row) + fmax(first.column, second.column));
    ok = ok && compare_size(dev, y, rows, cols, noise, &row->size);
    if (ok && row->size.frobenius == 0) row->note = "other bytes, equal values";
    buffer_free(dev, &x);
    buffer_free(dev, &y);
    return ok;
}

static bool tensor_diff(struct opened *o, const struct args *args, const struct tensor *a,
                        const struct tensor *b, struct table *table)
{
    struct row row = {.name = a->name, .rows = a->rows, .cols = a->cols};
    snprintf(row.types, sizeof row.types, "%s, %s", dtype_table[a->dtype].name,
             b ? dtype_table[b->dtype].name : "none");
    if (!b)
        row.note = "not in the second";
    else if (a->rows != b->rows || a->cols != b->cols)
        row.note = "another shape in the second";
    else if (a->dtype == b->dtype && memcmp(a->data, b->data, a->bytes) == 0)
        return true;
    else if ((!o->dev.handle && !opened_device(o, args)) || !measure(&o->dev, a, b, &row))
        return false;
    tell(table, &row);
    return true;
}

static bool models_diff(struct opened *o, const struct args *args, struct table *table)
{
    struct weights a = {0}, b = {0};
    bool ok = weights_open(&a, args->words[0]) && weights_open(&b, args->words[1]);
    for (size_t i = 0; ok && i < a.count; i++)
        ok = tensor_diff(o, args, &a.tensors[i], weights_find(&b, a.tensors[i].name), table);
    for (size_t i = 0; ok && i < b.count; i++) {
        struct row row = {.name = b.tensors[i].name, .note = "not in the first",
                          .rows = b.tensors[i].rows, .cols = b.tensors[i].cols};
        snprintf(row.types, sizeof row.types, "none, %s", dtype_table[b.tensors[i].dtype].name);
        if (!weights_find(&a, row.name)) tell(table, &row);
    }
    weights_close(&a);
    weights_close(&b);
    return ok;
}

static bool same_pairs(const struct journal_edit *a, const struct journal_edit *b)
{
    uint64_t pairs = journal_pairs(a);
    return a->layer == b->layer && a->rows == b->rows && a->cols == b->cols &&
           a->rank == b->rank && (!a->rank || memcmp(a->u, b->u, 4 * pairs * a->rows) == 0) &&
           memcmp(a->w, b->w, 4 * pairs * a->cols) == 0;
}

// The pairs of one journal's layer that the other does not have; `sign` goes to u. Both NULL: they
// are counted only.
static uint32_t pairs_take(const struct journal *j, const struct journal *other,
                           const struct journal_tensor *t, float sign, float *u, float *w)
{
    uint32_t count = 0;
    for (size_t i = 0; i < j->edit_count; i++) {
        const struct journal_edit *e = &j->edits[i];
        bool both = false;
        if (e->layer != t->layer || e->rows != t->rows || e->cols != t->cols) continue;
        if (!journal_edit_counts(e)) continue;
        for (size_t k = 0; k < other->edit_count && !both; k++)
            both = journal_edit_counts(&other->edits[k]) && same_pairs(e, &other->edits[k]);
        if (both) continue;
        if (u)
            journal_pairs_copy(e, sign, u + (size_t)count * e->rows, w + (size_t)count * e->cols);
        count += journal_pairs(e);
    }
    return count;
}

// dW of the second without dW of the first: pairs that both have cancel exactly.
static bool layer_diff(struct opened *o, const struct args *args, const struct journal *a,
                       const struct journal *b, const struct journal_tensor *t,
                       struct table *table)
{
    uint32_t first = pairs_take(a, b, t, 0, NULL, NULL);
    uint32_t count = first + pairs_take(b, a, t, 0, NULL, NULL);
    uint32_t rows = (uint32_t)t->rows, cols = (uint32_t)t->cols;
    if (count == 0) return true;
    struct row row = {.name = t->name, .rows = rows, .cols = cols};
    snprintf(row.types, sizeof row.types, "%u, %u pairs", first, count - first);
    struct buffer *u = NULL, *w = NULL;
    float *left = mem_new((size_t)count * rows, sizeof *left, "pairs");
    float *right = mem_new((size_t)count * cols, sizeof *right, "pairs");
    bool ok = left && right && (o->dev.handle || opened_device(o, args));
    if (ok) {
        pairs_take(a, b, t, -1, left, right);
        pairs_take(b, a, t, 1, left + (size_t)first * rows, right + (size_t)first * cols);
    }
    ok = ok && buffer_from(&o->dev, left, 4ull * count * rows, "pairs", &u) &&
         buffer_from(&o->dev, right, 4ull * count * cols, "pairs", &w) &&
         compare_pairs(&o->dev, u, w, count, rows, cols, &row.size);
    if (ok) tell(table, &row);
    buffer_free(&o->dev, &u);
    buffer_free(&o->dev, &w);
    free(left);
    free(right);
    return ok;
}

static bool journals_diff(struct opened *o, const struct args *args, struct table *table)
{
    struct journal a = {0}, b = {0};
    bool ok = journal_open(&a, args->words[0], false) && journal_open(&b, args->words[1], false);
    const char *of_a = ok ? journal_setting(&a.header, "model") : NULL;
    const char *of_b = ok ? journal_setting(&b.header, "model") : NULL;
    if (ok && (!of_a || !of_b || strcmp(of_a, of_b) != 0))
        ok = fail(STATUS_USAGE, "diff: %s and %s edit different models", a.where, b.where);
    ok = ok && mask_refuse(&a, "diff") && mask_refuse(&b, "diff");
    for (size_t i = 0; ok && i < a.header.tensor_count; i++)
        ok = layer_diff(o, args, &a, &b, &a.header.tensors[i], table);
    for (size_t i = 0; ok && i < b.header.tensor_count; i++) {
        bool known = false; // as a tensor of the first
        for (size_t k = 0; k < a.header.tensor_count; k++)
            known = known || a.header.tensors[k].layer == b.header.tensors[i].layer;
        ok = known || layer_diff(o, args, &a, &b, &b.header.tensors[i], table);
    }
    journal_free(&a);
    journal_free(&b);
    return ok;
}

bool command_diff(const struct args *args)
{
    if (args->word_count != 2)
        return fail(STATUS_USAGE, "diff: wanted two models or two journals (oedit diff A B)");
    bool first = journal_sniff(args->words[0]), second = journal_sniff(args->words[1]);
    if (first != second)
        return fail(STATUS_USAGE, "diff: %s is a journal, %s is none; wanted two of a kind",
                    args->words[first ? 0 : 1], args->words[first ? 1 : 0]);
    struct opened o = {0};
    struct table table = {.json = args->json ? cJSON_CreateArray() : NULL};
    bool ok = first ? journals_diff(&o, args, &table) : models_diff(&o, args, &table);
    if (ok && args->json) {
        ok = json_put(table.json, true);
    } else if (ok && table.count == 0) {
        printf("no difference in any tensor\n");
    }
    cJSON_Delete(table.json);
    return opened_end(&o, args, ok);
}
