// Matrix products over odd shapes and strides, and every weight format in every operator that
// unpacks it.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/tune.h"
#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_quant.h"
#include "ref_rig.h"

struct shape {
    uint32_t rows, outs, inner, pad; // floats between the rows of each matrix
    float alpha, beta;
    uint32_t skip; // floats before the first one: 1 is no 16-byte alignment
};

static const struct shape shapes[] = {
    {1, 1, 1, 0, 1, 0, 0},         {1, 31, 257, 0, 1, 0, 0},     {31, 1, 64, 0, -1, 1, 0},
    {4, 256, 64, 0, 1, 0, 0},      {5, 257, 31, 3, 0.5f, 2, 0},  {16, 64, 576, 0, 1, 0, 0},
    {17, 33, 100, 4, 1, 1, 0},     {40, 72, 36, 4, 1, 0.25f, 1}, {33, 130, 65, 5, 2, 0, 0},
    {3, 1000, 12, 0, 1, 0, 0},     {64, 4, 2000, 0, 1, 0, 0},    {257, 256, 4, 0, -0.5f, 0, 0},
    {2, 6, 32, 0, 1, 1, 0},        {7, 34, 8, 2, 1, 0, 2},
};

// The last four promise or take only a lower triangle.
enum kind { NT, NN, TN, TN_LOWER, NT_LOWER, NN_LEFT, TN_LEFT };
static const char *const names[] = {"gemm_nt",      "gemm_nn",      "gemm_tn",
                                    "gemm_tn LOWER", "gemm_nt_lower", "gemm_nn_left",
                                    "gemm_tn LEFT"};

// A matrix as stored: [rows, cols] with pad floats between rows and skip before them.
struct stored {
    uint32_t rows, cols, stride;
    uint64_t count;
    float *data;
};

static struct stored stored_new(struct rig *rig, uint32_t rows, uint32_t cols,
                                const struct shape *s)
{
    struct stored m = {.rows = rows, .cols = cols, .stride = cols + s->pad};
    m.count = (uint64_t)m.stride * rows + s->skip;
    m.data = rig_random(rig, m.count, 1);
    return m;
}

static struct matrix matrix_at(fbuf address, struct stored m, uint32_t skip)
{
    return (struct matrix){
        .data = address + 4ull * skip, .rows = m.rows, .cols = m.cols, .stride = m.stride};
}

// Sums of `inner` terms one after the other, each with its product's rounding; alpha, beta, sum.
static double gemm_bound(uint32_t inner)
{
    return inner + 4.0;
}

static void record(struct rig *rig, enum kind kind, struct matrix x, struct matrix w,
                   struct matrix y, const struct shape *s)
{
    if (kind == NT) gemm_nt(&rig->cmd, x, w, y, s->alpha, s->beta);
    if (kind == NN) gemm_nn(&rig->cmd, x, w, y, s->alpha, s->beta);
    if (kind == TN) gemm_tn(&rig->cmd, x, w, y, s->alpha, s->beta, SHAPE_FULL);
    if (kind == TN_LOWER) gemm_tn(&rig->cmd, x, w, y, s->alpha, s->beta, SHAPE_LOWER);
    if (kind == TN_LEFT) gemm_tn(&rig->cmd, x, w, y, s->alpha, s->beta, SHAPE_LEFT);
    if (kind == NT_LOWER) gemm_nt_lower(&rig->cmd, x, w, y);
    if (kind == NN_LEFT) gemm_nn_left(&rig->cmd, x, w, y);
}

// What is not promised of y is taken as right.
static void upper_forget(float *got, const double *want, double *size, struct stored y)
{
    for (uint32_t i = 0; i < y.rows; i++)
        for (uint32_t j = i + 1; j < y.cols; j++) {
            got[i * y.stride + j] = (float)want[i * y.stride + j];
            size[i * y.stride + j] = fabs(want[i * y.stride + j]) + 1;
        }
}

static void gemm_case(struct rig *rig, const struct shape *given, enum kind kind)
{
    struct shape shape = *given, *s = &shape;
    bool turn_x = kind == TN || kind == TN_LOWER || kind == TN_LEFT;
    bool turn_w = kind == NT || kind == NT_LOWER, lower = kind == TN_LOWER || kind == NT_LOWER;
    bool left_only = kind == NN_LEFT || kind == TN_LEFT;
    if (lower) s->outs = s->rows;
    if (kind == NT_LOWER || kind == NN_LEFT) s->alpha = 1, s->beta = 0;
    struct stored x = stored_new(rig, turn_x ? s->inner : s->rows, turn_x ? s->rows : s->inner, s);
    struct stored w =
        stored_new(rig, turn_w ? s->outs : s->inner, turn_w ? s->inner : s->outs, s);
    struct stored y = stored_new(rig, s->rows, s->outs, s);
    if (kind == TN_LOWER) memcpy(w.data, x.data, x.count * sizeof *x.data); // x^T x
    for (uint32_t i = 0; left_only && i < x.rows; i++)
        for (uint32_t j = i + 1; j < x.cols; j++) x.data[s->skip + i * x.stride + j] = 0;
    double *left = ref_wide(x.data, x.count), *right = ref_wide(w.data, w.count);
    double *want = ref_wide(y.data, y.count), *size = ref_zeros(y.count);
    // Between the rows of y nothing may change; beta = 0 must not read y.
    for (uint64_t i = s->skip; i < y.count && s->beta == 0; i++)
        if ((i - s->skip) % y.stride < y.cols) y.data[i] = NAN;
    fbuf to = rig_change(rig, y.data, y.count), from = rig_in(rig, x.data, x.count);
    fbuf by = kind == TN_LOWER ? from : rig_in(rig, w.data, w.count);
    record(rig, kind, matrix_at(from, x, s->skip), matrix_at(by, w, s->skip),
           matrix_at(to, y, s->skip), s);
    rig_run(rig);
    struct ref_gemm g = {turn_x, turn_w, s->rows, s->outs, s->inner, x.stride, w.stride, y.stride,
                         (double)s->alpha, (double)s->beta};
    ref_gemm(g, left + s->skip, right + s->skip, want + s->skip, size + s->skip);
    float *got = rig_memory(y.count, sizeof *got);
    memcpy(got, rig_floats(rig, to), y.count * sizeof *got);
    if (lower) upper_forget(got + s->skip, want + s->skip, size + s->skip, y);
    rig_near_host(rig, names[kind], got, want, size, y.count, gemm_bound(s->inner));
    void *mine[] = {x.data, w.data, y.data, left, right, want, size, got};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

static void test_gemm_nt(void **state)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        gemm_case(*state, &shapes[i], NT);
        gemm_case(*state, &shapes[i], NT_LOWER);
    }
}

static void test_gemm_nn(void **state)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        gemm_case(*state, &shapes[i], NN);
        gemm_case(*state, &shapes[i], NN_LEFT);
    }
}

static void test_gemm_tn(void **state)
{
    for (size_t i = 0; i < COUNT(shapes); i++) {
        gemm_case(*state, &shapes[i], TN);
        gemm_case(*state, &shapes[i], TN_LOWER);
        gemm_case(*state, &shapes[i], TN_LEFT);
    }
}

// y = x w^T (+ r) and y = x w (+ r) for a packed w [outs, inner].
static void weight_case(struct rig *rig, enum dtype dtype, uint32_t outs, uint32_t inner,
                        uint32_t rows, bool backward, bool residual)
{
    uint64_t bytes, n = (uint64_t)outs * inner;
    uint8_t *packed = ref_random_blocks(dtype, n, &rig->random, &bytes);
    double *w = ref_zeros(n);
    ref_unpack(dtype, packed, n, w);
    uint32_t from = backward ? outs : inner, to = backward ? inner : outs;
    float *x = rig_random(rig, (uint64_t)rows * from, 1);
    float *r = rig_random(rig, (uint64_t)rows * to, 1);
    double *wide = ref_wide(x, (uint64_t)rows * from), *want = ref_wide(r, (uint64_t)rows * to);
    double *size = ref_zeros((uint64_t)rows * to), largest = 0;
    fbuf in = rig_in(rig, x, (uint64_t)rows * from), y = rig_out(rig, (uint64_t)rows * to);
    fbuf add = residual ? rig_in(rig, r, (uint64_t)rows * to) : 0;
    struct weight weight = {rig_in(rig, packed, bytes / 4), dtype, outs, inner};
    uint64_t scratch = gemm_backward_parts(weight, rows);
    fbuf parts = rig_out(rig, scratch ? scratch : 1);
    if (backward)
        gemm_backward(&rig->cmd, in, weight, add, y, rows, parts);
    else
        gemm_forward(&rig->cmd, in, weight, add, y, rows);
    rig_run(rig);
    ref_gemm((struct ref_gemm){.turn_w = !backward, .rows = rows, .outs = to, .inner = from,
                               .ldx = from, .ldw = inner, .ldy = to, .alpha = 1, .beta = residual},
             wide, w, want, size);
    for (uint64_t i = 0; i < n; i++) largest = fmax(largest, fabs(w[i]));
    // Unpacking scale * q - minimum rounds twice more, relative to the largest of a block.
    for (uint64_t i = 0; i < (uint64_t)rows * to; i++) size[i] += 4 * largest;
    rig_near(rig, dtype_table[dtype].name, y, want, size, (uint64_t)rows * to,
             gemm_bound(from) + 4);
    void *mine[] = {packed, w, x, r, wide, want, size};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

// {0, 0}: what the device likes.
static const uint32_t tiles[][2] = {{0, 0},  {64, 4}, {32, 4}, {24, 4},
                                   {16, 8}, {16, 4}, {8, 8},  {8, 4}, {4, 4}, {1, 8}};

static void test_weights(void **state)
{
    struct rig *rig = *state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        enum dtype dtype = (enum dtype)d;
        uint32_t block = dtype_table[d].block < 4 ? 4 : dtype_table[d].block;
        for (int i = 0; i < 4; i++) {
            bool backward = i & 1, residual = i & 2;
            weight_case(*state, dtype, 33, block, 1, backward, residual);
            weight_case(*state, dtype, 4, 3 * block, 5, backward, residual);
            weight_case(*state, dtype, 97, 2 * block, 19, backward, residual);
        }
        assert_true(tune_only(rig->dev, 16, 8)); // unpacks eight at a time
        weight_case(*state, dtype, 28, 3 * block, 19, true, false);
        assert_true(tune_only(rig->dev, 0, 0));
    }
}

// Every tile gives the same.
static void test_tiles(void **state)
{
    struct rig *rig = *state;
    const enum dtype types[] = {DTYPE_F32, DTYPE_Q4_1};
    for (size_t t = 1; t < COUNT(tiles); t++) {
        assert_true(tune_only(rig->dev, tiles[t][0], tiles[t][1]));
        for (size_t d = 0; d < COUNT(types); d++)
            for (int backward = 0; backward < 2; backward++) {
                weight_case(rig, types[d], 68, 96, 1, backward, false);
                weight_case(rig, types[d], 68, 96, 35, backward, true);
            }
        for (size_t i = 0; i < COUNT(shapes); i++)
            for (int kind = NT; kind <= TN_LEFT; kind++)
                gemm_case(rig, &shapes[i], (enum kind)kind);
        assert_true(tune_only(rig->dev, 0, 0));
    }
}

// Sums long enough to be made in parts, by few rows at once and by many one after the other.
static void test_parts(void **state)
{
    const uint32_t rows[] = {3, 64, 70};
    for (size_t i = 0; i < COUNT(rows); i++) {
        weight_case(*state, DTYPE_F32, 4300, 36, rows[i], true, i & 1);
        weight_case(*state, DTYPE_Q8_0, 4099, 32, rows[i], true, !(i & 1));
    }
}

// Rows of a packed table, exactly as unpacked but for the rounding of scale * q - minimum.
static void test_embed(void **state)
{
    struct rig *rig = *state;
    for (int d = 0; d < DTYPE_COUNT; d++) {
        uint32_t cols = dtype_table[d].block < 4 ? 36 : 3 * dtype_table[d].block, vocab = 41;
        uint32_t ids[] = {0, 40, 1, 17, 40, 3, 2}, rows = COUNT(ids);
        uint64_t bytes, n = (uint64_t)vocab * cols;
        uint8_t *packed = ref_random_blocks((enum dtype)d, n, &rig->random, &bytes);
        double *w = ref_zeros(n), *want = ref_zeros((uint64_t)rows * cols);
        double *size = ref_zeros((uint64_t)rows * cols), largest = 0;
        ref_unpack((enum dtype)d, packed, n, w);
        for (uint64_t i = 0; i < n; i++) largest = fmax(largest, fabs(w[i]));
        for (uint64_t i = 0; i < (uint64_t)rows * cols; i++) {
            want[i] = w[ids[i / cols] * cols + i % cols];
            size[i] = d <= DTYPE_Q8_0 || d == DTYPE_Q4_0 || d == DTYPE_Q5_0 ? fabs(want[i])
                                                                            : 2 * largest;
        }
        fbuf y = rig_out(rig, (uint64_t)rows * cols);
        op_embed(&rig->cmd, (struct embed_args){rig_in(rig, packed, bytes / 4),
                                                rig_in(rig, ids, rows), y, rows, cols,
                                                (uint32_t)d});
        rig_run(rig);
        rig_near(rig, "embed", y, want, size, (uint64_t)rows * cols, 3);
        void *mine[] = {packed, w, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

// Words of plain formats and blocks of packed ones that have a value which is no number.
static uint32_t units_bad(enum dtype dtype, const uint8_t *packed, uint64_t units, uint64_t block)
{
    double *w = ref_zeros(units * block);
    uint32_t bad = 0;
    ref_unpack(dtype, packed, units * block, w);
    for (uint64_t i = 0; i < units; i++) {
        uint64_t at = i * block;
        while (at < (i + 1) * block && isfinite(w[at])) at++;
        if (at < (i + 1) * block) bad++;
    }
    free(w);
    return bad;
}

static void test_count_nonfinite(void **state)
{
    struct rig *rig = *state;
    for (int d = 0; d < DTYPE_COUNT; d++)
        for (int spoilt = 0; spoilt < 3; spoilt++) {
            const struct dtype_info *info = &dtype_table[d];
            bool plain = info->block == 1;
            uint64_t bytes, units = 203, block = plain ? 4 / info->bytes : info->block;
            uint8_t *packed =
                ref_random_blocks((enum dtype)d, units * block, &rig->random, &bytes);
            uint32_t got = 0, groups = 2, scale = d == DTYPE_Q6_K ? 208 : 0;
            for (int i = 0; i < spoilt; i++) { // infinity, then NaN in the last place of all
                uint64_t last = units * block / info->block - 1;
                uint8_t *at = packed + (i ? last : 3) * info->bytes + scale;
                const float bad = i ? NAN : INFINITY;
                const uint8_t half[] = {(uint8_t)i, 0x7c};
                memcpy(at, d == DTYPE_BF16 ? (const uint8_t *)&bad + 2 : half, 2);
                if (d == DTYPE_F32) memcpy(at, &bad, 4);
                // The second scale, where there is one.
                if (i && (d == DTYPE_Q4_1 || d == DTYPE_Q5_1 || d == DTYPE_Q4_K || d == DTYPE_Q5_K))
                    memcpy(at - info->bytes + 2, half, 2);
            }
            uint32_t wanted = units_bad((enum dtype)d, packed, units, block);
            assert_true(wanted >= (uint32_t)spoilt);
            fbuf y = rig_out(rig, groups);
            op_count_nonfinite(&rig->cmd, (struct count_nonfinite_args){
                                              rig_in(rig, packed, bytes / 4), y, (uint32_t)units,
                                              groups, (uint32_t)d});
            rig_run(rig);
            for (uint32_t i = 0; i < groups; i++) got += rig_words(rig, y)[i];
            if (got != wanted)
                fail_msg("%s: %u units are no number, wanted %u", info->name, got, wanted);
            free(packed);
            rig_drop(rig);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_GEMM(CASE)
#undef CASE
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_count_nonfinite),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
