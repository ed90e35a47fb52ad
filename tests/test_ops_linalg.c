// The small operators of the linear algebra, one by one; what is made of them is tested in
// test_svd.c, test_project.c and test_solve.c.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_LINALG(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
