#include "cli/compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "linalg/svd.h"
#include "ops/ops.h"

bool compare_norm(struct device *dev, struct buffer *x, uint32_t rows, uint32_t cols, double *norm)
{
    struct buffer *norms = NULL;
    float *host = mem_new(rows, sizeof *host, "norms");
    double sum = 0;
    bool ok = host && buffer_new(dev, rows * sizeof *host, "norms", &norms);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_norm_rows(&cmd, (struct norm_rows_args){.x = x->address, .y = norms->address,
                                                   .rows = rows, .cols = cols, .ldx = cols});
        ok = cmd_run_once(&cmd) && buffer_read(dev, norms, 0, host, rows * sizeof *host);
        cmd_free(&cmd);
    }
    for (uint32_t i = 0; ok && i < rows; i++) sum += (double)host[i] * (double)host[i];
    *norm = sqrt(sum);
    buffer_free(dev, &norms);
    free(host);
    return ok;
}

// Largest value and rank from singular values, descending.
static bool values_read(struct device *dev, struct buffer *sigma, uint32_t count, double least,
                        struct size_of *size)
{
    float *values = mem_new(count, sizeof *values, "singular values");
    bool ok = values && buffer_read(dev, sigma, 0, values, count * sizeof *values);
    if (ok) size->spectral = (double)values[0];
    while (ok && size->rank < count && (double)values[size->rank] > least) size->rank++;
    free(values);
    return ok;
}

bool compare_size(struct device *dev, struct buffer *x, uint32_t rows, uint32_t cols, double least,
                  struct size_of *size)
{
    struct buffer *sigma = NULL;
    uint32_t count = rows < cols ? rows : cols;
    *size = (struct size_of){0};
    bool ok = compare_norm(dev, x, rows, cols, &size->frobenius);
    if (ok && size->frobenius > 0) {
        ok = buffer_new(dev, count * sizeof(float), "singular values", &sigma) &&
             svd_full(dev, x, rows, cols, NULL, sigma, NULL, NULL) &&
             values_read(dev, sigma, count, least, size);
    }
    buffer_free(dev, &sigma);
    return ok;
}

bool compare_pairs(struct device *dev, struct buffer *u, struct buffer *w, uint32_t t,
                   uint32_t rows, uint32_t cols, struct size_of *size)
{
    struct buffer *sigma = NULL, *left = NULL, *right = NULL;
    uint32_t count = rows < cols ? rows : cols;
    struct svd_report report = {0};
    if (t < count) count = t;
    *size = (struct size_of){0};
    bool ok = buffer_new(dev, count * sizeof(float), "singular values", &sigma) &&
              buffer_new(dev, 4ull * count * rows, "singular vectors", &left) &&
              buffer_new(dev, 4ull * count * cols, "singular vectors", &right) &&
              svd_pairs(dev, u, w, t, rows, cols, left, sigma, right, &report) &&
              values_read(dev, sigma, count, INFINITY, size) &&
              compare_norm(dev, sigma, 1, count, &size->frobenius);
    size->rank = report.rank < count ? report.rank : count;
    buffer_free(dev, &sigma);
    buffer_free(dev, &left);
    buffer_free(dev, &right);
    return ok;
}
