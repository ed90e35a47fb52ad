// Strict matrix products against plain C, bit for bit: every tile of the device, every type of
// weights, every shape of triangle.
#include <stdio.h>
#include <stdlib.h>

#include "check/twin.h"
#include "ops/tune.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_quant.h"
#include "ref_twin.h"

enum { UNALIGNED = 16, TILES = 16, SPREAD = 12 };

struct shape {
    uint32_t rows, outs, inner, pad; // floats between the rows of x, w and y
    float alpha, beta;
    uint32_t shape, span; // of gemm_nn: terms of a part, 0: all
};

// Aligned ones; sums of more than one part; triangles.
static const struct shape even[] = {
    {1, 4, 4, 0, 1, 0, SHAPE_FULL, 0},       {5, 36, 100, 4, -0.7f, 0, SHAPE_FULL, 0},
    {70, 132, 36, 0, 1, 1.5f, SHAPE_FULL, 0}, {33, 64, 260, 8, 1, 0, SHAPE_FULL, 96},
    {100, 100, 100, 4, 1, 0, SHAPE_LOWER, 0}, {68, 40, 68, 0, 1, 0, SHAPE_LEFT, 0},
};
static const struct shape odd[] = {
    {1, 1, 1, 0, 1, 0, SHAPE_FULL, 0},       {17, 33, 101, 3, 0.3f, -2, SHAPE_FULL, 0},
    {67, 131, 21, 1, 1, 0, SHAPE_FULL, 16},    {71, 71, 30, 2, 1, 0, SHAPE_LOWER, 0},
    {37, 50, 37, 0, 1, 0, SHAPE_LEFT, 0},
};
// Packed rows are whole blocks.
static const struct shape packed_nt[] = {{19, 36, 512, 0, 1, 0.5f, SHAPE_FULL, 0}};
static const struct shape packed_nn[] = {{19, 512, 36, 0, 1, 0.5f, SHAPE_FULL, 16},
                                         {19, 512, 37, 0, 1, 0.5f, SHAPE_FULL, 16}}; // x is odd

static void *weights_of(struct rig *rig, uint32_t dtype, uint64_t count, uint64_t *bytes)
{
    *bytes = 4 * count;
    if (!dtype) return wild(rig, count, SPREAD);
    return ref_random_blocks((enum dtype)dtype, count, &rig->random, bytes);
}

// x lower triangular, as stored: [rows, cols]
static fbuf left_in(struct rig *rig, uint32_t rows, uint32_t cols, uint32_t stride, bool lower)
{
    float *x = wild(rig, (uint64_t)rows * stride, SPREAD);
    for (uint32_t i = 0; i < rows && lower; i++)
        for (uint32_t j = i + 1; j < cols; j++) x[i * stride + j] = 0;
    fbuf address = rig_in(rig, x, (uint64_t)rows * stride);
    free(x);
    return address;
}

#define FILL(a)                                                                                    \
    a.rows = s->rows, a.outs = s->outs, a.inner = s->inner, a.alpha = s->alpha, a.beta = s->beta,  \
    a.shape = s->shape, a.variant = variant, a.tile = tile.rows, a.cols = tile.cols,               \
    a.local = tile.local, a.wide = tile.wide, a.x = x, a.r = r, a.y = y, a.w = w

static void product(struct rig *rig, enum op op, const struct shape *given_shape, uint32_t variant,
                    struct tile tile)
{
    struct shape shape = *given_shape, *s = &shape;
    if (op == OP_gemm_tn && !(variant & UNALIGNED)) s->rows = CEIL(s->rows, 4) * 4; // x's columns
    const uint32_t dtype = variant & 15, span = s->span ? s->span : s->inner;
    const bool turned = op == OP_gemm_tn, nt = op == OP_gemm_nt;
    uint32_t x_rows = turned ? s->inner : s->rows, x_cols = turned ? s->rows : s->inner;
    uint32_t ldx = x_cols + s->pad, ldw = (nt ? s->inner : s->outs) + (dtype ? 0 : s->pad);
    uint32_t ldy = s->outs + s->pad, parts = op == OP_gemm_nn ? CEIL(s->inner, span) : 1;
    uint64_t bytes, size = (uint64_t)parts * s->rows * ldy;
    void *given = weights_of(rig, dtype, (uint64_t)ldw * (nt ? s->outs : s->inner), &bytes);
    ubuf w = rig_in(rig, given, bytes / 4);
    fbuf x = left_in(rig, x_rows, x_cols, ldx, s->shape == SHAPE_LEFT);
    fbuf r = wild_in(rig, size, SPREAD), y = rig_out(rig, size);
    free(given);
    if (nt) {
        struct gemm_nt_args a = {.ldx = ldx, .ldw = ldw, .ldy = ldy};
        FILL(a);
        op_gemm_nt(&rig->cmd, a);
        twin_check(rig, op, &a, sizeof a);
    } else if (turned) {
        struct gemm_tn_args a = {.ldx = ldx, .ldw = ldw, .ldy = ldy};
        FILL(a);
        op_gemm_tn(&rig->cmd, a);
        twin_check(rig, op, &a, sizeof a);
    } else {
        struct gemm_nn_args a = {.ldx = ldx, .ldw = ldw, .ldy = ldy, .span = span};
        FILL(a);
        op_gemm_nn(&rig->cmd, a);
        twin_check(rig, op, &a, sizeof a);
    }
    rig_drop(rig);
}

static bool fits(enum op op, const struct shape *s)
{
    return s->shape == SHAPE_FULL || (s->shape == SHAPE_LOWER) == (op == OP_gemm_nt) ||
           op == OP_gemm_tn;
}

// Every tile that the device has for this operator and variant.
static void tiles_all(struct rig *rig, enum op op, const struct shape *shapes, size_t count,
                      uint32_t variant)
{
    struct tile tiles[TILES];
    uint32_t many = op_tiles(rig->dev, op, variant, tiles, TILES);
    assert_true(many > 0 && many < TILES);
    for (uint32_t t = 0; t < many; t++) {
        assert_true(tune_only(rig->dev, tiles[t].rows, tiles[t].cols));
        struct tile tile = tune_tile(rig->dev, op, variant, 40);
        assert_int_equal(tile.rows, tiles[t].rows);
        assert_int_equal(tile.cols, tiles[t].cols);
        for (size_t i = 0; i < count; i++)
            if (fits(op, &shapes[i])) product(rig, op, &shapes[i], variant, tile);
    }
    printf("%s, variant %u: %u tiles\n", op_names[op], variant, many);
}

static void operator_all(struct rig *rig, enum op op)
{
    const uint32_t types = op == OP_gemm_tn ? 1 : DTYPE_COUNT;
    const struct shape *packed = op == OP_gemm_nt ? packed_nt : packed_nn;
    tiles_all(rig, op, even, COUNT(even), 0);
    for (uint32_t dtype = 1; dtype < types; dtype++) tiles_all(rig, op, packed, 1, dtype);
    tiles_all(rig, op, odd, COUNT(odd), UNALIGNED);
    for (uint32_t dtype = 1; dtype < types; dtype++) // of x or y; packed weights always are aligned
        tiles_all(rig, op, packed + (op == OP_gemm_nn), 1, dtype | UNALIGNED);
}

static void test_gemm_nt(void **state)
{
    operator_all(*state, OP_gemm_nt);
}

static void test_gemm_nn(void **state)
{
    operator_all(*state, OP_gemm_nn);
}

static void test_gemm_tn(void **state)
{
    operator_all(*state, OP_gemm_tn);
}

// Matrix units add as they like.
static void test_gemm_coop(void **state)
{
    (void)state;
    assert_null(twin_float[OP_gemm_coop]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_GEMM(CASE) CASES_GEMM_COOP(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, twin_open, rig_close);
}
