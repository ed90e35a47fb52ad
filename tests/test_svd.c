// The Jacobi SVD on easy and hard matrices against double precision.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "linalg/svd.h"
#include "ref_linalg.h"
#include "ref_must.h"

static const double LIMIT = 1e-5; // what the interface promises: 84 eps
static struct device device;
static uint64_t seed = 1;

struct result {
    float *u, *sigma, *v;
    struct svd_report report;
};

static void result_free(struct result *r)
{
    free(r->u);
    free(r->sigma);
    free(r->v);
}

static struct buffer *buffer_made(uint64_t floats)
{
    struct buffer *b = NULL;
    assert_true(buffer_new(&device, 4 * floats, "test", &b));
    return b;
}

static float *read_back(struct buffer **b, uint64_t floats)
{
    float *data = ref_new(floats, sizeof *data);
    assert_true(buffer_read(&device, *b, 0, data, 4 * floats));
    buffer_free(&device, b);
    return data;
}

static struct result decompose(const float *a, uint32_t d, uint32_t m)
{
    const uint32_t k = d < m ? d : m;
    struct result r = {0};
    struct buffer *matrix = NULL;
    assert_true(buffer_from(&device, a, 4ull * d * m, "test", &matrix));
    struct buffer *u = buffer_made(1ull * k * d), *s = buffer_made(k);
    struct buffer *v = buffer_made(1ull * k * m);
    must(svd_full(&device, matrix, d, m, u, s, v, &r.report));
    buffer_free(&device, &matrix);
    r.u = read_back(&u, 1ull * k * d);
    r.sigma = read_back(&s, k);
    r.v = read_back(&v, 1ull * k * m);
    return r;
}

// Sorted, orthonormal on both sides, and the product is A.
static void check_shape(const float *a, const struct result *r, uint32_t d, uint32_t m)
{
    const uint32_t k = d < m ? d : m;
    for (uint32_t i = 1; i < k; i++) assert_true(r->sigma[i] <= r->sigma[i - 1]);
    assert_true(r->sigma[k - 1] >= 0);
    double u = ref_orthonormality(r->u, k, d), v = ref_orthonormality(r->v, k, m);
    double whole = ref_reconstruction(a, r->u, r->sigma, r->v, d, m, k);
    print_message("  [%u, %u] sweeps %u, rank %u, zeros %u: U %.1e V %.1e A %.1e\n", d, m,
                  r->report.sweeps, r->report.rank, r->report.zeros, u, v,
                  r->sigma[0] > 0 ? whole / (double)r->sigma[0] : whole);
    assert_true(u <= LIMIT && v <= LIMIT);
    assert_true(whole <= LIMIT * (double)r->sigma[0]);
    for (uint32_t i = 0; i < k; i++) { // rows that vanished would pass the test above
        double length = 0;
        for (uint32_t c = 0; c < d; c++) length += (double)r->u[i * d + c] * r->u[i * d + c];
        assert_true(length > 0.5);
    }
}

// Worst error of sigma, each relative to itself, or all to the largest.
static double sigma_error(const float *a, const struct result *r, uint32_t d, uint32_t m,
                          bool relative)
{
    const uint32_t k = d < m ? d : m;
    double *sigma = ref_new(k, sizeof *sigma), worst = 0;
    ref_svd(a, d, m, sigma, NULL);
    for (uint32_t i = 0; i < k; i++) {
        double scale = relative ? sigma[i] : sigma[0];
        worst = fmax(worst, fabs(r->sigma[i] - sigma[i]) / (scale > 0 ? scale : 1));
    }
    free(sigma);
    print_message("    sigma %.1e, %s\n", worst, relative ? "each by itself" : "by the largest");
    return worst;
}

// A = P diag(sigma) Q from random orthogonal P and Q, n x n.
static float *with_sigma(uint32_t n, const double *sigma)
{
    double *p = ref_new((size_t)n * n, sizeof *p), *q = ref_new((size_t)n * n, sizeof *q);
    float *a = ref_new((size_t)n * n, sizeof *a);
    ref_orthogonal(&seed, n, p);
    ref_orthogonal(&seed, n, q);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            double sum = 0;
            for (uint32_t k = 0; k < n; k++) sum += p[k * n + i] * sigma[k] * q[k * n + j];
            a[i * n + j] = (float)sum;
        }
    free(p);
    free(q);
    return a;
}

static float *normal(uint32_t d, uint32_t m)
{
    float *a = ref_new((size_t)d * m, sizeof *a);
    for (size_t i = 0; i < (size_t)d * m; i++) a[i] = (float)ref_normal(&seed);
    return a;
}

static void test_shapes(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{1, 1}, {1, 9}, {9, 1}, {3, 7}, {7, 3}, {2, 2},
                                         {37, 20}, {20, 37}, {32, 32}, {33, 65}, {130, 97},
                                         {96, 200}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const uint32_t d = shapes[i][0], m = shapes[i][1];
        float *a = normal(d, m);
        struct result r = decompose(a, d, m);
        check_shape(a, &r, d, m);
        assert_true(sigma_error(a, &r, d, m, false) <= LIMIT);
        result_free(&r);
        free(a);
    }
}

// Singular values 1 .. 1e-6 in random directions: rounding A to f32 moves each by eps * sigma_0.
static void test_graded(void **state)
{
    (void)state;
    enum { N = 80 };
    double sigma[N];
    for (int i = 0; i < N; i++) sigma[i] = pow(10, -6.0 * i / (N - 1));
    float *a = with_sigma(N, sigma);
    struct result r = decompose(a, N, N);
    check_shape(a, &r, N, N);
    assert_true(sigma_error(a, &r, N, N, false) <= 1e-6);
    result_free(&r);
    free(a);
}

// A = D B, D from 1 to 1e-8: here every singular value is determined to full precision.
static void test_graded_rows(void **state)
{
    (void)state;
    enum { D = 60, M = 90 };
    for (int falling = 0; falling < 2; falling++) {
        float *a = normal(D, M);
        for (int i = 0; i < D; i++)
            for (int j = 0; j < M; j++)
                a[i * M + j] *= (float)pow(10, -8.0 * (falling ? i : D - 1 - i) / (D - 1));
        struct result r = decompose(a, D, M);
        check_shape(a, &r, D, M);
        assert_true(sigma_error(a, &r, D, M, true) <= LIMIT);
        result_free(&r);
        free(a);
    }
}

static void test_repeated(void **state)
{
    (void)state;
    enum { N = 70 };
    double sigma[N];
    for (int i = 0; i < N; i++) sigma[i] = i < 30 ? 2 : i < 60 ? 1 : 0.25;
    float *a = with_sigma(N, sigma);
    struct result r = decompose(a, N, N);
    check_shape(a, &r, N, N);
    for (int i = 0; i < N; i++) assert_true(fabs(r.sigma[i] / sigma[i] - 1) <= LIMIT);
    result_free(&r);
    memset(a, 0, sizeof *a * N * N); // the identity: nothing to do
    for (int i = 0; i < N; i++) a[i * N + i] = 1;
    r = decompose(a, N, N);
    check_shape(a, &r, N, N);
    for (int i = 0; i < N; i++) assert_true(r.sigma[i] == 1);
    result_free(&r);
    free(a);
}

// Rank 5, as five edits leave it, made of pairs; and exact repetitions and zero rows.
static void test_deficient(void **state)
{
    (void)state;
    enum { D = 64, M = 100, RANK = 5 };
    float *u = normal(RANK, D), *w = normal(RANK, M), *a = ref_new(D * M, sizeof *a);
    for (int t = 0; t < RANK; t++)
        for (int i = 0; i < D * M; i++) a[i] += u[t * D + i / M] * w[t * M + i % M];
    struct result r = decompose(a, D, M);
    check_shape(a, &r, D, M);
    assert_int_equal(r.report.rank, RANK);
    result_free(&r);
    for (int i = 0; i < D * M; i++) a[i] = i / M % 7 == 3 ? 0 : a[i % (2 * M)];
    r = decompose(a, D, M); // only two different rows, and zero ones
    check_shape(a, &r, D, M);
    assert_int_equal(r.report.rank, 2);
    result_free(&r);
    free(u);
    free(w);
    free(a);
}

static void test_zero(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{40, 70}, {70, 40}, {1, 5}, {5, 1}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const uint32_t d = shapes[i][0], m = shapes[i][1], k = d < m ? d : m;
        float *a = ref_new((size_t)d * m, sizeof *a);
        struct result r = decompose(a, d, m);
        check_shape(a, &r, d, m);
        assert_int_equal(r.report.zeros, k);
        assert_int_equal(r.report.rank, 0);
        result_free(&r);
        free(a);
    }
}

// Scales far from one, where squares of entries are no normal numbers.
static void test_scales(void **state)
{
    (void)state;
    enum { D = 20, M = 33 };
    static const float scales[] = {1e-30f, 1e30f};
    for (int s = 0; s < 2; s++) {
        float *a = normal(D, M);
        for (int i = 0; i < D * M; i++) a[i] *= scales[s];
        struct result r = decompose(a, D, M);
        assert_true(ref_orthonormality(r.u, D, D) <= LIMIT);
        assert_true(sigma_error(a, &r, D, M, true) <= LIMIT);
        result_free(&r);
        free(a);
    }
}

static void test_nan(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        float *a = normal(9, 12);
        a[50] = bad[i];
        struct buffer *matrix = NULL, *u = buffer_made(81), *s = buffer_made(9);
        assert_true(buffer_from(&device, a, 4 * 9 * 12, "test", &matrix));
        assert_false(svd_left(&device, matrix, 9, 12, u, s, NULL));
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        assert_non_null(strstr(status_message(), "NaN"));
        status_clear();
        buffer_free(&device, &matrix);
        buffer_free(&device, &u);
        buffer_free(&device, &s);
        free(a);
    }
}

// A sum of rank-one edits, fewer and more than the dimensions.
static void test_pairs(void **state)
{
    (void)state;
    static const uint32_t shapes[][3] = {{6, 48, 80}, {48, 60, 52}, {70, 40, 30}, {1, 8, 5}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        const uint32_t t = shapes[i][0], d = shapes[i][1], m = shapes[i][2];
        const uint32_t short_ = d < m ? d : m, k = t < short_ ? t : short_;
        float *x = normal(t, d), *y = normal(t, m), *a = ref_new((size_t)d * m, sizeof *a);
        double *sum = ref_new((size_t)d * m, sizeof *sum), *sigma = ref_new(short_, sizeof *sigma);
        for (uint32_t e = 0; e < t; e++)
            for (uint32_t j = 0; j < d * m; j++)
                sum[j] += (double)x[e * d + j / m] * y[e * m + j % m];
        for (uint32_t j = 0; j < d * m; j++) a[j] = (float)sum[j];
        struct buffer *bx = NULL, *by = NULL, *u = buffer_made(1ull * k * d), *s = buffer_made(k),
                      *v = buffer_made(1ull * k * m);
        struct result r = {0};
        assert_true(buffer_from(&device, x, 4ull * t * d, "test", &bx));
        assert_true(buffer_from(&device, y, 4ull * t * m, "test", &by));
        must(svd_pairs(&device, bx, by, t, d, m, u, s, v, &r.report));
        r.u = read_back(&u, 1ull * k * d);
        r.sigma = read_back(&s, k);
        r.v = read_back(&v, 1ull * k * m);
        buffer_free(&device, &bx);
        buffer_free(&device, &by);
        ref_svd(a, d, m, sigma, NULL);
        for (uint32_t j = 0; j < k; j++)
            assert_true(fabs(r.sigma[j] - sigma[j]) <= LIMIT * sigma[0]);
        assert_true(ref_orthonormality(r.u, k, d) <= LIMIT);
        assert_true(ref_orthonormality(r.v, k, m) <= LIMIT);
        assert_true(ref_reconstruction(a, r.u, r.sigma, r.v, d, m, k) <= LIMIT * sigma[0]);
        result_free(&r);
        free(x);
        free(y);
        free(a);
        free(sum);
        free(sigma);
    }
}

// Parallel edits: the same u with different w, the same pair again, its opposite, and a pair of
// zeros have the rank and the singular values that their sum has.
static void test_parallel_pairs(void **state)
{
    (void)state;
    enum { D = 48, M = 60, T = 7 };
    float *x = normal(T, D), *y = normal(T, M), *a = ref_new(D * M, sizeof *a);
    double *sum = ref_new(D * M, sizeof *sum), sigma[D];
    memcpy(x + D, x, D * sizeof *x); // u again
    memcpy(x + 3 * D, x + 2 * D, D * sizeof *x);
    memcpy(y + 3 * M, y + 2 * M, M * sizeof *y); // the pair again
    memcpy(y + 5 * M, y + 4 * M, M * sizeof *y);
    for (int c = 0; c < D; c++) x[5 * D + c] = -x[4 * D + c]; // taken back
    memset(x + 6 * D, 0, D * sizeof *x);
    for (int t = 0; t < T; t++)
        for (int j = 0; j < D * M; j++) sum[j] += (double)x[t * D + j / M] * y[t * M + j % M];
    for (int j = 0; j < D * M; j++) a[j] = (float)sum[j];
    struct buffer *bx = NULL, *by = NULL, *u = buffer_made(T * D), *s = buffer_made(T),
                  *v = buffer_made(T * M);
    struct result r = {0};
    assert_true(buffer_from(&device, x, 4 * T * D, "test", &bx));
    assert_true(buffer_from(&device, y, 4 * T * M, "test", &by));
    must(svd_pairs(&device, bx, by, T, D, M, u, s, v, &r.report));
    r.u = read_back(&u, T * D);
    r.sigma = read_back(&s, T);
    r.v = read_back(&v, T * M);
    buffer_free(&device, &bx);
    buffer_free(&device, &by);
    ref_svd(a, D, M, sigma, NULL);
    for (int j = 0; j < T; j++) assert_true(fabs(r.sigma[j] - sigma[j]) <= LIMIT * sigma[0]);
    assert_int_equal(r.report.rank, 2);
    assert_true(ref_orthonormality(r.u, T, D) <= LIMIT);
    assert_true(ref_orthonormality(r.v, T, M) <= LIMIT);
    result_free(&r);
    free(x);
    free(y);
    free(a);
    free(sum);
}

// The shape of SmolLM2-135M's gradient. Known singular values would need a product as large as
// the decomposition itself, so: |u_i^T A| in double precision must be sigma_i.
static void test_model_shape(void **state)
{
    (void)state;
    enum { D = 576, M = 1536, CHECKED = 24 };
    if (getenv("OEDIT_SHORT")) {
        print_message("  left out: OEDIT_SHORT is set, and the shapes above take the same path\n");
        skip();
    }
    float *a = normal(D, M);
    for (int i = 0; i < D; i++) // gradients are graded, too
        for (int j = 0; j < M; j++) a[i * M + j] *= (float)pow(10, -2.0 * (i * 7 % D) / D);
    struct buffer *matrix = NULL, *u = buffer_made(D * D), *s = buffer_made(D);
    struct svd_report report;
    assert_true(buffer_from(&device, a, 4ull * D * M, "test", &matrix));
    must(svd_left(&device, matrix, D, M, u, s, &report));
    buffer_free(&device, &matrix);
    float *vectors = read_back(&u, D * D), *sigma = read_back(&s, D);
    double worst = 0, *row = ref_new(M, sizeof *row), orth = ref_orthonormality(vectors, D, D);
    for (int t = 0; t < CHECKED; t++) {
        int i = t * (D - 1) / (CHECKED - 1);
        double sum = 0;
        for (int j = 0; j < M; j++) row[j] = 0;
        for (int c = 0; c < D; c++)
            for (int j = 0; j < M; j++) row[j] += (double)vectors[i * D + c] * a[c * M + j];
        for (int j = 0; j < M; j++) sum += row[j] * row[j];
        worst = fmax(worst, fabs(sqrt(sum) / sigma[i] - 1));
    }
    print_message("  [576, 1536]: %.1f s, %u sweeps, sigma %.1e, U %.1e\n", report.seconds,
                  report.sweeps, worst, orth);
    assert_true(worst <= LIMIT && orth <= LIMIT);
    free(vectors);
    free(sigma);
    free(row);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),   cmocka_unit_test(test_graded),
        cmocka_unit_test(test_graded_rows), cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_deficient), cmocka_unit_test(test_zero),
        cmocka_unit_test(test_scales),   cmocka_unit_test(test_nan),
        cmocka_unit_test(test_pairs),    cmocka_unit_test(test_parallel_pairs),
        cmocka_unit_test(test_model_shape),
    };
    ref_open(&device);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ref_close(&device);
    return failed;
}
