// The range finder against double precision: vectors, values, and bounds that hold and say much.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "linalg/project.h"
#include "linalg/range.h"
#include "linalg/svd.h"
#include "ref_linalg.h"
#include "ref_must.h"

static struct device device;
static uint64_t seed = 1;

// A = sum_i sigma_i p_i q_i^T with random orthonormal p_i and q_i, [d, m], d <= m.
static float *with_sigma(uint32_t d, uint32_t m, const double *sigma)
{
    double *p = ref_new((size_t)d * d, sizeof *p), *q = ref_new((size_t)m * m, sizeof *q);
    float *a = ref_new((size_t)d * m, sizeof *a);
    ref_orthogonal(&seed, d, p);
    ref_orthogonal(&seed, m, q);
    for (uint32_t i = 0; i < d; i++)
        for (uint32_t j = 0; j < m; j++) {
            double sum = 0;
            for (uint32_t k = 0; k < d; k++) sum += p[k * d + i] * sigma[k] * q[k * m + j];
            a[i * m + j] = (float)sum;
        }
    free(p);
    free(q);
    return a;
}

struct found {
    float *u, *sigma;
    struct range_report report;
};

static struct found find(const float *a, uint32_t d, uint32_t m, uint32_t count)
{
    struct found f = {.u = ref_new((size_t)count * d, 4), .sigma = ref_new(count, 4)};
    float *after = ref_new((size_t)d * m, 4);
    struct buffer *matrix = NULL, *u = NULL;
    assert_true(buffer_from(&device, a, 4ull * d * m, "test", &matrix));
    assert_true(buffer_new(&device, 4ull * count * d, "test", &u));
    must(range_left(&device, matrix, d, m, count, u, f.sigma, &f.report));
    assert_true(buffer_read(&device, u, 0, f.u, 4ull * count * d));
    assert_true(buffer_read(&device, matrix, 0, after, 4ull * d * m));
    double largest = 0, size = 0;
    for (size_t i = 0; i < (size_t)d * m; i++) largest = fmax(largest, fabs((double)a[i]));
    for (size_t i = 0; i < (size_t)d * m; i++) size = fmax(size, fabs((double)after[i]));
    assert_true(size >= 1 && size < 2);
    for (size_t i = 0; i < (size_t)d * m; i++) // those under 2^-63 may have become zero
        assert_true(fabs((double)after[i] - (double)a[i] * (size / largest)) <= 1e-18);
    buffer_free(&device, &matrix);
    buffer_free(&device, &u);
    free(after);
    return f;
}

static void found_free(struct found *f)
{
    free(f->u);
    free(f->sigma);
}

// sin of the largest angle between the spans of the first `count` rows of u and of p [.., d], both
// orthonormal: the largest singular value of what is left of u without p.
static double sine_of(const float *u, const double *p, uint32_t count, uint32_t d)
{
    float *rest = ref_new((size_t)count * d, sizeof *rest);
    double *sigma = ref_new(count, sizeof *sigma), *row = ref_new(d, sizeof *row);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t c = 0; c < d; c++) row[c] = (double)u[i * d + c];
        for (uint32_t k = 0; k < count; k++) {
            double dot = 0;
            for (uint32_t c = 0; c < d; c++) dot += (double)u[i * d + c] * p[k * d + c];
            for (uint32_t c = 0; c < d; c++) row[c] -= dot * p[k * d + c];
        }
        for (uint32_t c = 0; c < d; c++) rest[i * d + c] = (float)row[c];
    }
    ref_svd(rest, count, d, sigma, NULL);
    double sine = sigma[0];
    free(rest);
    free(sigma);
    free(row);
    return sine;
}

// What the vectors hold of A, by the definition.
static double energy_in(const float *u, const float *a, uint32_t count, uint32_t d, uint32_t m)
{
    double all = 0;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < m; j++) {
            double dot = 0;
            for (uint32_t c = 0; c < d; c++) dot += (double)u[i * d + c] * (double)a[c * m + j];
            all += dot * dot;
        }
    return all;
}

// |(I - U U^T) A|_2, by the definition.
static double rest_of(const float *u, const float *a, uint32_t count, uint32_t d, uint32_t m)
{
    float *rest = ref_new((size_t)d * m, sizeof *rest);
    double *sigma = ref_new(d, sizeof *sigma);
    memcpy(rest, a, (size_t)d * m * sizeof *rest);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < m; j++) {
            double dot = 0;
            for (uint32_t c = 0; c < d; c++) dot += (double)u[i * d + c] * (double)a[c * m + j];
            for (uint32_t c = 0; c < d; c++)
                rest[c * m + j] -= (float)(dot * (double)u[i * d + c]);
        }
    ref_svd(rest, d, m, sigma, NULL);
    double norm = sigma[0];
    free(rest);
    free(sigma);
    return norm;
}

struct truth {
    double *sigma, *p; // [d], [d, d]
    double best;       // held by the best `count`
};

static struct truth truth_of(const float *a, uint32_t d, uint32_t m, uint32_t count)
{
    struct truth t = {ref_new(d, sizeof *t.sigma), ref_new((size_t)d * d, sizeof *t.p), 0};
    ref_svd(a, d, m, t.sigma, t.p);
    for (uint32_t i = 0; i < count; i++) t.best += t.sigma[i] * t.sigma[i];
    return t;
}

// Every bound holds, with room for no more than rounding.
static void check_bounds(const float *a, const struct found *f, const struct truth *t, uint32_t d,
                         uint32_t m, uint32_t count)
{
    const struct range_report *r = &f->report;
    double sine = sine_of(f->u, t->p, count, d), held = energy_in(f->u, a, count, d, m);
    double rest = rest_of(f->u, a, count, d, m), s0 = t->sigma[0];
    print_message("  [%u, %u] %u by %u probes, %u passes: sine %.2e <= %.2e; rest %.4g <= %.4g; "
                  "held %.6g + %.2g >= %.6g\n", d, m, count, r->probes, r->passes, sine, r->sine,
                  rest, r->rest, r->held, r->lost, t->best);
    assert_true(ref_orthonormality(f->u, count, d) <= 1e-5);
    assert_true(sine <= r->sine);
    assert_true(rest <= r->rest * (1 + 1e-5) + 1e-6 * s0);
    assert_true(fabs(held - r->held) <= 1e-5 * held);
    assert_true(t->best <= (r->held + r->lost) * (1 + 1e-5));
    for (uint32_t i = 0; i < count; i++) { // no value of a part is above the whole's
        assert_true(f->sigma[i] <= t->sigma[i] * (1 + 1e-5) + 1e-6 * s0);
        assert_true(i == 0 || f->sigma[i] <= f->sigma[i - 1]);
    }
}

enum { D = 96, M = 150, Q = 12 };

// A clear gap behind Q: vectors, values and angle to rounding.
static void test_gap(void **state)
{
    (void)state;
    double sigma[D];
    for (int i = 0; i < D; i++) sigma[i] = i < Q ? 10.0 - 0.5 * i : 0.5 * pow(0.97, i);
    float *a = with_sigma(D, M, sigma);
    struct truth t = truth_of(a, D, M, Q);
    struct found f = find(a, D, M, Q);
    check_bounds(a, &f, &t, D, M, Q);
    for (int i = 0; i < Q; i++) assert_true(fabs(f.sigma[i] - sigma[i]) <= 1e-5 * sigma[0]);
    assert_true(sine_of(f.u, t.p, Q, D) <= 1e-5);
    assert_true(f.report.sine <= 1e-4);                              // not vacuous:
    assert_true(f.report.lost <= 1e-3 * f.report.held);
    assert_true(f.report.rest <= 1.6 * sigma[Q]);
    found_free(&f);
    free(a);
    free(t.sigma);
    free(t.p);
}

// The full decomposition's projector, where both are well defined: a falling spectrum.
static void test_projector(void **state)
{
    (void)state;
    double sigma[D];
    for (int i = 0; i < D; i++) sigma[i] = 7 * pow(0.7, i);
    float *a = with_sigma(D, M, sigma), *full_u = ref_new((size_t)D * D, 4);
    struct truth t = truth_of(a, D, M, Q);
    struct found f = find(a, D, M, Q);
    check_bounds(a, &f, &t, D, M, Q);
    struct buffer *matrix = NULL, *u = NULL, *s = NULL;
    assert_true(buffer_from(&device, a, 4ull * D * M, "test", &matrix));
    assert_true(buffer_new(&device, 4ull * D * D, "test", &u));
    assert_true(buffer_new(&device, 4ull * D, "test", &s));
    assert_true(svd_left(&device, matrix, D, M, u, s, NULL));
    assert_true(buffer_read(&device, u, 0, full_u, 4ull * D * D));
    double worst = 0;
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++) {
            double one = 0, other = 0;
            for (int k = 0; k < Q; k++) {
                one += (double)f.u[k * D + i] * (double)f.u[k * D + j];
                other += (double)full_u[k * D + i] * (double)full_u[k * D + j];
            }
            worst = fmax(worst, fabs(one - other));
        }
    print_message("  projectors differ by %.2e\n", worst);
    assert_true(worst <= 2e-5 && worst <= 2 * f.report.sine);
    assert_true(f.report.sine < 0.05);
    buffer_free(&device, &matrix);
    buffer_free(&device, &u);
    buffer_free(&device, &s);
    found_free(&f);
    free(full_u);
    free(a);
    free(t.sigma);
    free(t.p);
}

// Values that hardly fall: no angle can be promised, the energy can.
static void test_flat(void **state)
{
    (void)state;
    double sigma[D];
    for (int i = 0; i < D; i++) sigma[i] = 3 / sqrt(1 + 0.05 * i);
    float *a = with_sigma(D, M, sigma);
    struct truth t = truth_of(a, D, M, Q);
    struct found f = find(a, D, M, Q);
    check_bounds(a, &f, &t, D, M, Q);
    assert_true(f.report.passes > 2);
    assert_true(f.report.held >= 0.97 * t.best);
    assert_true(f.report.lost <= 0.5 * f.report.held); // all there is would be 4 times as much
    found_free(&f);
    free(a);
    free(t.sigma);
    free(t.p);
}

// Less rank than vectors asked for; scales far from one; tall instead of wide.
static void test_rank(void **state)
{
    (void)state;
    enum { RANK = 5 };
    static const float scales[] = {1, 1e-30f, 1e18f};
    double sigma[D] = {5, 4, 3, 2, 1};
    for (int k = 0; k < 3; k++) {
        float *a = with_sigma(D, M, sigma);
        for (int i = 0; i < D * M; i++) a[i] *= scales[k];
        struct found f = find(a, D, M, Q);
        for (int i = 0; i < Q; i++) {
            double want = i < RANK ? sigma[i] * (double)scales[k] : 0;
            assert_true(fabs(f.sigma[i] - want) <= 1e-5 * sigma[0] * (double)scales[k]);
        }
        assert_true(ref_orthonormality(f.u, RANK, D) <= 1e-5);
        assert_true(f.report.rest <= 1e-4 * sigma[0] * (double)scales[k]);
        found_free(&f);
        free(a);
    }
}

static void test_tall(void **state)
{
    (void)state;
    enum { TALL = 140, THIN = 60, FEW = 8 };
    float *a = ref_new((size_t)TALL * THIN, 4);
    for (int i = 0; i < TALL * THIN; i++)
        a[i] = (float)(ref_normal(&seed) * pow(0.8, i % THIN));
    struct found f = find(a, TALL, THIN, FEW);
    double *sigma = ref_new(TALL, sizeof *sigma), *p = ref_new((size_t)TALL * TALL, sizeof *p);
    ref_svd(a, TALL, THIN, sigma, p);
    double sine = sine_of(f.u, p, FEW, TALL);
    print_message("  tall: sine %.2e <= %.2e\n", sine, f.report.sine);
    assert_true(sine <= f.report.sine && f.report.sine < 0.5);
    found_free(&f);
    free(a);
    free(sigma);
    free(p);
}

static void test_bad(void **state)
{
    (void)state;
    float *a = ref_new((size_t)D * M, 4), sigma[Q];
    struct buffer *matrix = NULL, *u = NULL;
    struct range_report report;
    assert_true(buffer_new(&device, 4ull * Q * D, "test", &u));
    for (int i = 0; i < 3; i++) {
        if (i) a[77] = i == 1 ? NAN : INFINITY;
        assert_true(buffer_from(&device, a, 4ull * D * M, "test", &matrix));
        assert_int_equal(range_left(&device, matrix, D, M, Q, u, sigma, &report), i == 0);
        if (i) assert_int_equal(status_code(), STATUS_BAD_DATA);
        else assert_true(sigma[0] == 0 && report.energy == 0); // a matrix of zeros
        status_clear();
        buffer_free(&device, &matrix);
    }
    assert_true(buffer_from(&device, a, 4ull * D * M, "test", &matrix));
    assert_false(range_left(&device, matrix, D, M, D - 1, u, sigma, &report));
    assert_int_equal(status_code(), STATUS_FAILED);
    status_clear();
    buffer_free(&device, &matrix);
    buffer_free(&device, &u);
    free(a);
}

// Strict numbers: the same bytes each time, and on every driver.
static void test_strict(void **state)
{
    (void)state;
    static const uint64_t expected = 0x6c1ab26a8dcac5ffu;
    struct device other, fast = device;
    assert_true(device_open(&other, &(struct device_options){.strict = true}));
    uint64_t start = 77, digests[2];
    float *a = ref_new((size_t)D * M, 4);
    for (int i = 0; i < D * M; i++) a[i] = (float)(ref_uniform(&start) * (1 + i % M));
    device = other;
    for (int k = 0; k < 2; k++) {
        struct found f = find(a, D, M, Q);
        const unsigned char *bytes = (const unsigned char *)f.u;
        digests[k] = 14695981039346656037u; // FNV-1a
        for (size_t i = 0; i < sizeof(float) * Q * D; i++)
            digests[k] = (digests[k] ^ bytes[i]) * 1099511628211u;
        found_free(&f);
    }
    other = device;
    device = fast;
    print_message("  digest %016llx\n", (unsigned long long)digests[0]);
    assert_true(digests[0] == digests[1]);
    assert_true(digests[0] == expected);
    device_close(&other);
    free(a);
}

// Gram-Schmidt to a thousand and more columns of an 8B model: rows that almost depend on the ones
// before, all with a part of one direction.
static void test_columns(void **state)
{
    (void)state;
    enum { DIM = 4096, COLUMNS = 1500, SEED = 9, FEW = 32 };
    const double started = log_clock();
    double most = getenv("OEDIT_SHORT") ? 5 : 60;
    uint32_t count = 0; // a slow driver has less of them
    struct basis basis;
    struct buffer *rows = NULL, *gram = NULL;
    float *host = ref_new((size_t)COLUMNS * COLUMNS, 4), kept = 0, least = 1;
    assert_true(basis_new(&device, DIM, 64, &basis));
    assert_true(buffer_new(&device, 4ull * (COLUMNS + 1) * DIM, "test", &rows));
    struct cmd cmd;
    cmd_start(&cmd, &device, false);
    op_normal(&cmd, (struct normal_args){.y = rows->address, .n = (COLUMNS + 1) * DIM,
                                         .seed = SEED});
    fbuf common = rows->address + 4ull * COLUMNS * DIM;
    for (uint32_t i = 0; i < COLUMNS; i++) // 3% of it is its own
        op_axpby(&cmd, (struct axpby_args){.x = common, .y = rows->address + 4ull * i * DIM,
                                           .n = DIM, .alpha = 1, .beta = 0.03f});
    assert_true(cmd_run_once(&cmd));
    cmd_free(&cmd);
    for (; count < COLUMNS && (count < FEW || log_clock() - started < most); count++) {
        assert_true(basis_push(&basis, rows->address + 4ull * count * DIM, &kept));
        if (kept < least) least = kept;
        // 1500 of them would take a quarter of an hour: as many as a few seconds allow say the same
        if (count == FEW && log_clock() - started > 3) most = 5;
    }
    assert_int_equal(basis.rows, count);
    assert_true(buffer_new(&device, 4ull * COLUMNS * COLUMNS, "test", &gram));
    cmd_start(&cmd, &device, false);
    gemm_nt(&cmd, basis_matrix(&basis), basis_matrix(&basis),
            matrix_of(gram->address, count, count), 1, 0);
    assert_true(cmd_run_once(&cmd));
    cmd_free(&cmd);
    assert_true(buffer_read(&device, gram, 0, host, 4ull * count * count));
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            worst = fmax(worst, fabs((double)host[i * count + j] - (i == j)));
    print_message("  %u columns of %d, the least new part %.3g: orthonormal to %.2e\n", count,
                  DIM, (double)least, worst);
    assert_true(least < 0.1 && worst <= 5e-6); // 4096^(1/2) eps, and the sum in f32 of the check
    basis_free(&basis);
    buffer_free(&device, &rows);
    buffer_free(&device, &gram);
    free(host);
}

// It is for large matrices and few vectors.
static void test_choice(void **state)
{
    (void)state;
    assert_true(range_pays(4096, 14336, 64) && range_pays(4096, 14336, 1500));
    assert_false(range_pays(4096, 14336, 4096) || range_pays(4096, 14336, 3900));
    assert_false(range_pays(576, 1536, 20) || range_pays(96, 150, 90));
    assert_true(range_fits(96, 150, 12) && !range_fits(96, 150, 95) && !range_fits(96, 150, 0));
}

static int open(void **state)
{
    (void)state;
    ref_open(&device);
    return 0;
}

static int close(void **state)
{
    (void)state;
    ref_close(&device);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gap),  cmocka_unit_test(test_projector), cmocka_unit_test(test_flat),
        cmocka_unit_test(test_rank), cmocka_unit_test(test_tall),      cmocka_unit_test(test_bad),
        cmocka_unit_test(test_strict), cmocka_unit_test(test_columns),
        cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, open, close);
}
