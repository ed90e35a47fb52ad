#include "ref_linalg.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/status.h"
#include "vk/device.h"
#include "vk/hazard.h"

void *ref_new(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (memory) return memory;
    fprintf(stderr, "the test needs %zu bytes more memory\n", count * size);
    exit(1);
}

void ref_open(struct device *dev)
{
    if (device_open(dev, &(struct device_options){0}) && hazard_open(dev)) return;
    fprintf(stderr, "%s\n", status_message());
    exit(status_code());
}

void ref_close(struct device *dev)
{
    uint32_t errors = dev->validation_errors;
    device_close(dev);
    if (errors == 0) return;
    fprintf(stderr, "%u validation errors are above\n", errors);
    exit(1);
}

double ref_uniform(uint64_t *seed)
{
    return 2 * random_unit(seed) - 1;
}

double ref_normal(uint64_t *seed)
{
    double u = 0.5 * ref_uniform(seed) + 0.5, v = ref_uniform(seed);
    return sqrt(-2 * log(u > 0 ? u : 1e-300)) * cos(3.14159265358979323846 * v);
}

static double dot(const double *x, const double *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

void ref_orthogonal(uint64_t *seed, uint32_t n, double *q)
{
    for (uint32_t i = 0; i < n; i++) {
        double *row = q + (size_t)i * n;
        for (uint32_t j = 0; j < n; j++) row[j] = ref_normal(seed);
        for (uint32_t k = 0; k < 2 * i; k++) { // every earlier row, twice
            const double *other = q + (size_t)(k % i) * n;
            double c = dot(row, other, n);
            for (uint32_t j = 0; j < n; j++) row[j] -= c * other[j];
        }
        double over = 1 / sqrt(dot(row, row, n));
        for (uint32_t j = 0; j < n; j++) row[j] *= over;
    }
}

// Makes rows x, y orthogonal, and turns p, q along; false if they were so already.
static bool rotate(double *x, double *y, uint32_t n, double *p, double *q, uint32_t k)
{
    double xx = dot(x, x, n), yy = dot(y, y, n), xy = dot(x, y, n);
    if (fabs(xy) <= 1e-15 * sqrt(xx) * sqrt(yy)) return false;
    double zeta = (yy - xx) / (2 * xy);
    double t = (zeta < 0 ? -1 : 1) / (fabs(zeta) + sqrt(1 + zeta * zeta));
    double c = 1 / sqrt(1 + t * t), s = c * t;
    for (uint32_t i = 0; i < n; i++) {
        double old = x[i];
        x[i] = c * old - s * y[i];
        y[i] = s * old + c * y[i];
    }
    for (uint32_t i = 0; i < k; i++) {
        double old = p[i];
        p[i] = c * old - s * q[i];
        q[i] = s * old + c * q[i];
    }
    return true;
}

static void swap_rows(double *x, double *y, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        double old = x[i];
        x[i] = y[i];
        y[i] = old;
    }
}

float *ref_definite(const float *a, uint32_t n)
{
    float *c = ref_new((size_t)n * n, sizeof *c);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < n; j++) {
            double sum = i == j;
            for (uint32_t k = 0; k < n; k++)
                sum += (double)a[i * n + k] * (double)a[j * n + k] / n;
            c[i * n + j] = (float)sum;
        }
    return c;
}

// Rows of J A become orthogonal; J A = diag(sigma) V^T, so J = U^T. Works on A or, if that has
// fewer rows, on A^T, whose J gives V^T and whose rotated rows are sigma U^T.
void ref_svd(const float *a, uint32_t d, uint32_t m, double *sigma, double *u)
{
    const bool turned = d > m;
    const uint32_t k = turned ? m : d, wide = turned ? d : m;
    double *x = ref_new((size_t)k * wide, sizeof *x), *j = ref_new((size_t)k * k, sizeof *j);
    for (uint32_t r = 0; r < k; r++) {
        j[(size_t)r * k + r] = 1;
        for (uint32_t c = 0; c < wide; c++)
            x[(size_t)r * wide + c] = turned ? a[(size_t)c * m + r] : a[(size_t)r * m + c];
    }
    for (bool again = true, first = true; again; first = false) {
        again = first && k > 1;
        for (uint32_t p = 0; p < k; p++)
            for (uint32_t q = p + 1; q < k; q++)
                if (rotate(x + (size_t)p * wide, x + (size_t)q * wide, wide, j + (size_t)p * k,
                           j + (size_t)q * k, k))
                    again = true;
    }
    for (uint32_t r = 0; r < k; r++)
        sigma[r] = sqrt(dot(x + (size_t)r * wide, x + (size_t)r * wide, wide));
    for (uint32_t r = 0; r < k; r++)
        for (uint32_t s = r + 1; s < k; s++) {
            if (sigma[s] <= sigma[r]) continue;
            swap_rows(&sigma[r], &sigma[s], 1);
            swap_rows(x + (size_t)r * wide, x + (size_t)s * wide, wide);
            swap_rows(j + (size_t)r * k, j + (size_t)s * k, k);
        }
    for (uint32_t r = 0; u && r < k; r++)
        for (uint32_t c = 0; c < d; c++)
            u[(size_t)r * d + c] =
                turned ? x[(size_t)r * wide + c] / sigma[r] : j[(size_t)r * k + c];
    free(x);
    free(j);
}

void ref_solve(const float *c, uint32_t n, double shift, const float *b, double *x)
{
    double *l = ref_new((size_t)n * n, sizeof *l);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double s = (double)c[(size_t)i * n + j] + (i == j ? shift : 0);
            s -= dot(l + (size_t)i * n, l + (size_t)j * n, j);
            l[(size_t)i * n + j] = i == j ? sqrt(s) : s / l[(size_t)j * n + j];
        }
    for (uint32_t i = 0; i < n; i++)
        x[i] = (b[i] - dot(l + (size_t)i * n, x, i)) / l[(size_t)i * n + i];
    for (uint32_t i = n; i-- > 0;) {
        x[i] /= l[(size_t)i * n + i];
        for (uint32_t j = 0; j < i; j++) x[j] -= l[(size_t)i * n + j] * x[i];
    }
    free(l);
}

void ref_solve_dense(const double *a, uint32_t n, bool turned, const double *b, double *x)
{
    const size_t m = (size_t)n + 1;
    double *t = ref_new(n * m, sizeof *t);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < n; j++)
            t[i * m + j] = turned ? a[(size_t)j * n + i] : a[(size_t)i * n + j];
        t[i * m + n] = b[i];
    }
    for (uint32_t p = 0; p < n; p++) {
        uint32_t best = p;
        for (uint32_t i = p; i < n; i++)
            if (fabs(t[i * m + p]) > fabs(t[best * m + p])) best = i;
        for (uint32_t j = 0; j <= n; j++) {
            const double other = t[best * m + j];
            t[best * m + j] = t[p * m + j];
            t[p * m + j] = other;
        }
        for (uint32_t i = 0; i < n; i++) {
            const double by = i == p ? 0 : t[i * m + p] / t[p * m + p];
            for (uint32_t j = p; by != 0 && j <= n; j++) t[i * m + j] -= by * t[p * m + j];
        }
    }
    for (uint32_t i = 0; i < n; i++) x[i] = t[i * m + n] / t[i * m + i];
    free(t);
}

double ref_orthonormality(const float *q, uint32_t rows, uint32_t cols)
{
    double worst = 0;
    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t j = 0; j <= i; j++) {
            double sum = 0;
            const float *x = q + (size_t)i * cols, *y = q + (size_t)j * cols;
            for (uint32_t c = 0; c < cols; c++) sum += (double)x[c] * y[c];
            if (i == j && sum == 0) continue;
            double off = fabs(sum - (i == j));
            if (!(off <= worst)) worst = off; // keeps NaN
        }
    return worst;
}

double ref_reconstruction(const float *a, const float *u, const float *sigma, const float *v,
                          uint32_t d, uint32_t m, uint32_t k)
{
    double worst = 0, *row = ref_new(m, sizeof *row);
    for (uint32_t i = 0; i < d; i++) {
        for (uint32_t j = 0; j < m; j++) row[j] = a[(size_t)i * m + j];
        for (uint32_t t = 0; t < k; t++) {
            double s = (double)u[(size_t)t * d + i] * sigma[t];
            for (uint32_t j = 0; j < m; j++) row[j] -= s * v[(size_t)t * m + j];
        }
        for (uint32_t j = 0; j < m; j++)
            if (!(fabs(row[j]) <= worst)) worst = fabs(row[j]);
    }
    free(row);
    return worst;
}
