// Strict operators of linear algebra, of Jacobi and of Gauss-Newton against plain C, bit for bit.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref_cases.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_twin.h"
#include "state.def"

static const uint32_t sizes[] = {1, 31, 64, 257, 1000};

// max |x| and the like
static float positive(struct rig *rig)
{
    float x = 0, *all = wild(rig, 8, 20);
    for (int i = 0; i < 8; i++) x = fmaxf(x, fabsf(all[i]));
    free(all);
    return x;
}

static void test_copy_part(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 8; i++) {
        const float largest = i & 4 ? positive(rig) : 0;
        TWIN_CASE(rig, copy_part,
                  {.x = wild_in(rig, 40 * 47, 60),
                   .largest = rig_in(rig, &largest, 1),
                   .y = rig_out(rig, 35 * 50),
                   .rows = 35,
                   .cols = 48,
                   .ldx = 47,
                   .ldy = 50,
                   .rows_in = i & 1 ? 33 : 31,
                   .cols_in = 30,
                   .turned = i & 1,
                   .scaled = i >> 1 & 1});
    }
}

static void test_largest_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) {
        uint32_t n = sizes[i];
        float *x = wild(rig, 3 * n, 60);
        x[0] = INFINITY;
        x[n] = NAN;
        TWIN_CASE(rig, largest_rows, {.x = rig_in(rig, x, 3 * n), .y = rig_out(rig, 3), .rows = 3,
                                      .cols = n});
        free(x);
    }
}

static void test_norm_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, norm_rows, {.x = wild_in(rig, 3 * sizes[i] + 6, 20), .y = rig_out(rig, 3),
                                   .rows = 3, .cols = sizes[i], .ldx = sizes[i] + 2});
}

static void test_sort_index(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, sort_index, {.x = wild_in(rig, sizes[i], 3), .index = rig_out(rig, sizes[i]),
                                    .n = sizes[i]});
}

static void test_count_rows(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 2 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 2];
        float *x = wild(rig, n, 10);
        if (i & 1) x[n / 2] = NAN;
        TWIN_CASE(rig, count_rows, {.x = rig_in(rig, x, n), .count = rig_out(rig, 1), .n = n,
                                    .least = 0.01f});
        free(x);
    }
}

static void test_random(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, random, {.y = rig_out(rig, sizes[i]), .n = sizes[i], .seed = 77 * i});
}

static void test_normal(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, normal, {.y = rig_out(rig, sizes[i]), .n = sizes[i], .seed = 77 * i});
}

static void test_unit_row(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 3 * COUNT(sizes); i++) {
        const float before = i % 3 == 1 ? 1e30f : 1e-3f;
        TWIN_CASE(rig, unit_row,
                  {.x = i % 3 == 2 ? even_change(rig, sizes[i / 3], 0)
                                   : wild_change(rig, sizes[i / 3], 20),
                   .before = rig_in(rig, &before, 1), .norm = rig_out(rig, 1),
                   .cols = sizes[i / 3], .tol = 0.1f, .least = 1e-25f});
    }
}

static void test_sweep_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) {
        uint32_t n = sizes[i], ldx = n + 3;
        TWIN_CASE(rig, sweep_rows, {.q = wild_in(rig, n, 20), .x = wild_change(rig, 4 * ldx, 20),
                                    .coef = wild_change(rig, 12, 1), .rows = 4, .cols = n,
                                    .ldx = ldx, .ldc = 3});
    }
}

static void test_svd_values(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) {
        const float largest = positive(rig);
        TWIN_CASE(rig, svd_values, {.norms = some_in(rig, sizes[i], 0, 2),
                                    .order = ids_in(rig, sizes[i], sizes[i]),
                                    .largest = rig_in(rig, &largest, 1),
                                    .sigma = rig_out(rig, sizes[i]), .n = sizes[i], .least = 0.1f});
    }
}

static float *definite(struct rig *rig, uint32_t n)
{
    float *a = wild(rig, (uint64_t)n * n, 3), *c = ref_definite(a, n);
    free(a);
    return c;
}

static void test_chol_shift(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 64, 130};
    for (uint32_t i = 0; i < 2 * COUNT(many); i++) {
        uint32_t n = many[i / 2];
        float *c = definite(rig, n);
        TWIN_CASE(rig, chol_shift, {.c = rig_in(rig, c, n * n), .state = rig_out(rig, 4), .n = n,
                                    .ridge = i & 1 ? 1e-4f : 0});
        free(c);
    }
}

static void test_mirror(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) {
        uint32_t n = sizes[i] < 300 ? sizes[i] : 300;
        TWIN_CASE(rig, mirror, {.c = wild_change(rig, n * n, 50), .n = n});
    }
}

// Good blocks, and such of which a pivot is not positive.
static void test_chol_block(void **state)
{
    struct rig *rig = *state;
    enum { LDL = 70, ROW = 64 };
    const uint32_t many[] = {1, 2, 31, 63, 64};
    for (uint32_t i = 0; i < 2 * COUNT(many); i++) {
        uint32_t n = many[i / 2];
        float *c = definite(rig, n), block[ROW * ROW] = {0}, *diagonal = wild(rig, LDL * LDL, 2);
        const float given[8] = {0.125f};
        if (i & 1) c[n / 2 * (n + 1)] = -1;
        for (uint32_t j = 0; j < n * n; j++) block[j / n * ROW + j % n] = c[j];
        for (uint32_t j = 0; j < n; j++) diagonal[j * (LDL + 1)] = c[j * (n + 1)];
        TWIN_CASE(rig, chol_block,
                  {.block = rig_in(rig, block, ROW * ROW),
                   .diagonal = rig_in(rig, diagonal, LDL * LDL),
                   .lower = wild_change(rig, LDL * LDL, 9), .inverse = rig_out(rig, ROW * ROW),
                   .state = rig_change(rig, given, 8), .size = n, .first = 0, .ldl = LDL});
        free(c);
        free(diagonal);
    }
}

static void test_chol_turn(void **state)
{
    struct rig *rig = *state;
    enum { LDL = 70, ROW = 64 };
    const uint32_t many[] = {1, 2, 31, 63, 64};
    EACH_OF(i, many)
        TWIN_CASE(rig, chol_turn,
                  {.lower = wild_change(rig, LDL * LDL, 9), .x = wild_in(rig, many[i], 20),
                   .turn = rig_out(rig, 2 * many[i]), .inverse = rig_out(rig, ROW * ROW),
                   .size = many[i], .ldl = LDL});
}

static void test_chol_turn_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) {
        uint32_t rows = sizes[i] < 300 ? sizes[i] : 300;
        TWIN_CASE(rig, chol_turn_rows,
                  {.lower = wild_change(rig, rows * 70, 20), .x = wild_change(rig, rows, 20),
                   .turn = wild_in(rig, 2 * 64, 1), .rows = rows, .size = 64, .ldl = 70});
    }
}

static void test_tri_gather(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, tri_gather,
                  {.lower = wild_in(rig, 9 * (sizes[i] + 5), 20),
                   .solved = wild_in(rig, sizes[i], 20), .x = wild_in(rig, 9, 20),
                   .y = rig_out(rig, 9), .rows = 9, .cols = sizes[i], .ldl = sizes[i] + 5});
}

static void test_tri_block(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 64};
    for (uint32_t i = 0; i < 2 * COUNT(many); i++)
        TWIN_CASE(rig, tri_block, {.inverse = wild_in(rig, 64 * 64, 20),
                                   .x = wild_in(rig, many[i / 2], 20),
                                   .y = rig_out(rig, many[i / 2]), .size = many[i / 2],
                                   .turned = i & 1});
}

static void test_tri_spread(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, tri_spread, {.lower = wild_in(rig, 33 * (sizes[i] + 3), 20),
                                    .x = wild_in(rig, 33, 20), .y = wild_change(rig, sizes[i], 20),
                                    .rows = 33, .cols = sizes[i], .ldl = sizes[i] + 3});
}

static void test_residual(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) {
        uint32_t n = sizes[i];
        const float shift[4] = {0.37f};
        TWIN_CASE(rig, residual, {.c = wild_in(rig, n * n, 12), .state = rig_in(rig, shift, 4),
                                  .x = wild_in(rig, n, 12), .b = wild_in(rig, n, 12),
                                  .r = rig_out(rig, n), .n = n});
    }
}

// ---- Jacobi ----
enum { PAIR = 32 };

static void test_jacobi_gram(void **state)
{
    struct rig *rig = *state;
    const uint32_t blocks[] = {2, 4, 6};
    EACH_OF(i, blocks) {
        uint32_t rows = 16 * blocks[i], stride = rows + 8;
        fbuf x = wild_in(rig, rows * stride, 12);
        TWIN_CASE(rig, jacobi_gram,
                  {.x = x, .w = x, .y = rig_out(rig, blocks[i] / 2 * PAIR * PAIR), .inner = rows,
                   .ldx = stride, .ldw = stride, .meeting = i, .blocks = blocks[i], .tile = 16,
                   .local = 8});
    }
}

// Gram matrices of independent rows, of nearly parallel ones, of ones with a zero, and of such as
// small angles turn, which multiply to what would be denormal.
static void test_jacobi_turn(void **state)
{
    struct rig *rig = *state;
    enum { PAIRS = 4 };
    float gram[PAIRS * PAIR * PAIR], worst[PAIRS] = {0, 0.5f, 0, 1e-9f};
    for (uint32_t p = 0; p < PAIRS; p++) {
        float *x = wild(rig, PAIR * 50, p == 1 ? 0 : 8);
        for (uint32_t i = 1; i < PAIR && p == 1; i++)
            for (uint32_t k = 0; k < 50; k++) x[i * 50 + k] = x[k] + 1e-3f * x[i * 50 + k];
        for (uint32_t k = 0; k < 50 && p == 2; k++) x[7 * 50 + k] = x[9 * 50 + k] = 0;
        for (uint32_t i = 0; i < PAIR; i++)
            for (uint32_t j = 0; j < PAIR; j++) {
                double sum = 0;
                for (uint32_t k = 0; k < 50; k++)
                    sum += (double)x[i * 50 + k] * (double)x[j * 50 + k];
                gram[(p * PAIR + i) * PAIR + j] = (float)(p == 3 && i != j ? 2e-5 * sum : sum);
            }
        free(x);
    }
    TWIN_CASE(rig, jacobi_turn,
              {.gram = rig_in(rig, gram, PAIRS * PAIR * PAIR),
               .turn = rig_out(rig, PAIRS * PAIR * PAIR), .home = rig_out(rig, PAIRS * PAIR),
               .worst = rig_change(rig, worst, PAIRS), .busy = rig_out(rig, PAIRS),
               .pairs = PAIRS, .tol = 4e-6f});
}

static void test_jacobi_apply(void **state)
{
    struct rig *rig = *state;
    const uint32_t outs[] = {4, 36, 300};
    const uint32_t busy[3] = {1, 0, 1};
    EACH_OF(i, outs) {
        uint32_t rows = 96, stride = outs[i] + 4, home[96];
        for (uint32_t r = 0; r < rows; r++) home[r] = (r * 7 + 5) % PAIR;
        TWIN_CASE(rig, jacobi_apply,
                  {.x = wild_in(rig, rows * PAIR, 12), .w = wild_in(rig, rows * stride, 12),
                   .home = rig_in(rig, home, rows), .busy = rig_in(rig, busy, 3),
                   .y = rig_out(rig, rows * stride), .inner = PAIR, .outs = outs[i], .ldx = PAIR,
                   .ldw = stride, .meeting = i, .blocks = 6, .tile = 16, .local = i & 1 ? 8 : 64});
    }
}

static void test_svd_vectors(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 2; i++)
        TWIN_CASE(rig, svd_vectors,
                  {.x = wild_in(rig, 40 * 70, 20), .lengths = some_in(rig, 40, 0.5, 2),
                   .gate = some_in(rig, 40, 0, 2), .order = order_in(rig, 33, 40),
                   .columns = order_in(rig, 64, 64), .y = rig_out(rig, 33 * 60), .rows = 33,
                   .cols = 64, .ldx = 70, .limit = 60, .plain = i, .least = 0.4f});
}

// ---- Gauss-Newton ----
static void test_gauss_look(void **state)
{
    struct rig *rig = *state;
    const uint32_t shapes[][3] = {{1, 2, 1}, {16, 7, 1}, {65, 45, 2}, {64, 200, 1}, {1030, 22, 2}};
    for (uint32_t i = 0; i < 6 * COUNT(shapes); i++) {
        // The first look; better, worse, worse at the last one, after it, and a NaN.
        uint32_t n = shapes[i / 6][0], prompts = shapes[i / 6][1], tokens = shapes[i / 6][2];
        uint32_t kind = i % 6, losses = (prompts - 1) * tokens;
        uint32_t groups = prompts - 1 < GAUSS_GROUPS ? prompts - 1 : GAUSS_GROUPS;
        uint32_t rows = groups + GAUSS_TERMS;
        float first[STATE_SIZE] = {0};
        float later[STATE_SIZE] = {[STATE_STEP] = kind == 3 ? 24 : 3, [STATE_LENGTH2] = 3.3f,
                                   [STATE_F1] = 0.3f, [STATE_F1 + 1] = -0.01f,
                                   [STATE_F2] = -0.2f, [STATE_F2 + 1] = 0.02f,
                                   [STATE_CHOSEN] = 1, [STATE_BEST] = kind == 1 ? 1e3f : 0.1f,
                                   [STATE_RADIUS] = 1.5f, [STATE_MODEL] = -2,
                                   [STATE_MOVE] = 1.45f, [STATE_STOPPED] = kind == 4};
        float *grads = wild(rig, (uint64_t)prompts * n, 9);
        if (kind == 5) grads[n / 2] = NAN;
        TWIN_CASE(rig, gauss_look,
                  {.grads = rig_in(rig, grads, prompts * n),
                   .index = order_in(rig, prompts, prompts),
                   .loss = some_in(rig, losses + 1, 0.001, 6),
                   .pulls = wild_in(rig, 2 * n, 9),
                   .delta = wild_change(rig, n, 6),
                   .rows = wild_change(rig, (rows + 1) * n, 6),
                   .terms = wild_change(rig, rows, 3),
                   .state = rig_change(rig, kind ? later : first, STATE_SIZE),
                   .n = n,
                   .prompts = prompts,
                   .tokens = tokens,
                   .groups = groups,
                   .steps = 25,
                   .kl_factor = 0.06f,
                   .decay = 0.01f,
                   .stop = 0.05f,
                   .clamp = 4,
                   .radius = 1.6f,
                   .low1 = 0,
                   .low2 = -2});
        free(grads);
    }
}

// Rows of a model with what lies on the way down in x, and their Gram matrix.
static float *model_rows(struct rig *rig, uint32_t groups, uint32_t n, bool outward, float *gram)
{
    const uint32_t side = groups + GAUSS_TERMS + 1;
    float *lines = rig_random(rig, (uint64_t)side * n, 0.3), *x = lines + (side - 1) * n;
    for (uint32_t i = 0; i < n && outward; i++) {
        x[i] = 0;
        for (uint32_t g = 0; g < groups; g++) x[i] -= lines[g * n + i] / (float)groups;
    }
    for (uint32_t r = 0; r < side; r++)
        for (uint32_t c = 0; c < side; c++) {
            double sum = 0;
            for (uint32_t i = 0; i < n; i++)
                sum += (double)lines[r * n + i] * (double)lines[c * n + i];
            gram[r * side + c] = (float)sum;
        }
    return lines;
}

// Steps that end at the radius, at the goal, at the clamp; no radius; after the end; and searches
// that are long: far apart terms, and a clamp that binds.
static void test_gauss_step(void **state)
{
    struct rig *rig = *state;
    const uint32_t shapes[][2] = {{1, 2}, {16, 7}, {576, 22}, {100, 150}, {24, 45}, {60, 45}};
    for (uint32_t i = 0; i < 8 * COUNT(shapes); i++) {
        uint32_t n = shapes[i / 8][0], prompts = shapes[i / 8][1], kind = i % 8;
        uint32_t groups = prompts - 1 < GAUSS_GROUPS ? prompts - 1 : GAUSS_GROUPS;
        uint32_t rows = groups + GAUSS_TERMS, side = rows + 1;
        float gram[(GAUSS_MOST + 1) * (GAUSS_MOST + 1)], terms[GAUSS_MOST];
        float *lines = model_rows(rig, groups, n, kind == 2 || kind == 7, gram);
        float *random = rig_random(rig, rows, 2), length = sqrtf(gram[side * side - 1]);
        for (uint32_t r = 0; r < rows; r++)
            terms[r] = r < groups ? (kind > 4 ? 10 : 1) * random[r] + 4 : 0.1f * fabsf(random[r]);
        float values[STATE_SIZE] = {[STATE_BEST] = 4,
                                    [STATE_STOPPED] = kind == 4,
                                    [STATE_RADIUS] = kind == 3   ? 0
                                                     : kind == 1 ? 1e3f
                                                                 : 0.5f * length};
        TWIN_CASE(rig, gauss_step,
                  {.gram = rig_in(rig, gram, side * side), .terms = rig_in(rig, terms, rows),
                   .rows = rig_in(rig, lines, side * n), .delta = wild_change(rig, n, 1),
                   .state = rig_change(rig, values, STATE_SIZE), .n = n, .groups = groups,
                   .prompts = prompts, .goal = kind == 1 ? 1.5f : -3,
                   .clamp = kind == 2 || kind == 5 ? length
                                                       : kind > 5 ? 0.9f * length : 1e6f});
        free(lines);
        free(random);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_LINALG(CASE) CASES_CHOL(CASE) CASES_SVD(CASE) CASES_GAUSS(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, twin_open, rig_close);
}
