// Cholesky, triangular solves and refinement against double precision.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "linalg/solve.h"
#include "ref_linalg.h"

#include <cmocka.h> // last: its fail() is a macro

static const double LIMIT = 1e-5; // relative error of x, up to condition 1e6
static struct device device;
static uint64_t seed = 2;

static struct buffer *from(const float *data, uint64_t floats)
{
    struct buffer *b = NULL;
    assert_true(buffer_from(&device, data, 4 * floats, "test", &b));
    return b;
}

// C = Q diag(falling from 1 to 1 / condition) Q^T; above the diagonal stands rubbish.
static float *matrix_new(uint32_t n, double condition)
{
    double *q = ref_new((size_t)n * n, sizeof *q);
    float *c = ref_new((size_t)n * n, sizeof *c);
    ref_orthogonal(&seed, n, q);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            double sum = 0;
            for (uint32_t k = 0; k < n && j <= i; k++)
                sum += q[k * n + i] * q[k * n + j] * pow(condition, -(double)k / (n > 1 ? n - 1 : 1));
            c[i * n + j] = j <= i ? (float)sum : 1e9f;
        }
    free(q);
    return c;
}

static float *vector_new(uint32_t n)
{
    float *b = ref_new(n, sizeof *b);
    for (uint32_t i = 0; i < n; i++) b[i] = (float)ref_normal(&seed);
    return b;
}

static double relative(const float *x, const double *wanted, uint32_t n)
{
    double off = 0, all = 0;
    for (uint32_t i = 0; i < n; i++) {
        off += (x[i] - wanted[i]) * (x[i] - wanted[i]);
        all += wanted[i] * wanted[i];
    }
    return sqrt(off / all);
}

static void solve_case(uint32_t n, double condition, double ridge)
{
    float *c = matrix_new(n, condition), *b = vector_new(n), *x = ref_new(n, sizeof *x);
    double *wanted = ref_new(n, sizeof *wanted), mean = 0, estimate = 0;
    for (uint32_t i = 0; i < n; i++) mean += (double)c[i * (n + 1)] / n;
    ref_solve(c, n, ridge * mean, b, wanted);
    struct buffer *matrix = from(c, 1ull * n * n), *right = from(b, n), *result = from(b, n);
    struct factor f;
    struct solve_report report;
    if (!factor_new(&device, matrix, n, ridge, &f) ||
        !factor_solve(&f, right->address, result->address, &report) ||
        !factor_condition(&f, &estimate))
        fail_msg("%s", status_message());
    assert_true(buffer_read(&device, result, 0, x, 4ull * n));
    double error = relative(x, wanted, n);
    double real = (1 + ridge * mean) / (1 / condition + ridge * mean);
    print_message("  n %u, condition %.0e, ridge %g: error %.1e, %u steps, residual %.0e, "
                  "condition said %.1e\n",
                  n, condition, ridge, error, report.steps, report.residual, estimate);
    assert_true(error <= LIMIT);
    assert_true(n == 1 || (estimate > real / 3 && estimate < 1.1 * real));
    factor_free(&f);
    factor_free(&f);
    buffer_free(&device, &matrix);
    buffer_free(&device, &right);
    buffer_free(&device, &result);
    free(c);
    free(b);
    free(x);
    free(wanted);
}

static void test_sizes(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 63, 64, 65, 100, 128, 191, 260};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) solve_case(sizes[i], 50, 0);
}

static void test_conditions(void **state)
{
    (void)state;
    static const double conditions[] = {1, 1e3, 1e4, 1e5, 1e6};
    for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
        solve_case(300, conditions[i], 0);
    solve_case(300, 1e6, 1e-3);
    solve_case(300, 1e12, 1e-4); // only the ridge makes it solvable
}

// A second moment of keys as the tool has it: large entries, few strong directions.
static void test_moment(void **state)
{
    (void)state;
    enum { N = 192, ROWS = 700 };
    float *c = ref_new(N * N, sizeof *c), *b = vector_new(N), *x = ref_new(N, sizeof *x);
    double *sum = ref_new(N * N, sizeof *sum), *wanted = ref_new(N, sizeof *wanted);
    for (int r = 0; r < ROWS; r++) {
        float *k = vector_new(N);
        for (int i = 0; i < N; i++) k[i] *= i % 19 == 0 ? 300 : 1;
        for (int i = 0; i < N * N; i++) sum[i] += (double)k[i / N] * k[i % N] / ROWS;
        free(k);
    }
    for (int i = 0; i < N * N; i++) c[i] = (float)sum[i];
    ref_solve(c, N, 0, b, wanted);
    struct buffer *matrix = from(c, N * N), *right = from(b, N), *result = from(x, N);
    struct factor f;
    if (!factor_new(&device, matrix, N, 0, &f) ||
        !factor_solve(&f, right->address, result->address, NULL))
        fail_msg("%s", status_message());
    assert_true(buffer_read(&device, result, 0, x, 4 * N));
    assert_true(relative(x, wanted, N) <= LIMIT);
    factor_free(&f);
    buffer_free(&device, &matrix);
    buffer_free(&device, &right);
    buffer_free(&device, &result);
    free(c);
    free(b);
    free(x);
    free(sum);
    free(wanted);
}

static void refused(float *c, uint32_t n, const char *said)
{
    struct buffer *matrix = from(c, 1ull * n * n);
    struct factor f;
    assert_false(factor_new(&device, matrix, n, 0, &f));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    print_message("  %s\n", status_message());
    assert_non_null(strstr(status_message(), said));
    assert_non_null(strstr(status_message(), "--ridge"));
    status_clear();
    factor_free(&f);
    buffer_free(&device, &matrix);
    free(c);
}

// Indefinite, singular, NaN, infinite: the pivot is named, wherever its block stands.
static void test_refused(void **state)
{
    (void)state;
    const uint32_t n = 150;
    float *c = matrix_new(n, 10);
    c[70 * n + 70] = -1;
    refused(c, n, "pivot 70 ");
    c = matrix_new(n, 10);
    c[130 * (n + 1)] = NAN;
    refused(c, n, "pivot 130 ");
    c = matrix_new(n, 10);
    c[0] = INFINITY;
    refused(c, n, "pivot 0 ");
    c = matrix_new(n, 10);
    c[149 * n + 3] = NAN; // off the diagonal: seen when its row is reached
    refused(c, n, "pivot 149 ");
    c = ref_new((size_t)n * n, sizeof *c); // rank one
    for (uint32_t i = 0; i < n * n; i++) c[i] = 1;
    refused(c, n, "pivot 1 ");
    c = ref_new((size_t)n * n, sizeof *c);
    refused(c, n, "pivot 0 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_moment),
        cmocka_unit_test(test_refused),
    };
    ref_open(&device);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ref_close(&device);
    return failed;
}
