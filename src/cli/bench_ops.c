#include <stdio.h>

#include "cli/bench_kit.h"
#include "cli/bench_time.h"
#include "state.def"

#define R kit_rows(k)
#define D (k->shape->dim)
#define M (k->shape->ffn)
#define V (k->shape->vocab)
#define H (k->shape->heads)
#define KV (k->shape->kv_heads)
#define A (k->shape->head_dim)
#define CPU (k->bench->dev->info.rank >= 4)
#define floats(n) kit_floats(k, n)
#define all(n, value) kit_all(k, n, value)
#define words(n, value) kit_words(k, n, value)
#define iota(n, first, below) kit_iota(k, n, first, below)
#define definite(count, n) kit_definite(k, count, n)

#define LINE(name, what, ...)                                                                      \
    static void make_##name(struct kit *k, void *args)                                             \
    {                                                                                              \
        *(struct name##_args *)args = (struct name##_args){__VA_ARGS__};                           \
    }                                                                                              \
    static void record_##name(struct cmd *cmd, const void *args)                                   \
    {                                                                                              \
        op_##name(cmd, *(const struct name##_args *)args);                                         \
    }
#define ELSEWHERE(name, part)
#include "cli/bench_ops.def"

struct line {
    const char *name, *what;
    void (*make)(struct kit *kit, void *args);
    bench_record record;
};

static const struct line lines[] = {
#define LINE(name, what, ...) {#name, what, make_##name, record_##name},
#define ELSEWHERE(name, part)
#include "cli/bench_ops.def"
};

// An operator of ops.def without a line does not compile.
enum {
#define LINE(name, what, ...) line_of_##name,
#define ELSEWHERE(name, part) line_of_##name,
#include "cli/bench_ops.def"
    LINES
};
#define OP(name, ...) _Static_assert(line_of_##name < LINES, #name);
#include "ops.def"
_Static_assert((int)LINES == (int)OP_COUNT, "bench_ops.def names one that ops.def has not");

static bool line_time(struct bench *b, const struct line *line, struct kit *k)
{
    _Alignas(8) unsigned char args[CMD_PUSH_MAX] = {0};
    struct bench_row *row = bench_add(b, "ops", line->name);
    if (!row) return false;
    k->counting = true;
    line->make(k, args);
    k->counting = false;
    row->model = k->shape->name;
    row->rows = k->rows_used ? k->rows : 0;
    snprintf(row->what, sizeof row->what, "%s", line->what);
    if (!bench_fits(b, k->bytes, k->largest, row->skipped)) return true;
    line->make(k, args);
    bool ok = !k->failed && bench_time(b, line->record, args, row);
    kit_free(k);
    return ok;
}

bool bench_ops(struct bench *b, const struct bench_shape *shape)
{
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof lines / sizeof *lines; i++)
        for (uint32_t j = 0; ok && j < b->op_rows_count; j++) {
            struct kit kit = {.bench = b, .shape = shape, .rows = b->op_rows_of[j]};
            ok = line_time(b, &lines[i], &kit);
            if (!kit.rows_used) break;
        }
    return ok;
}
