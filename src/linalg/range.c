#include "linalg/range.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/maths.h"
#include "base/mem.h"
#include "base/status.h"
#include "linalg/orth.h"
#include "linalg/project.h"
#include "linalg/svd.h"

enum {
    PASSES_FIRST = 2, // what Halko et al. recommend for slowly falling values
    PASSES_MOST = 8,
    WITNESSES = 10, // vectors that bound the rest; 10^-WITNESSES is RANGE_ODDS
    ROUNDS = 20,    // times that they meet A^T and A again
    NORMS = 2 * ROUNDS + 1,
    SEED_PROBES = 1, SEED_WITNESSES = 2,
};

static const double COUPLED = 0.01; // of `held`: no more passes
static const double NOISE = 1e-6;   // of a product in f32, relative to the size of its terms

struct range {
    struct device *dev;
    struct matrix a;
    uint32_t count, probes;
    float scale;
    struct buffer *q;    // orthonormal rows that span the range: [probes, d]
    struct buffer *z;    // their products with A: [probes, m]
    struct buffer *e;    // A A^T U, then its part outside of U: [count, d]
    struct buffer *left; // singular vectors within q: [probes, probes]
    struct buffer *sigma, *coef; // [probes], [count or WITNESSES, count and more]
    struct buffer *norms;        // of rows: [d + 1 or NORMS * WITNESSES + 1]
    struct orth orth;
    float *host; // [d + 1 or NORMS * WITNESSES]
};

static uint32_t rounded(uint32_t n)
{
    return CEIL(n, 4) * 4;
}

uint32_t range_probes(uint32_t count)
{
    return rounded(count + 12 + count / 8);
}

bool range_fits(uint32_t d, uint32_t m, uint32_t count)
{
    return count > 0 && count < d && range_probes(count) <= (d < m ? d : m);
}

bool range_pays(uint32_t d, uint32_t m, uint32_t count)
{
    if (!range_fits(d, m, count)) return false;
    const double least = 1e11; // a second on a CPU: not worth another way
    double n = d < m ? d : m, wide = d < m ? m : d, l = range_probes(count);
    // Jacobi: 8 n^3 a sweep, some ten of them; Gram-Schmidt: 4 n^2 a column, twice each.
    double full = 80 * n * n * n + 4 * n * n * wide;
    double products = 2.0 * d * m * l * (2 * PASSES_FIRST + 4);
    double part = products + 4 * l * l * (PASSES_FIRST + 1) * ((double)d + m) + 80 * l * l * l;
    return full > least && part < full / 2;
}

static void range_free(struct range *r)
{
    struct buffer **all[] = {&r->q, &r->z, &r->e, &r->left, &r->sigma, &r->coef, &r->norms};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(r->dev, all[i]);
    orth_free(&r->orth);
    free(r->host);
}

static bool range_start(struct range *r)
{
    struct device *dev = r->dev;
    const uint64_t d = r->a.rows, m = r->a.cols, l = r->probes, stride = rounded(r->count);
    const uint64_t rows = r->count > WITNESSES ? r->count : WITNESSES;
    const uint64_t norms = (d > NORMS * WITNESSES ? d : NORMS * WITNESSES) + 1;
    r->host = mem_new(norms, sizeof *r->host, "norms");
    return r->host && buffer_new(dev, 4 * l * d, "range: a basis", &r->q) &&
           buffer_new(dev, 4 * l * m, "range: products", &r->z) &&
           buffer_new(dev, 4 * rows * d, "range: residuals", &r->e) &&
           buffer_new(dev, 4 * l * l, "range: vectors", &r->left) &&
           buffer_new(dev, 4 * l, "range: values", &r->sigma) &&
           buffer_new(dev, 4 * rows * stride, "range: coefficients", &r->coef) &&
           buffer_new(dev, 4 * norms, "range: norms", &r->norms) &&
           orth_new(dev, r->probes, &r->orth);
}

static bool run(struct cmd *cmd)
{
    bool ok = cmd_run_once(cmd);
    cmd_free(cmd);
    return ok;
}

// A <- scale A; a power of two.
static bool rescale(struct range *r, float scale)
{
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = r->a.data, .y = r->a.data,
                                       .n = r->a.rows * r->a.cols, .beta = scale});
    return run(&cmd);
}

// Brings A's largest entry to [1, 2), so that squares of singular values are normal numbers; also
// tells of NaN. r->scale = 0: A is zero.
static bool look(struct range *r)
{
    fbuf rows = r->norms->address + 4, all = r->norms->address;
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    op_largest_rows(&cmd, (struct largest_rows_args){.x = r->a.data, .y = rows,
                                                     .rows = r->a.rows, .cols = r->a.cols});
    op_largest_rows(&cmd, (struct largest_rows_args){.x = rows, .y = all, .rows = 1,
                                                     .cols = r->a.rows});
    float largest = 0;
    if (!run(&cmd) || !buffer_read(r->dev, r->norms, 0, &largest, sizeof largest)) return false;
    if (!(largest < 3.4e38f))
        return fail(STATUS_BAD_DATA, "range of a matrix [%u, %u]: an entry is NaN or infinite",
                    r->a.rows, r->a.cols);
    if (largest == 0) return true;
    int exponent = 0;
    frexpf(largest, &exponent);
    exponent = exponent - 1 < -120 ? -120 : exponent - 1;
    r->scale = ldexpf(1, -exponent);
    return rescale(r, r->scale);
}

// Sum of squares of a matrix's rows from their norms, in double.
static bool energy(struct range *r, struct matrix x, double *sum)
{
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    op_norm_rows(&cmd, (struct norm_rows_args){.x = x.data, .y = r->norms->address,
                                               .rows = x.rows, .cols = x.cols, .ldx = x.stride});
    if (!run(&cmd) || !buffer_read(r->dev, r->norms, 0, r->host, 4ull * x.rows)) return false;
    *sum = 0;
    for (uint32_t i = 0; i < x.rows; i++) *sum += (double)r->host[i] * (double)r->host[i];
    return true;
}

static struct matrix basis_of(const struct range *r)
{
    return matrix_of(r->q->address, r->probes, r->a.rows);
}

static struct matrix products_of(const struct range *r)
{
    return matrix_of(r->z->address, r->probes, r->a.cols);
}

// Q: an orthonormal basis of the rows of Z A^T, in a submission of its own.
static bool range_of(struct range *r)
{
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    gemm_nt(&cmd, products_of(r), r->a, basis_of(r), 1, 0);
    orth_rows(&cmd, &r->orth, basis_of(r), 0, (struct matrix){0});
    return run(&cmd);
}

static bool probe(struct range *r)
{
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    op_normal(&cmd, (struct normal_args){.y = r->z->address, .n = r->probes * r->a.cols,
                                         .seed = SEED_PROBES});
    return run(&cmd) && range_of(r);
}

static bool pass(struct range *r)
{
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    gemm_nn(&cmd, basis_of(r), r->a, products_of(r), 1, 0);
    orth_rows(&cmd, &r->orth, products_of(r), 0, (struct matrix){0});
    return run(&cmd) && range_of(r);
}

// B = Q A = (its left vectors) diag(sigma) V^T; those within Q are nearly A's.
static bool decompose(struct range *r, fbuf u, float *sigma)
{
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    gemm_nn(&cmd, basis_of(r), r->a, products_of(r), 1, 0);
    if (!run(&cmd) || !svd_left(r->dev, r->z, r->probes, r->a.cols, r->left, r->sigma, NULL))
        return false;
    cmd_start(&cmd, r->dev, false);
    gemm_nn(&cmd, matrix_of(r->left->address, r->count, r->probes), basis_of(r),
            matrix_of(u, r->count, r->a.rows), 1, 0);
    return run(&cmd) && buffer_read(r->dev, r->sigma, 0, sigma, 4ull * r->count);
}

// E = (I - U U^T) A A^T U. With v = A^T u / sigma, the residual A v - sigma u is E's row / sigma:
// *residual is the sum of its squares, over all u.
static bool couple(struct range *r, fbuf u_rows, const float *sigma, double *coupling,
                   double *residual)
{
    struct matrix u = matrix_of(u_rows, r->count, r->a.rows);
    struct matrix e = matrix_of(r->e->address, r->count, r->a.rows), z = products_of(r);
    struct cmd cmd;
    z.rows = r->count;
    cmd_start(&cmd, r->dev, false);
    gemm_nn(&cmd, u, r->a, z, 1, 0);
    gemm_nt(&cmd, z, r->a, e, 1, 0);
    project_rows(&cmd, e, u, r->coef->address, 2);
    double sum = 0, noise = NOISE * (double)sigma[0];
    if (!run(&cmd) || !energy(r, e, &sum)) return false;
    *residual = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        double row = (double)r->host[i] + noise * (double)sigma[i];
        *residual += sigma[i] > 0 ? row * row / ((double)sigma[i] * (double)sigma[i]) : INFINITY;
        sum += row * row - (double)r->host[i] * (double)r->host[i];
    }
    *coupling = sqrt(sum);
    return true;
}

static void unit_rows(struct cmd *cmd, const struct range *r, struct matrix x, uint32_t step)
{
    fbuf norms = r->norms->address, zero = norms + 4ull * NORMS * WITNESSES;
    for (uint32_t i = 0; i < x.rows; i++)
        op_unit_row(cmd, (struct unit_row_args){.x = x.data + 4ull * i * x.stride, .before = zero,
                                                .norm = norms + 4ull * (step * WITNESSES + i),
                                                .cols = x.cols});
}

// |R|_2 of the rest R = (I - U U^T) A. Halko et al., Eq. 4.3: for normal w_1..w_k, |M|_2 is at most
// 10 sqrt(2/pi) max |M w_i|, but with probability 10^-k. With M = (R R^T)^ROUNDS R, of which
// |R|_2 is a root, that factor and the length of w shrink to nearly one.
static bool witness(struct range *r, fbuf u_rows, double *rest)
{
    struct matrix y = matrix_of(r->e->address, WITNESSES, r->a.rows);
    struct matrix z = matrix_of(r->z->address, WITNESSES, r->a.cols);
    struct matrix u = matrix_of(u_rows, r->count, r->a.rows);
    struct cmd cmd;
    cmd_start(&cmd, r->dev, false);
    op_fill(&cmd, (struct fill_args){.y = r->norms->address, .n = NORMS * WITNESSES + 1});
    op_normal(&cmd, (struct normal_args){.y = z.data, .n = WITNESSES * z.cols,
                                         .seed = SEED_WITNESSES});
    for (uint32_t step = 0; step < NORMS; step++) {
        if (step % 2) {
            gemm_nn(&cmd, y, r->a, z, 1, 0);
            unit_rows(&cmd, r, z, step);
        } else {
            gemm_nt(&cmd, z, r->a, y, 1, 0);
            project_rows(&cmd, y, u, r->coef->address, 2);
            unit_rows(&cmd, r, y, step);
        }
    }
    if (!run(&cmd) || !buffer_read(r->dev, r->norms, 0, r->host, 4ull * NORMS * WITNESSES))
        return false;
    *rest = 0;
    for (uint32_t i = 0; i < WITNESSES; i++) {
        double sum = maths_log(10 * sqrt(2 / acos(-1)));
        for (uint32_t step = 0; step < NORMS; step++) // of zero: nothing is left
            sum += maths_log((double)r->host[step * WITNESSES + i]);
        *rest = fmax(*rest, maths_exp(sum / NORMS));
    }
    return true;
}

// In the basis of U and what is orthogonal to it, A A^T is diag(sigma^2, R R^T) and E beside it.
// Sums of eigenvalues change by no more than those of E (Ky Fan), which are at most sqrt(count)
// |E|_F; the span of U turns by no more than Wedin's theorem has it.
static void bound(const struct range *r, const float *sigma, double residual,
                  struct range_report *report)
{
    const double rest = report->rest, last = (double)sigma[r->count - 1];
    report->held = 0;
    report->lost = sqrt(r->count) * report->coupling;
    for (uint32_t i = 0; i < r->count; i++) {
        double square = (double)sigma[i] * (double)sigma[i];
        report->held += square;
        report->lost += fmax(rest * rest - square, 0);
    }
    report->lost = fmin(report->lost, fmax(report->energy - report->held, 0));
    report->sine = last > rest ? fmin(sqrt(residual) / (last - rest), 1) : 1;
}

static bool range_find(struct range *r, fbuf u, float *sigma, struct range_report *report)
{
    double residual = 0;
    bool ok = energy(r, r->a, &report->energy) && probe(r);
    while (ok) {
        for (uint32_t i = 0; ok && i < PASSES_FIRST; i++) ok = pass(r);
        report->passes += PASSES_FIRST;
        ok = ok && decompose(r, u, sigma) && couple(r, u, sigma, &report->coupling, &residual) &&
             witness(r, u, &report->rest);
        if (!ok) break;
        bound(r, sigma, residual, report);
        log_detail("range: %u passes, %.6g of %.6g held, coupling %.2g, rest %.4g, sigma %.4g to "
                   "%.4g", report->passes, report->held, report->energy, report->coupling,
                   report->rest, (double)sigma[0], (double)sigma[r->count - 1]);
        if (report->passes >= PASSES_MOST ||
            sqrt(r->count) * report->coupling <= COUPLED * report->held)
            break;
    }
    return ok;
}

// What was found for scale A, said of A.
static void unscale(const struct range *r, float *sigma, struct range_report *report)
{
    const double back = 1 / (double)r->scale;
    for (uint32_t i = 0; i < r->count; i++) sigma[i] *= (float)back;
    report->rest *= back;
    double *squares[] = {&report->energy, &report->held, &report->coupling, &report->lost};
    for (size_t i = 0; i < sizeof squares / sizeof *squares; i++) *squares[i] *= back * back;
}

bool range_left(struct device *dev, struct buffer *a, uint32_t d, uint32_t m, uint32_t count,
                struct buffer *u_rows, float *sigma, struct range_report *report)
{
    double started = log_clock();
    struct range_report told = {.probes = range_probes(count)};
    struct range r = {.dev = dev, .a = matrix_of(a->address, d, m), .count = count,
                      .probes = told.probes};
    if (!range_fits(d, m, count))
        return fail(STATUS_FAILED, "range of a matrix [%u, %u]: %u vectors want %u probes, more "
                                   "than it has", d, m, count, told.probes);
    bool ok = range_start(&r) && look(&r);
    if (ok && r.scale == 0) { // nothing is there to be found
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_fill(&cmd, (struct fill_args){.y = u_rows->address, .n = count * d});
        ok = run(&cmd);
        for (uint32_t i = 0; i < count; i++) sigma[i] = 0;
        told.sine = 1;
    } else if (ok) {
        ok = range_find(&r, u_rows->address, sigma, &told);
        unscale(&r, sigma, &told);
    }
    told.seconds = log_clock() - started;
    if (ok && report) *report = told;
    range_free(&r);
    return ok;
}
