#include "cli/compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "linalg/svd.h"
#include "ops/ops.h"

// Lengths of rows: their largest, and the root of the sum of their squares.
static bool row_norms(struct device *dev, fbuf x, uint32_t rows, uint32_t cols, double *largest,
                      double *all)
{
    struct buffer *norms = NULL;
    float *host = mem_new(rows, sizeof *host, "norms");
    bool ok = host && buffer_new(dev, rows * sizeof *host, "norms", &norms);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_norm_rows(&cmd, (struct norm_rows_args){.x = x, .y = norms->address, .rows = rows,
                                                   .cols = cols, .ldx = cols});
        ok = cmd_run_once(&cmd) && buffer_read(dev, norms, 0, host, rows * sizeof *host);
        cmd_free(&cmd);
    }
    double sum = 0;
    *largest = 0;
    for (uint32_t i = 0; ok && i < rows; i++) {
        sum += (double)host[i] * (double)host[i];
        *largest = fmax(*largest, (double)host[i]);
    }
    *all = sqrt(sum);
    buffer_free(dev, &norms);
    free(host);
    return ok;
}

bool compare_norms(struct device *dev, struct buffer *x, uint32_t rows, uint32_t cols,
                   struct norms *norms)
{
    struct buffer *turned = NULL;
    double again;
    bool ok = row_norms(dev, x->address, rows, cols, &norms->row, &norms->frobenius) &&
              buffer_new(dev, 4ull * rows * cols, "a matrix turned", &turned);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_copy_part(&cmd, (struct copy_part_args){.x = x->address, .largest = x->address,
                                                   .y = turned->address, .rows = cols,
                                                   .cols = rows, .ldx = cols, .ldy = rows,
                                                   .rows_in = rows, .cols_in = cols,
                                                   .turned = true});
        ok = cmd_run_once(&cmd) &&
             row_norms(dev, turned->address, cols, rows, &norms->column, &again);
        cmd_free(&cmd);
    }
    buffer_free(dev, &turned);
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
    struct svd_report report = {0};
    double longest;
    *size = (struct size_of){0};
    bool ok = row_norms(dev, x->address, rows, cols, &longest, &size->frobenius);
    if (ok && size->frobenius > 0) {
        ok = buffer_new(dev, count * sizeof(float), "singular values", &sigma) &&
             svd_full(dev, x, rows, cols, NULL, sigma, NULL, &report) &&
             values_read(dev, sigma, count, least, size);
        if (size->rank > report.rank) size->rank = report.rank;
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
    double longest;
    if (t < count) count = t;
    *size = (struct size_of){0};
    bool ok = buffer_new(dev, count * sizeof(float), "singular values", &sigma) &&
              buffer_new(dev, 4ull * count * rows, "singular vectors", &left) &&
              buffer_new(dev, 4ull * count * cols, "singular vectors", &right) &&
              svd_pairs(dev, u, w, t, rows, cols, left, sigma, right, &report) &&
              values_read(dev, sigma, count, INFINITY, size) &&
              row_norms(dev, sigma->address, 1, count, &longest, &size->frobenius);
    size->rank = report.rank < count ? report.rank : count;
    buffer_free(dev, &sigma);
    buffer_free(dev, &left);
    buffer_free(dev, &right);
    return ok;
}
