#include "cli/journal_adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/journal_model.h"
#include "edit/mask.h"
#include "io/adapter.h"
#include "linalg/low_rank.h"

// All layers of an adapter, of one rank: llama.cpp has one scale for them, alpha / rank.
struct parts {
    struct adapter_part *items; // [count], a and b to be freed
    uint32_t count, rank;
    double norm, lost; // by Frobenius' norm
};

static void parts_free(struct parts *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        free((float *)p->items[i].a);
        free((float *)p->items[i].b);
    }
    free(p->items);
}

// The pairs of a tensor and what the guard adds to them.
static bool pairs_open(const struct journal *j, struct opened *o, size_t index,
                       struct pairs *pairs)
{
    const struct guard *guard = journal_guard(j);
    const struct tensor *base;
    return guard && journal_base(j, &o->weights, index, &base) &&
           pairs_load(&o->dev, j, &j->header.tensors[index], pairs) &&
           (!guard->finish || guard->finish(&o->dev, base, pairs));
}

// b [rows, rank] to rows of `wanted`, zeros behind; a [rank, cols] has its zeros from mem_new.
static void widen(float *b, uint64_t rows, uint32_t rank, uint32_t wanted)
{
    for (uint64_t i = rows; rank < wanted && i-- > 0;) {
        memmove(b + i * wanted, b + i * rank, rank * sizeof *b);
        for (uint32_t k = rank; k < wanted; k++) b[i * wanted + k] = 0;
    }
}

static bool part_make(struct parts *parts, const struct journal *j, struct opened *o, size_t index,
                      uint32_t most)
{
    const struct journal_tensor *t = &j->header.tensors[index];
    struct adapter_part *part = &parts->items[parts->count];
    struct pairs pairs = {0};
    struct low_rank report = {0};
    float *a = mem_new(most * t->cols, sizeof *a, "an adapter");
    float *b = mem_new(most * t->rows, sizeof *b, "an adapter");
    *part = (struct adapter_part){.layer = t->layer, .rows = t->rows, .cols = t->cols, .a = a,
                                  .b = b};
    parts->count++;
    bool ok = a && b && pairs_open(j, o, index, &pairs) &&
              low_rank(&o->dev, pairs.u, pairs.w, pairs.count, pairs.rows, pairs.cols, most, a, b,
                       &report);
    if (ok) widen(b, t->rows, report.rank, most);
    if (report.rank > parts->rank) parts->rank = report.rank;
    parts->norm = sqrt(parts->norm * parts->norm + report.norm * report.norm);
    parts->lost = sqrt(parts->lost * parts->lost + report.lost * report.lost);
    pairs_free(&pairs);
    return ok;
}

// Singular values fall: what is behind the largest rank of all layers is zero.
static void narrow(struct parts *p, uint32_t most)
{
    for (uint32_t i = 0; i < p->count && p->rank < most; i++) {
        float *b = (float *)p->items[i].b;
        for (uint64_t row = 0; row < p->items[i].rows; row++)
            memmove(b + row * p->rank, b + row * most, p->rank * sizeof *b);
    }
}

static bool write(const struct parts *parts, struct weights *weights, const struct args *args)
{
    const struct adapter adapter = {
        .architecture = weights->config.arch, .base = weights->path,
        .hash = weights_hash(weights), .rank = parts->rank, .parts = parts->items,
        .count = parts->count};
    bool ok = adapter.hash && (!args->lora || adapter_write_gguf(&adapter, weights, args->lora)) &&
              (!args->peft || adapter_write_peft(&adapter, args->peft));
    if (!ok) return false;
    log_say("rank %u: %.3g of |dW| = %.3g is left out (%.2g)", parts->rank, parts->lost,
            parts->norm, parts->norm > 0 ? parts->lost / parts->norm : 0);
    if (args->lora) log_say("wrote %s", args->lora);
    if (args->peft) log_say("wrote %s", args->peft);
    return true;
}

bool journal_adapter(const struct journal *j, struct opened *o, const struct args *args)
{
    struct parts parts = {0};
    uint32_t most = 0; // the largest rank there can be
    if (!mask_refuse(j, "apply --lora, --peft")) return false;
    for (size_t i = 0; i < j->header.tensor_count; i++) {
        const struct journal_tensor *t = &j->header.tensors[i];
        uint32_t count = journal_layer_pairs(j, t->layer);
        if (count > t->rows) count = (uint32_t)t->rows;
        if (count > most) most = count;
    }
    if (!most) return fail(STATUS_FAILED, "%s has no edits left: there is no adapter", j->where);
    if (args->rank && args->rank < most) most = args->rank;
    parts.items = mem_new(j->header.tensor_count, sizeof *parts.items, "an adapter");
    bool ok = parts.items != NULL;
    for (size_t i = 0; ok && i < j->header.tensor_count; i++)
        if (journal_layer_remaining(j, j->header.tensors[i].layer))
            ok = part_make(&parts, j, o, i, most);
    if (ok && parts.rank == 0)
        ok = fail(STATUS_FAILED, "%s: the edits add up to nothing: there is no adapter", j->where);
    if (ok) narrow(&parts, most);
    ok = ok && write(&parts, &o->weights, args);
    parts_free(&parts);
    return ok;
}
