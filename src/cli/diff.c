#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/compare.h"
#include "cli/diff.h"
#include "cli/opened.h"
#include "io/journal.h"
#include "model/unpack.h"

void diff_tell(struct diff *table, const struct diff_row *r)
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
        json_append(table->json, o);
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
                    struct diff_row *row)
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
                        const struct tensor *b, struct diff *table)
{
    struct diff_row row = {.name = a->name, .rows = a->rows, .cols = a->cols};
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
    diff_tell(table, &row);
    return true;
}

static bool models_diff(struct opened *o, const struct args *args, struct diff *table)
{
    struct weights a = {0}, b = {0};
    bool ok = weights_open(&a, args->words[0]) && weights_open(&b, args->words[1]);
    for (size_t i = 0; ok && i < a.count; i++)
        ok = tensor_diff(o, args, &a.tensors[i], weights_find(&b, a.tensors[i].name), table);
    for (size_t i = 0; ok && i < b.count; i++) {
        struct diff_row row = {.name = b.tensors[i].name, .note = "not in the first",
                          .rows = b.tensors[i].rows, .cols = b.tensors[i].cols};
        snprintf(row.types, sizeof row.types, "none, %s", dtype_table[b.tensors[i].dtype].name);
        if (!weights_find(&a, row.name)) diff_tell(table, &row);
    }
    weights_close(&a);
    weights_close(&b);
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
    if (args->model && !first)
        return fail(STATUS_USAGE, "diff: --model goes with two journals, got two models");
    struct opened o = {0};
    struct diff table = {.json = args->json ? cJSON_CreateArray() : NULL};
    bool ok = first ? diff_journals(&o, args, &table) : models_diff(&o, args, &table);
    if (ok && args->json) {
        ok = json_put(table.json, true);
    } else if (ok && table.count == 0) {
        printf("no difference in any tensor\n");
    }
    cJSON_Delete(table.json);
    return opened_end(&o, args, ok);
}
