// What the parts of `oedit bench` share: the run, its shapes, and the rows they add.
#pragma once
#include "cli/bench_row.h"
#include "cli/opened.h"

// The sizes of a model's matrices.
struct bench_shape {
    const char *name;
    uint32_t dim, ffn, heads, kv_heads, head_dim, vocab;
};

enum { BENCH_SHAPES = 4, BENCH_LIST = 16 };
extern const struct bench_shape bench_shapes[BENCH_SHAPES];

struct bench {
    struct opened opened;
    struct device *dev;
    const struct args *args;
    const struct bench_shape *shapes[BENCH_SHAPES];
    uint32_t dtypes[BENCH_LIST];     // of weights
    uint32_t rows_of[BENCH_LIST];    // of matrix products
    uint32_t op_rows_of[BENCH_LIST]; // of other operators
    uint32_t shape_count, dtype_count, rows_count, op_rows_count;
    uint32_t repeat, repeat_edits;
    double least;                  // seconds a timing takes at least
    double peak_flops, peak_bytes; // a second, measured
    const char *model;             // the file's name
    char build[64], where[256];    // of the program; device, driver and build in short
    struct bench_row *rows;
    size_t count, capacity;
};

// A fresh row at the end, to be filled; NULL on failure.
struct bench_row *bench_add(struct bench *b, const char *part, const char *name);

// Whether `bytes` more, the largest piece of them `piece`, fit on the device; if not, why.
enum { BENCH_REASON = 160 };
bool bench_fits(const struct bench *b, uint64_t bytes, uint64_t piece, char reason[BENCH_REASON]);

// Some tokens of the model's, to be freed; NULL on failure.
uint32_t *bench_tokens(const struct bench *b, uint32_t count);

// The parts, in the order they run. Each adds rows.
bool bench_probes(struct bench *b); // also sets the peaks
bool bench_gemm(struct bench *b, const struct bench_shape *shape);
bool bench_ops(struct bench *b, const struct bench_shape *shape);
bool bench_guards(struct bench *b, const struct bench_shape *shape);
// These need the model.
bool bench_model(struct bench *b);
bool bench_edit(struct bench *b);
bool bench_growth(struct bench *b);
