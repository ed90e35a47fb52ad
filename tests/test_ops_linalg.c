// The small operators of the linear algebra, one by one; what is made of them is tested in
// test_svd.c, test_project.c and test_solve.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h" // before cmocka.h, which has a macro fail()

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_rig.h"

static const uint32_t sizes[] = {1, 31, 256, 257, 5003};

static void test_copy_part(void **state)
{
    struct rig *rig = *state;
    enum { ROWS = 37, COLS = 21, LDX = 25, LDY = 40 };
    for (int i = 0; i < 4; i++) {
        bool turned = i & 1, scaled = i & 2;
        float *x = rig_random(rig, ROWS * LDX, 1), *y = rig_random(rig, 40 * LDY, 1);
        const float largest = 11; // in [2^3, 2^4): times 2^-3
        fbuf to = rig_change(rig, y, 40 * LDY);
        uint32_t rows = turned ? COLS + 2 : ROWS + 2, cols = turned ? ROWS + 3 : COLS + 3;
        op_copy_part(&rig->cmd, (struct copy_part_args){
                                    .x = rig_in(rig, x, ROWS * LDX),
                                    .largest = rig_in(rig, &largest, 1), .y = to, .rows = rows,
                                    .cols = cols, .ldx = LDX, .ldy = LDY, .rows_in = ROWS,
                                    .cols_in = COLS, .turned = turned, .scaled = scaled});
        rig_run(rig);
        for (uint32_t r = 0; r < 40; r++)
            for (uint32_t c = 0; c < LDY; c++) {
                uint32_t from = turned ? c : r, col = turned ? r : c;
                float want = from < ROWS && col < COLS ? x[from * LDX + col] : 0;
                want = r < rows && c < cols ? want * (scaled ? 0.125f : 1) : y[r * LDY + c];
                assert_true(rig_floats(rig, to)[r * LDY + c] == want);
            }
        free(x);
        free(y);
        rig_drop(rig);
    }
}

static void test_largest_rows(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s], rows = 5;
        float *x = rig_random(rig, rows * n, 7);
        x[n + n / 2] = NAN;
        x[2 * n + n / 2] = -INFINITY;
        for (uint32_t i = 0; i < n; i++) x[3 * n + i] = 0;
        fbuf y = rig_out(rig, rows);
        op_largest_rows(&rig->cmd,
                        (struct largest_rows_args){rig_in(rig, x, rows * n), y, rows, n});
        rig_run(rig);
        for (uint32_t r = 0; r < rows; r++) {
            float want = 0;
            for (uint32_t i = 0; i < n; i++) want = fmaxf(want, fabsf(x[r * n + i]));
            if (r == 1 || r == 2) want = 3.4e38f;
            assert_true(rig_floats(rig, y)[r] == want);
        }
        free(x);
        rig_drop(rig);
    }
}

static void test_norm_rows(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s], rows = 3, stride = n + 5;
        float *x = rig_random(rig, rows * stride, 2);
        double want[3] = {0};
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = 0; i < n; i++)
                want[r] += (double)x[r * stride + i] * (double)x[r * stride + i];
        for (uint32_t r = 0; r < rows; r++) want[r] = sqrt(want[r]);
        fbuf y = rig_out(rig, rows);
        op_norm_rows(&rig->cmd, (struct norm_rows_args){rig_in(rig, x, rows * stride), y, rows, n,
                                                        stride});
        rig_run(rig);
        rig_near(rig, "norm_rows", y, want, NULL, rows, rig_depth(n));
        free(x);
        rig_drop(rig);
    }
}

static void test_sort_index(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 64, 257, 1500};
    for (size_t s = 0; s < 2 * COUNT(many); s++) {
        uint32_t n = many[s / 2];
        float *x = rig_random(rig, n, 20);
        for (uint32_t i = 0; s & 1 && i < n; i++) x[i] = floorf(x[i]); // ties
        uint32_t *want = rig_memory(n, sizeof *want);
        ref_top_k(x, n, n, want); // ties to the smaller index
        fbuf index = rig_out(rig, n);
        op_sort_index(&rig->cmd, (struct sort_index_args){rig_in(rig, x, n), index, n});
        rig_run(rig);
        assert_memory_equal(rig_words(rig, index), want, n * sizeof *want);
        free(x);
        free(want);
        rig_drop(rig);
    }
}

static void test_count_rows(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < 2 * COUNT(sizes); s++) {
        uint32_t n = sizes[s / 2], want = 0;
        float *x = rig_random(rig, n, 1);
        x[0] = 0.25f; // not above itself
        for (uint32_t i = 0; i < n; i++) want += x[i] > 0.25f;
        if (s & 1) x[n - 1] = NAN, want = 0xffffffffu;
        fbuf y = rig_out(rig, 1);
        op_count_rows(&rig->cmd, (struct count_rows_args){rig_in(rig, x, n), y, n, 0.25f});
        rig_run(rig);
        assert_int_equal(rig_words(rig, y)[0], want);
        free(x);
        rig_drop(rig);
    }
}

static void test_random(void **state)
{
    struct rig *rig = *state;
    enum { MANY = 20011 };
    fbuf one = rig_out(rig, MANY), same = rig_out(rig, MANY), other = rig_out(rig, MANY);
    op_random(&rig->cmd, (struct random_args){one, MANY, 5});
    op_random(&rig->cmd, (struct random_args){same, MANY, 5});
    op_random(&rig->cmd, (struct random_args){other, MANY, 6});
    rig_run(rig);
    double mean = 0, square = 0, along = 0;
    assert_memory_equal(rig_floats(rig, one), rig_floats(rig, same), MANY * sizeof(float));
    for (uint32_t i = 0; i < MANY; i++) {
        double x = (double)rig_floats(rig, one)[i];
        assert_true(x >= -0.5 && x <= 0.5);
        mean += x / MANY;
        square += x * x / MANY;
        along += x * (double)rig_floats(rig, other)[i] / MANY;
    }
    // Deviations of a mean of n are 0.29 / sqrt(n) = 0.002; five of them.
    assert_true(fabs(mean) < 0.01 && fabs(square - 1.0 / 12) < 0.01 && fabs(along) < 0.01);
    rig_drop(rig);
}

// The distribution function of |x|, for the share of values within some bounds.
static void test_normal(void **state)
{
    struct rig *rig = *state;
    enum { MANY = 20011 };
    static const double bounds[] = {0.1, 0.5, 1, 2, 3};
    uint32_t within[5] = {0};
    fbuf one = rig_out(rig, MANY), same = rig_out(rig, MANY), other = rig_out(rig, MANY);
    op_normal(&rig->cmd, (struct normal_args){one, MANY, 5});
    op_normal(&rig->cmd, (struct normal_args){same, MANY, 5});
    op_normal(&rig->cmd, (struct normal_args){other, MANY, 6});
    rig_run(rig);
    double mean = 0, next = 0, along = 0;
    assert_memory_equal(rig_floats(rig, one), rig_floats(rig, same), MANY * sizeof(float));
    for (uint32_t i = 0; i < MANY; i++) {
        double x = (double)rig_floats(rig, one)[i];
        mean += x / MANY;
        along += x * (double)rig_floats(rig, other)[i] / MANY;
        next += x * (double)rig_floats(rig, one)[(i + 1) % MANY] / MANY;
        for (int j = 0; j < 5; j++) within[j] += fabs(x) < bounds[j];
    }
    // Deviations of a mean of n are 1 / sqrt(n) = 0.007; five of them.
    assert_true(fabs(mean) < 0.035 && fabs(along) < 0.035 && fabs(next) < 0.035);
    for (int j = 0; j < 5; j++)
        assert_true(fabs((double)within[j] / MANY - erf(bounds[j] / sqrt(2))) < 0.018);
    rig_drop(rig);
}

static void test_unit_row(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < 3 * COUNT(sizes); s++) {
        uint32_t n = sizes[s / 3];
        float *x = rig_random(rig, n, 2), before = 1;
        double *want = ref_wide(x, n), length = 0;
        for (uint32_t i = 0; i < n; i++) length += want[i] * want[i];
        length = sqrt(length);
        before = (float)length * 4;
        // As it is; too little of what it was; too short altogether.
        float tol = s % 3 == 1 ? 0.3f : 0.2f, least = s % 3 == 2 ? (float)length * 1.01f : 0;
        for (uint32_t i = 0; i < n; i++) want[i] = s % 3 ? 0 : want[i] / length;
        if (s % 3) length = 0;
        fbuf to = rig_change(rig, x, n), norm = rig_out(rig, 1);
        op_unit_row(&rig->cmd, (struct unit_row_args){to, rig_in(rig, &before, 1), norm, n, tol,
                                                      least});
        rig_run(rig);
        rig_near(rig, "unit_row", to, want, NULL, n, rig_depth(n));
        rig_near(rig, "unit_row: length", norm, &length, NULL, 1, rig_depth(n));
        free(x);
        free(want);
        rig_drop(rig);
    }
}

static void test_sweep_rows(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s], rows = 4, ldx = n + 3, ldc = 3;
        float *q = rig_random(rig, n, 1), *x = rig_random(rig, rows * ldx, 1);
        float *coef = rig_random(rig, rows * ldc, 1);
        double *want = ref_wide(x, rows * ldx), *size = ref_zeros(rows * ldx);
        double *dots = ref_wide(coef, rows * ldc), *sums = ref_zeros(rows * ldc);
        for (uint32_t r = 0; r < rows; r++) {
            dots[r * ldc] = 0;
            for (uint32_t i = 0; i < n; i++) {
                double term = (double)q[i] * want[r * ldx + i];
                dots[r * ldc] += term;
                sums[r * ldc] += fabs(term);
            }
            for (uint32_t i = 0; i < n; i++) {
                size[r * ldx + i] = fabs(want[r * ldx + i]) + fabs((double)q[i]) * sums[r * ldc];
                want[r * ldx + i] -= dots[r * ldc] * (double)q[i];
            }
        }
        fbuf to = rig_change(rig, x, rows * ldx), c = rig_change(rig, coef, rows * ldc);
        op_sweep_rows(&rig->cmd, (struct sweep_rows_args){rig_in(rig, q, n), to, c, rows, n, ldx,
                                                          ldc});
        rig_run(rig);
        rig_near(rig, "sweep_rows: coef", c, dots, sums, rows * ldc, rig_depth(n));
        rig_near(rig, "sweep_rows", to, want, size, rows * ldx, rig_depth(n));
        void *mine[] = {q, x, coef, want, size, dots, sums};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

static void test_svd_values(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s];
        float *norms = rig_random(rig, n, 1);
        uint32_t *order = rig_random_ids(rig, n, n);
        const float largest = 0.3f; // in [2^-2, 2^-1): the scale was 4
        for (uint32_t i = 0; i < n; i++) norms[i] = fabsf(norms[i]);
        fbuf y = rig_out(rig, n);
        op_svd_values(&rig->cmd, (struct svd_values_args){rig_in(rig, norms, n),
                                                          rig_in(rig, order, n),
                                                          rig_in(rig, &largest, 1), y, n, 0.1f});
        rig_run(rig);
        for (uint32_t i = 0; i < n; i++)
            assert_true(rig_floats(rig, y)[i] ==
                        (norms[order[i]] < 0.1f ? 0 : norms[order[i]] * 0.25f));
        free(norms);
        free(order);
        rig_drop(rig);
    }
}

// Symmetric and well conditioned: a random matrix times its transpose, plus the unit matrix.
static float *definite(struct rig *rig, uint32_t n)
{
    float *a = rig_random(rig, n * n, 1), *c = rig_random(rig, n * n, 1);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            double sum = i == j;
            for (uint32_t k = 0; k < n; k++)
                sum += (double)a[i * n + k] * (double)a[j * n + k] / n;
            c[i * n + j] = (float)sum;
        }
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
        CASES_LINALG(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
