#include "check/cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/gemm_coop.h"
#include "ops/tune.h"
#include "state.def"

enum { SIDES = 6 };
typedef uint32_t shape[SIDES];

#define A s[0]
#define B s[1]
#define C s[2]
#define D s[3]
#define E s[4]
#define F s[5]

#define SHAPES(...) {__VA_ARGS__}
#define SUM(n) ((n) / 64.0 + 20)
#define EXP(x) (2 * (3 + 2 * (x)) + 2 * (x) + 8)
#define floats(n) made_floats(m, n, -1, 1)
#define span(n, low, high) made_floats(m, n, low, high)
#define steps(n, first, step, below) made_steps(m, n, first, step, below)
#define ids(n, below) made_ids(m, n, below)
#define given(n, ...)                                                                              \
    made_given(m, n, (const double[][2]){__VA_ARGS__},                                             \
               sizeof((const double[][2]){__VA_ARGS__}) / sizeof(double[2]))
#define lower(rows, cols) made_lower(m, rows, cols)
#define definite(count, n) made_definite(m, count, n)
#define gram(rows, from) made_gram(m, rows, from)
#define weights(rows, cols, dtype) made_weight(m, rows, cols, dtype)
#define words(n, content) made_words(m, n, content)
#define out(n) made_words(m, n, MADE_OUT)
#define out_lower(rows, cols) made_out_lower(m, rows, cols)
#define TILE tile_of(m, s)
#define SCALE ((float)(1 / sqrt((double)D)))
#define GPU (m->dev && m->dev->info.rank < 4)
#define LOCAL (GPU ? 64 : 16)
#define JACOBI_LOCAL (GPU ? 64 : 8)
#define COOP_LOCAL (m->dev ? gemm_coop_local(m->dev) : 0)

// The tile of a product: the device's choice for these rows, or the one of number s[4].
static struct tile tile_of(const struct made *m, const uint32_t *s)
{
    enum { TILES = 16 };
    struct tile tiles[TILES], tile;
    struct device *dev = m->dev;
    if (!dev) return (struct tile){.rows = 16, .cols = 4, .local = 8, .wide = 32}; // any will do
    uint32_t count = op_tiles(dev, m->op, D, tiles, TILES);
    if (E) tune_only(dev, tiles[(E - 1) % count].rows, tiles[(E - 1) % count].cols);
    tile = tune_tile(dev, m->op, D, A);
    if (E) tune_only(dev, 0, 0);
    return tile;
}

#define CASES(name, shapes, depth, size, ...)                                                      \
    static const shape shapes_of_##name[] = shapes;                                                \
    static void make_##name(struct made *m, const uint32_t *s)                                     \
    {                                                                                              \
        const struct name##_args args = {__VA_ARGS__};                                             \
        (void)s;                                                                                   \
        memcpy(m->args, &args, sizeof args);                                                       \
    }                                                                                              \
    static void bound_##name(const uint32_t *s, double bound[2])                                   \
    {                                                                                              \
        (void)s;                                                                                   \
        bound[0] = (double)(depth);                                                                \
        bound[1] = (double)(size);                                                                 \
    }                                                                                              \
    static void record_##name(struct cmd *cmd, const void *args)                                   \
    {                                                                                              \
        op_##name(cmd, *(const struct name##_args *)args);                                         \
    }
#define LEFT_OUT(name, why)
#include "check/cases.def"

struct line {
    enum op op;
    const shape *shapes;
    uint32_t shape_count;
    void (*make)(struct made *m, const uint32_t *s);
    void (*bound)(const uint32_t *s, double bound[2]);
    void (*record)(struct cmd *cmd, const void *args);
};

static const struct line lines[] = {
#define CASES(name, ...)                                                                           \
    {OP_##name, shapes_of_##name, sizeof shapes_of_##name / sizeof(shape), make_##name,            \
     bound_##name, record_##name},
#define LEFT_OUT(name, why)
#include "check/cases.def"
};

enum { LINES = sizeof lines / sizeof *lines };

// An operator of ops.def without a line does not compile.
enum {
#define CASES(name, ...) line_of_##name,
#define LEFT_OUT(name, why) line_of_##name,
#include "check/cases.def"
    NAMED
};
#define OP(name, ...) _Static_assert(line_of_##name < NAMED, #name);
#include "ops.def"
_Static_assert((int)NAMED == (int)OP_COUNT, "cases.def names one that ops.def has not");

static const struct line *find(uint32_t number, const uint32_t **s)
{
    const struct line *line = lines;
    while (number >= line->shape_count) number -= line++->shape_count;
    *s = line->shapes[number];
    return line;
}

uint32_t case_count(void)
{
    uint32_t count = 0;
    for (size_t i = 0; i < LINES; i++) count += lines[i].shape_count;
    return count;
}

enum op case_op(uint32_t number)
{
    const uint32_t *s;
    return find(number, &s)->op;
}

void case_name(uint32_t number, char name[CASE_NAME])
{
    const uint32_t *s;
    const struct line *line = find(number, &s);
    uint32_t sides = 1; // those that any shape of the operator has
    for (uint32_t i = 0; i < line->shape_count; i++)
        for (uint32_t j = 0; j < SIDES; j++)
            if (line->shapes[i][j] && sides <= j) sides = j + 1;
    int at = 0;
    for (uint32_t j = 0; j < sides; j++)
        at += snprintf(name + at, (size_t)(CASE_NAME - at), "%s%u", j ? "x" : "", s[j]);
}

bool case_fits(uint32_t number, const struct device *dev)
{
    const uint32_t *s;
    if (find(number, &s)->op != OP_gemm_coop) return true;
    struct matrix x = matrix_of(0, A, C);
    return !dev->strict && gemm_coop_fits(dev, x, (struct weight){.dtype = D}, C);
}

bool case_make(uint32_t number, struct device *dev, struct made *made)
{
    const uint32_t *s;
    const struct line *line = find(number, &s);
    char name[CASE_NAME], seed[2 * CASE_NAME];
    *made = (struct made){.dev = dev, .op = line->op};
    line->make(made, s);
    case_name(number, name);
    snprintf(seed, sizeof seed, "%s %s", op_names[line->op], name);
    return made_fill(made, seed);
}

void case_bound(uint32_t number, double *depth, double *size)
{
    const uint32_t *s;
    double bound[2];
    const struct line *line = find(number, &s);
    line->bound(s, bound);
    *depth = bound[0];
    *size = bound[1];
}

void case_record(uint32_t number, struct cmd *cmd, const void *args)
{
    const uint32_t *s;
    find(number, &s)->record(cmd, args);
}
