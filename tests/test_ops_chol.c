// The steps of the Cholesky factor and of its rank-one updates, one by one; what is made of them is
// tested in test_solve.c and test_memory.c.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_cases.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_rig.h"

static float *definite(struct rig *rig, uint32_t n)
{
    float *a = rig_random(rig, n * n, 1), *c = ref_definite(a, n);
    free(a);
    return c;
}

static void test_chol_shift(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 64, 257};
    for (size_t s = 0; s < 2 * COUNT(many); s++) {
        uint32_t n = many[s / 2];
        float *c = definite(rig, n), ridge = s & 1 ? 0.01f : 0;
        double want[4] = {0};
        for (uint32_t i = 0; i < n; i++) want[0] += (double)ridge * (double)c[i * (n + 1)] / n;
        fbuf to = rig_out(rig, 4);
        op_chol_shift(&rig->cmd, (struct chol_shift_args){rig_in(rig, c, n * n), to, n, ridge});
        rig_run(rig);
        rig_near(rig, "chol_shift", to, want, NULL, 4, rig_depth(n));
        free(c);
        rig_drop(rig);
    }
}

static void test_mirror(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 64, 257};
    for (size_t s = 0; s < COUNT(many); s++) {
        uint32_t n = many[s];
        float *c = rig_random(rig, n * n, 1);
        fbuf to = rig_change(rig, c, n * n);
        op_mirror(&rig->cmd, (struct mirror_args){to, n});
        rig_run(rig);
        for (uint32_t i = 0; i < n * n; i++) {
            uint32_t r = i / n, k = i % n;
            assert_true(rig_floats(rig, to)[i] == (k > r ? c[k * n + r] : c[i]));
        }
        free(c);
        rig_drop(rig);
    }
}

// L L^T = C + shift and L L^-1 = 1 for one block in the corner of a larger L.
static void test_chol_block(void **state)
{
    struct rig *rig = *state;
    enum { LDL = 70, ROW = 64 };
    const uint32_t many[] = {1, 2, 31, 63, 64};
    for (size_t s = 0; s < COUNT(many); s++) {
        uint32_t n = many[s];
        float *c = definite(rig, n), block[ROW * ROW] = {0}, *diagonal = rig_memory(LDL * LDL, 4);
        float given[8] = {0.125f}, *lower = rig_random(rig, LDL * LDL, 1);
        for (uint32_t i = 0; i < n * n; i++) block[i / n * ROW + i % n] = c[i];
        for (uint32_t i = 0; i < n; i++) diagonal[i * (LDL + 1)] = c[i * (n + 1)];
        fbuf l = rig_change(rig, lower, LDL * LDL), inverse = rig_out(rig, ROW * ROW);
        fbuf to = rig_change(rig, given, 8);
        op_chol_block(&rig->cmd, (struct chol_block_args){rig_in(rig, block, ROW * ROW),
                                                          rig_in(rig, diagonal, LDL * LDL), l,
                                                          inverse, to, n, 0, LDL});
        rig_run(rig);
        assert_true(rig_floats(rig, to)[1] == 0);
        const float *low = rig_floats(rig, l), *inv = rig_floats(rig, inverse);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++) {
                double product = 0, unit = 0, size = 1e-3, want;
                for (uint32_t k = 0; k <= (i < j ? i : j); k++)
                    product += (double)low[i * LDL + k] * (double)low[j * LDL + k];
                for (uint32_t k = j; k <= i; k++) {
                    unit += (double)low[i * LDL + k] * (double)inv[k * ROW + j];
                    size += fabs((double)low[i * LDL + k] * (double)inv[k * ROW + j]);
                }
                want = (double)c[i * n + j] + (i == j ? 0.125 : 0);
                // Backward errors: n eps sqrt(c_ii c_jj), and n eps sum |L| |L^-1|.
                double bound = (n + 8) * RIG_EPS;
                double diagonals = sqrt((double)c[i * (n + 1)] * (double)c[j * (n + 1)]);
                assert_true(fabs(product - want) <= bound * (0.125 + diagonals));
                assert_true(fabs(unit - (i == j)) <= bound * size);
                assert_true(j <= i || inv[i * ROW + j] == 0);
            }
        free(c);
        free(diagonal);
        free(lower);
        rig_drop(rig);
    }
}

// y = x - L y0 for a block row; y -= L^T x for a block column.
static void triangle_case(struct rig *rig, uint32_t rows, uint32_t cols)
{
    uint32_t ldl = cols + 7;
    float *lower = rig_random(rig, rows * ldl, 1), *y0 = rig_random(rig, cols, 1);
    float *x = rig_random(rig, rows, 1);
    double *gather = ref_wide(x, rows), *spread = ref_wide(y0, cols);
    double *sizes_g = ref_zeros(rows), *sizes_s = ref_zeros(cols);
    for (uint32_t i = 0; i < rows; i++) sizes_g[i] = fabs((double)x[i]);
    for (uint32_t i = 0; i < cols; i++) sizes_s[i] = fabs((double)y0[i]);
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j < cols; j++) {
            double l = (double)lower[i * ldl + j];
            gather[i] -= l * (double)y0[j];
            spread[j] -= l * (double)x[i];
            sizes_g[i] += fabs(l * (double)y0[j]);
            sizes_s[j] += fabs(l * (double)x[i]);
        }
    fbuf from = rig_in(rig, lower, rows * ldl), in = rig_in(rig, x, rows);
    fbuf y = rig_out(rig, rows), to = rig_change(rig, y0, cols);
    op_tri_gather(&rig->cmd, (struct tri_gather_args){from, rig_in(rig, y0, cols), in, y, rows,
                                                      cols, ldl});
    op_tri_spread(&rig->cmd, (struct tri_spread_args){from, in, to, rows, cols, ldl});
    rig_run(rig);
    rig_near(rig, "tri_gather", y, gather, sizes_g, rows, rig_depth(cols));
    rig_near(rig, "tri_spread", to, spread, sizes_s, cols, rows + 4);
    void *mine[] = {lower, y0, x, gather, spread, sizes_g, sizes_s};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

// L' L'^T = L L^T + x x^T and L' L'^-1 = 1; the rows below by the same rotations.
static void test_chol_turn(void **state)
{
    struct rig *rig = *state;
    enum { LDL = 70, ROW = 64 };
    const uint32_t many[] = {1, 2, 31, 63, 64};
    for (size_t s = 0; s < COUNT(many); s++) {
        uint32_t n = many[s];
        float *lower = rig_random(rig, LDL * LDL, 1), *x = rig_random(rig, n, 2);
        for (uint32_t i = 0; i < n; i++) lower[i * (LDL + 1)] += 3;
        fbuf l = rig_change(rig, lower, LDL * LDL), turn = rig_out(rig, 2 * n);
        fbuf inverse = rig_out(rig, ROW * ROW);
        op_chol_turn(&rig->cmd, (struct chol_turn_args){l, rig_in(rig, x, n), turn, inverse, n,
                                                        LDL});
        rig_run(rig);
        const float *low = rig_floats(rig, l), *inv = rig_floats(rig, inverse);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t j = 0; j < n; j++) {
                double product = 0, want = (double)x[i] * (double)x[j], size = fabs(want);
                double unit = 0, sum = 1e-3;
                for (uint32_t k = 0; k <= (i < j ? i : j); k++) {
                    double term = (double)lower[i * LDL + k] * (double)lower[j * LDL + k];
                    product += (double)low[i * LDL + k] * (double)low[j * LDL + k];
                    want += term;
                    size += fabs(term);
                }
                for (uint32_t k = j; k <= i; k++) {
                    unit += (double)low[i * LDL + k] * (double)inv[k * ROW + j];
                    sum += fabs((double)low[i * LDL + k] * (double)inv[k * ROW + j]);
                }
                // Each rotation is orthogonal but for a few eps, and so are n of them.
                assert_true(fabs(product - want) <= 8 * (n + 8) * RIG_EPS * (size + 10));
                assert_true(fabs(unit - (i == j)) <= (n + 8) * RIG_EPS * sum);
                if (j > i) assert_true(low[i * LDL + j] == lower[i * LDL + j]);
            }
        free(lower);
        free(x);
        rig_drop(rig);
    }
}

static void test_chol_turn_rows(void **state)
{
    struct rig *rig = *state;
    enum { LDL = 70 };
    const uint32_t many[][2] = {{1, 1}, {64, 64}, {65, 31}, {200, 64}};
    for (size_t s = 0; s < COUNT(many); s++) {
        uint32_t rows = many[s][0], n = many[s][1];
        float *lower = rig_random(rig, rows * LDL, 1), *x = rig_random(rig, rows, 2), turn[128];
        for (uint32_t j = 0; j < n; j++) {
            double angle = 0.1 + j;
            turn[2 * j] = (float)cos(angle);
            turn[2 * j + 1] = (float)sin(angle);
        }
        double *want = ref_wide(lower, rows * LDL), *rest = ref_wide(x, rows);
        double *size = ref_zeros(rows * LDL), *rests = ref_zeros(rows);
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t j = 0; j < n; j++) {
                double c = (double)turn[2 * j], q = (double)turn[2 * j + 1],
                       *l = &want[r * LDL + j];
                double below = *l;
                *l = c * below + q * rest[r];
                rest[r] = c * rest[r] - q * below;
                size[r * LDL + j] = rests[r] = 3 + j; // what passes through is at most this large
            }
        fbuf l = rig_change(rig, lower, rows * LDL), to = rig_change(rig, x, rows);
        op_chol_turn_rows(&rig->cmd, (struct chol_turn_rows_args){l, to, rig_in(rig, turn, 2 * n),
                                                                  rows, n, LDL});
        rig_run(rig);
        rig_near(rig, "chol_turn_rows", l, want, size, rows * LDL, 4 * n);
        rig_near(rig, "chol_turn_rows, rest", to, rest, rests, rows, 4 * n);
        free(lower);
        free(x);
        free(want);
        free(rest);
        free(size);
        free(rests);
        rig_drop(rig);
    }
}

static void test_tri_gather(void **state)
{
    triangle_case(*state, 1, 64);
    triangle_case(*state, 64, 1472);
}

static void test_tri_spread(void **state)
{
    triangle_case(*state, 31, 257);
    triangle_case(*state, 64, 5003);
}

static void test_tri_block(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 64};
    for (size_t s = 0; s < 2 * COUNT(many); s++) {
        uint32_t n = many[s / 2], turned = s & 1;
        float *inverse = rig_random(rig, n * 64, 1), *x = rig_random(rig, n, 1);
        double *want = ref_zeros(n), *size = ref_zeros(n);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < n; k++) {
                double term = (double)inverse[turned ? k * 64 + i : i * 64 + k] * (double)x[k];
                want[i] += term;
                size[i] += fabs(term);
            }
        fbuf y = rig_out(rig, n);
        op_tri_block(&rig->cmd, (struct tri_block_args){rig_in(rig, inverse, n * 64),
                                                        rig_in(rig, x, n), y, n, turned});
        rig_run(rig);
        rig_near(rig, "tri_block", y, want, size, n, n + 1);
        void *mine[] = {inverse, x, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

// Twice the precision: the result is right to its own rounding although it is a small difference.
static void test_residual(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 257, 1000};
    for (size_t s = 0; s < COUNT(many); s++) {
        uint32_t n = many[s];
        float *c = rig_random(rig, n * n, 1), *x = rig_random(rig, n, 1), shift[8] = {0.375f};
        float *b = rig_memory(n, sizeof *b);
        double *want = ref_zeros(n), *size = ref_zeros(n);
        for (uint32_t i = 0; i < n; i++) {
            double sum = (double)shift[0] * (double)x[i], all = fabs(sum);
            for (uint32_t k = 0; k < n; k++) {
                sum += (double)c[i * n + k] * (double)x[k];
                all += fabs((double)c[i * n + k] * (double)x[k]);
            }
            b[i] = (float)sum;
            want[i] = (double)b[i] - sum;
            // The rounding of the result, and n of the squares of 2^-24 of the terms.
            size[i] = fabs(want[i]) + n * RIG_EPS * (all + fabs((double)b[i]));
        }
        fbuf r = rig_out(rig, n);
        fbuf of = rig_in(rig, x, n), from = rig_in(rig, b, n);
        op_residual(&rig->cmd, (struct residual_args){rig_in(rig, c, n * n), rig_in(rig, shift, 8),
                                                      of, from, r, n});
        rig_run(rig);
        rig_near(rig, "residual", r, want, size, n, 8);
        void *mine[] = {c, x, b, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_CHOL(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
