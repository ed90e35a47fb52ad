#include "cli/journal_adapter.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/mask.h"
#include "io/adapter.h"
#include "linalg/low_rank.h"

// The pairs that count, one below the other: x [t, rows], y [t, cols].
static bool pairs_load(const struct journal *j, const struct journal_tensor *t, struct device *dev,
                       uint32_t count, struct buffer **x, struct buffer **y)
{
    float *u = mem_new((uint64_t)count * t->rows, sizeof *u, "pairs of edits");
    float *w = mem_new((uint64_t)count * t->cols, sizeof *w, "pairs of edits");
    uint32_t at = 0;
    for (size_t i = 0; u && w && i < j->edit_count; i++) {
        const struct journal_edit *e = &j->edits[i];
        if (!journal_edit_counts(e)) continue;
        memcpy(u + at * t->rows, e->u, t->rows * sizeof *u);
        memcpy(w + at * t->cols, e->w, t->cols * sizeof *w);
        at++;
    }
    bool ok = u && w && buffer_from(dev, u, count * t->rows * sizeof *u, "pairs of edits", x) &&
              buffer_from(dev, w, count * t->cols * sizeof *w, "pairs of edits", y);
    free(u);
    free(w);
    return ok;
}

static bool write(struct adapter *adapter, const struct weights *weights, const struct args *args,
                  const struct low_rank *report)
{
    bool ok = (!args->lora || adapter_write_gguf(adapter, weights, args->lora)) &&
              (!args->peft || adapter_write_peft(adapter, args->peft));
    if (!ok) return false;
    log_say("rank %u: %.3g of |dW| = %.3g is left out (%.2g)", report->rank, report->lost,
            report->norm, report->norm > 0 ? report->lost / report->norm : 0);
    if (args->lora) log_say("wrote %s", args->lora);
    if (args->peft) log_say("wrote %s", args->peft);
    return true;
}

bool journal_adapter(const struct journal *j, struct opened *o, const struct args *args)
{
    const struct journal_tensor *t = &j->header.tensors[0];
    uint32_t count = (uint32_t)journal_remaining(j), most = args->rank ? args->rank : count;
    if (!mask_refuse(j, "apply --lora, --peft")) return false;
    if (!count) return fail(STATUS_FAILED, "%s has no edits left: there is no adapter", j->where);
    if (most > count) most = count;
    if (most > t->rows) most = (uint32_t)t->rows;
    struct buffer *x = NULL, *y = NULL;
    struct low_rank report;
    float *a = mem_new(most * t->cols, sizeof *a, "an adapter");
    float *b = mem_new(most * t->rows, sizeof *b, "an adapter");
    bool ok = a && b && pairs_load(j, t, &o->dev, count, &x, &y) &&
              low_rank(&o->dev, x, y, count, (uint32_t)t->rows, (uint32_t)t->cols, most, a, b,
                       &report);
    if (ok && report.rank == 0)
        ok = fail(STATUS_FAILED, "%s: the edits add up to nothing: there is no adapter", j->where);
    if (ok) {
        struct adapter adapter = {.architecture = o->weights.config.arch, .base = o->weights.path,
                                  .hash = weights_hash(&o->weights), .layer = t->layer,
                                  .rank = report.rank, .rows = t->rows, .cols = t->cols,
                                  .a = a, .b = b};
        ok = adapter.hash && write(&adapter, &o->weights, args, &report);
    }
    buffer_free(&o->dev, &x);
    buffer_free(&o->dev, &y);
    free(a);
    free(b);
    return ok;
}
