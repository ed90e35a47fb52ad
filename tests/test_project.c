// Growing bases and projections against double precision.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "linalg/project.h"
#include "linalg/svd.h"
#include "ref_linalg.h"
#include "ref_must.h"

static const double LIMIT = 1e-5; // METHOD 2: |V^T V - I|_max
static struct device device;
static uint64_t seed = 3;

static struct buffer *from(const float *data, uint64_t floats)
{
    struct buffer *b = NULL;
    assert_true(buffer_from(&device, data, 4 * floats, "test", &b));
    return b;
}

static float *normal(uint64_t floats)
{
    float *x = ref_new(floats, sizeof *x);
    for (uint64_t i = 0; i < floats; i++) x[i] = (float)ref_normal(&seed);
    return x;
}

static float *read_back(struct buffer *b, uint64_t floats)
{
    float *x = ref_new(floats, sizeof *x);
    assert_true(buffer_read(&device, b, 0, x, 4 * floats));
    return x;
}

static float push(struct basis *basis, const float *u)
{
    struct buffer *b = from(u, basis->dim);
    float kept = -1;
    must(basis_push(basis, b->address, &kept));
    buffer_free(&device, &b);
    return kept;
}

static double basis_error(const struct basis *basis)
{
    float *v = read_back(basis->vectors, (uint64_t)basis->rows * basis->dim);
    double worst = ref_orthonormality(v, basis->rows, basis->dim);
    for (uint32_t i = 0; i < basis->rows; i++) { // no zero rows among them
        double length = 0;
        for (uint32_t c = 0; c < basis->dim; c++)
            length += (double)v[i * basis->dim + c] * v[i * basis->dim + c];
        assert_true(length > 0.5);
    }
    free(v);
    return worst;
}

// Vectors that almost lie in the span already, as the u's of related edits do; all kept.
static void grow(uint32_t dim, uint32_t count, uint32_t capacity, double fresh)
{
    struct basis basis;
    assert_true(basis_new(&device, dim, capacity, &basis));
    float *common = normal(dim);
    for (uint32_t i = 0; i < count; i++) {
        float *u = normal(dim);
        for (uint32_t c = 0; c < dim; c++) u[c] = (float)(common[c] + fresh * u[c]);
        float kept = push(&basis, u);
        assert_true(kept > 0 && kept <= 1.000001f);
        free(u);
    }
    assert_int_equal(basis.rows, count);
    double worst = basis_error(&basis);
    print_message("  d %u, %u vectors, new part %g: %.1e\n", dim, count, fresh, worst);
    assert_true(worst <= LIMIT);
    basis_free(&basis);
    basis_free(&basis);
    free(common);
}

static void test_grow(void **state)
{
    (void)state;
    grow(320, 300, 4, 1);
    grow(320, 320, 320, 1e-2); // complete
    grow(37, 20, 1, 1e-3);
    grow(1, 1, 1, 1);
    if (!getenv("OEDIT_SHORT")) grow(1024, 250, 250, 1e-3);
}

// The same edit twice, a combination of earlier ones, zero, and one too many add nothing.
static void test_dependent(void **state)
{
    (void)state;
    enum { D = 10 };
    struct basis basis;
    assert_true(basis_new(&device, D, 2, &basis));
    float *u = normal(D * D), sum[D], zero[D] = {0};
    for (int i = 0; i < 3; i++) assert_true(push(&basis, u + i * D) > 0);
    for (int c = 0; c < D; c++) sum[c] = u[c] - 3 * u[D + c];
    assert_true(push(&basis, u) == 0);
    assert_true(push(&basis, sum) == 0);
    assert_true(push(&basis, zero) == 0);
    assert_int_equal(basis.rows, 3);
    for (int i = 3; i < D; i++) assert_true(push(&basis, u + i * D) > 0);
    assert_true(push(&basis, sum) == 0);
    assert_int_equal(basis.rows, D);
    assert_true(basis_error(&basis) <= LIMIT);
    sum[4] = NAN;
    struct buffer *bad = from(sum, D);
    assert_false(basis_push(&basis, bad->address, NULL));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    status_clear();
    buffer_free(&device, &bad);
    basis_free(&basis);
    free(u);
}

// More rows than dimensions, zero rows, repeated and nearly repeated ones: what is kept is
// orthonormal, as many rows as there are dimensions in them, and the rest is exactly zero.
static void test_too_many(void **state)
{
    (void)state;
    enum { ROWS = 70 };
    static const uint32_t dims[][2] = {{8, 8}, {40, 40}, {40, 5}, {64, 0}}; // and their rank
    for (size_t i = 0; i < COUNT(dims); i++) {
        const uint32_t d = dims[i][0], rank = dims[i][1];
        float *g = ref_new((size_t)ROWS * d, sizeof *g), *x = normal(64 * 64);
        for (uint32_t r = 0; r < ROWS; r++)
            for (uint32_t c = 0; c < d && r % 9 != 4; c++) { // every ninth is zero
                uint32_t from = r % 5 == 3 && r ? r - 1 : r; // every fifth repeats
                for (uint32_t k = 0; k < rank && rank < d; k++)
                    g[r * d + c] += x[k * 64 + c] * (float)sin(1.0 + from * (k + 1.0));
                if (rank == d) g[r * d + c] = (float)sin(1.0 + from * 7.3 * (c + 1.0));
            }
        struct buffer *b = from(g, (uint64_t)ROWS * d);
        uint32_t found = 999, ones = 0;
        must(basis_orthonormalise(&device, matrix_of(b->address, ROWS, d), 0, &found));
        float *q = read_back(b, (uint64_t)ROWS * d);
        for (uint32_t r = 0; r < ROWS; r++) {
            double length = 0;
            for (uint32_t c = 0; c < d; c++) length += (double)q[r * d + c] * q[r * d + c];
            assert_true(length == 0 || fabs(length - 1) <= LIMIT);
            ones += length > 0;
        }
        assert_int_equal(found, rank);
        assert_int_equal(ones, rank);
        assert_true(ref_orthonormality(q, ROWS, d) <= LIMIT);
        buffer_free(&device, &b);
        free(q);
        free(g);
        free(x);
    }
}

// METHOD 2: the basis spans what the left singular vectors of the sum of edits span.
static void test_span(void **state)
{
    (void)state;
    enum { D = 48, M = 60, T = 11 };
    struct basis basis;
    assert_true(basis_new(&device, D, T, &basis));
    float *u = normal(T * D), *w = normal(T * M);
    struct buffer *bu = from(u, T * D), *bw = from(w, T * M), *left = from(u, T * D),
                  *sigma = from(u, T);
    for (int i = 0; i < T; i++) assert_true(push(&basis, u + i * D) > 0);
    must(svd_pairs(&device, bu, bw, T, D, M, left, sigma, NULL, NULL));
    float *v = read_back(basis.vectors, T * D), *s = read_back(left, T * D);
    double worst = 0; // |V^T V - U^T U|: the two projectors
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++) {
            double sum = 0;
            for (int t = 0; t < T; t++)
                sum += (double)v[t * D + i] * v[t * D + j] - (double)s[t * D + i] * s[t * D + j];
            worst = fmax(worst, fabs(sum));
        }
    print_message("  projectors differ by %.1e\n", worst);
    assert_true(worst <= LIMIT);
    buffer_free(&device, &bu);
    buffer_free(&device, &bw);
    buffer_free(&device, &left);
    buffer_free(&device, &sigma);
    basis_free(&basis);
    free(u);
    free(w);
    free(v);
    free(s);
}

// u - V V^T u with rows that are not orthonormal (Eq. 28 as printed), against double precision.
static void out_case(uint32_t rows, uint32_t d, uint32_t passes)
{
    float *v = normal((uint64_t)rows * d), *u = normal(d);
    double *wanted = ref_new(d, sizeof *wanted), largest = 0, worst = 0;
    for (uint32_t i = 0; i < rows * d; i++) v[i] /= (float)sqrt(d);
    for (uint32_t c = 0; c < d; c++) wanted[c] = u[c];
    for (uint32_t p = 0; p < passes; p++) {
        double *coef = ref_new(rows, sizeof *coef);
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t c = 0; c < d; c++) coef[i] += v[i * d + c] * wanted[c];
        for (uint32_t i = 0; i < rows; i++)
            for (uint32_t c = 0; c < d; c++) wanted[c] -= coef[i] * v[i * d + c];
        free(coef);
    }
    struct buffer *bv = from(v, (uint64_t)rows * d), *bu = from(u, d), *coef = from(v, rows);
    struct cmd cmd;
    cmd_start(&cmd, &device, false);
    project_out(&cmd, matrix_of(bv->address, rows, d), bu->address, coef->address, passes);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    float *x = read_back(bu, d);
    for (uint32_t c = 0; c < d; c++) {
        largest = fmax(largest, fabs(wanted[c]));
        worst = fmax(worst, fabs(x[c] - wanted[c]));
    }
    assert_true(worst <= LIMIT * fmax(largest, 1));
    buffer_free(&device, &bv);
    buffer_free(&device, &bu);
    buffer_free(&device, &coef);
    free(v);
    free(u);
    free(x);
    free(wanted);
}

static void test_out(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{1, 1}, {1, 9}, {3, 7}, {4, 64}, {5, 64}, {39, 130}};
    for (size_t i = 0; i < COUNT(shapes); i++)
        for (uint32_t passes = 1; passes < 3; passes++)
            out_case(shapes[i][0], shapes[i][1], passes);
}

// O-Edit+ whole: V grows, G <- G - G V^T V (Eq. 26), G made orthonormal, u left free of both.
static void test_edit_plus(void **state)
{
    (void)state;
    enum { D = 70, R = 13, Q = 18 };
    struct basis basis;
    assert_true(basis_new(&device, D, 4, &basis));
    float *u = normal(D), *g = normal(Q * D);
    for (int i = 0; i < R; i++) {
        float *x = normal(D);
        assert_true(push(&basis, x) > 0);
        if (i < 3) memcpy(g + (2 + 4 * i) * D, x, D * sizeof *g); // rows that Eq. 26 leaves empty
        free(x);
    }
    memcpy(g + 9 * D, g + 8 * D, D * sizeof *g); // and one that repeats another
    struct buffer *bg = from(g, Q * D), *bu = from(u, D), *coef = from(g, Q * (R + 3));
    struct matrix rows = matrix_of(bg->address, Q, D);
    struct cmd cmd;
    cmd_start(&cmd, &device, false);
    project_rows(&cmd, rows, basis_matrix(&basis), coef->address, 2);
    must(cmd_run_once(&cmd));
    float *free_g = read_back(bg, Q * D), *v = read_back(basis.vectors, R * D);
    double worst = 0;
    for (int i = 0; i < Q; i++)
        for (int j = 0; j < R; j++) {
            double sum = 0;
            for (int c = 0; c < D; c++) sum += (double)free_g[i * D + c] * v[j * D + c];
            worst = fmax(worst, fabs(sum));
        }
    print_message("  G V: %.1e\n", worst);
    assert_true(worst <= LIMIT);
    for (int i = 0; i < 3; i++) memset(free_g + (2 + 4 * i) * D, 0, D * sizeof *g); // of rounding
    assert_true(buffer_write(&device, bg, 0, free_g, 4 * Q * D));
    uint32_t rank = 0;
    must(basis_orthonormalise(&device, rows, 0, &rank));
    assert_int_equal(rank, Q - 4);
    project_out(&cmd, basis_matrix(&basis), bu->address, coef->address, 2);
    project_out(&cmd, rows, bu->address, coef->address, 2);
    must(cmd_run_once(&cmd));
    cmd_free(&cmd);
    float *left = read_back(bu, D), *unit = read_back(bg, Q * D);
    assert_true(ref_orthonormality(unit, Q, D) <= LIMIT);
    for (int i = 0; i < R + Q; i++) {
        double sum = 0;
        const float *other = i < R ? v + i * D : unit + (i - R) * D;
        for (int c = 0; c < D; c++) sum += (double)left[c] * other[c];
        assert_true(fabs(sum) <= LIMIT);
    }
    for (int c = 0; c < D; c++) assert_true(unit[9 * D + c] == 0);
    buffer_free(&device, &bg);
    buffer_free(&device, &bu);
    buffer_free(&device, &coef);
    basis_free(&basis);
    free(u);
    free(g);
    free(free_g);
    free(v);
    free(left);
    free(unit);
}

// Orthonormal rows stay; new ones follow; more rows than dimensions leave some empty.
static void test_orthonormalise(void **state)
{
    (void)state;
    enum { D = 100, Q = 130 };
    float *g = normal(Q * D);
    for (int i = 0; i < D; i++) g[40 * D + i] = 0;
    for (int i = 0; i < D; i++) g[77 * D + i] = g[5 * D + i] * 1e-3f;
    for (int i = 0; i < D; i++) // nearly dependent: 1e-4 of it is new
        g[50 * D + i] = g[49 * D + i] + 1e-4f * g[50 * D + i];
    struct buffer *b = from(g, Q * D);
    uint32_t rank = 0;
    must(basis_orthonormalise(&device, matrix_of(b->address, Q, D), 0, &rank));
    float *x = read_back(b, Q * D);
    double worst = ref_orthonormality(x, Q, D);
    print_message("  %.1e\n", worst);
    assert_true(worst <= LIMIT);
    assert_int_equal(rank, D);
    free(x);
    free(g);
    buffer_free(&device, &b);
    g = normal(50 * D);
    b = from(g, 50 * D);
    assert_true(basis_orthonormalise(&device, matrix_of(b->address, 20, D), 0, &rank));
    assert_int_equal(rank, 20);
    float *before = read_back(b, 20 * D);
    assert_true(basis_orthonormalise(&device, matrix_of(b->address, 33, D), 20, &rank));
    assert_int_equal(rank, 33);
    assert_true(basis_complete(&device, matrix_of(b->address, 50, D), 33));
    x = read_back(b, 50 * D);
    assert_memory_equal(x, before, 20 * D * sizeof *x);
    assert_true(ref_orthonormality(x, 50, D) <= LIMIT);
    buffer_free(&device, &b);
    free(before);
    free(x);
    free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),      cmocka_unit_test(test_dependent),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_span),      cmocka_unit_test(test_out),
        cmocka_unit_test(test_edit_plus), cmocka_unit_test(test_orthonormalise),
    };
    ref_open(&device);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ref_close(&device);
    return failed;
}
