#include "eval/geometry.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "linalg/svd.h"
#include "ops/gemm.h"

static bool spectrum_read(struct device *dev, struct buffer *sigma, uint32_t count, uint32_t rank,
                          struct spectrum *s)
{
    *s = (struct spectrum){.count = count, .rank = rank, .nonzero = NAN,
                           .values = mem_new(count, sizeof *s->values, "singular values")};
    if (!s->values || !buffer_read(dev, sigma, 0, s->values, count * sizeof *s->values)) {
        spectrum_free(s);
        return false;
    }
    double squares = 0;
    for (uint32_t i = count; i-- > 0;) squares += (double)s->values[i] * (double)s->values[i];
    s->frobenius = sqrt(squares);
    s->norm = (double)s->values[0];
    s->condition = s->values[count - 1] > 0 ? s->norm / (double)s->values[count - 1] : INFINITY;
    if (rank) s->nonzero = s->norm / (double)s->values[rank - 1];
    return true;
}

bool spectrum_matrix(struct device *dev, struct buffer *a, uint32_t d, uint32_t m,
                     struct spectrum *s)
{
    struct buffer *sigma = NULL;
    struct svd_report report = {0};
    const uint32_t count = d < m ? d : m;
    *s = (struct spectrum){0};
    bool ok = buffer_new(dev, 4ull * count, "singular values", &sigma) &&
              svd_full(dev, a, d, m, NULL, sigma, NULL, &report) &&
              spectrum_read(dev, sigma, count, report.rank, s);
    buffer_free(dev, &sigma);
    return ok;
}

bool spectrum_pairs(struct device *dev, struct buffer *u, struct buffer *w, uint32_t t, uint32_t d,
                    uint32_t m, struct spectrum *s)
{
    struct buffer *sigma = NULL;
    struct svd_report report = {0};
    uint32_t count = d < m ? d : m;
    if (t < count) count = t;
    *s = (struct spectrum){.condition = NAN, .nonzero = NAN};
    if (t == 0) return true;
    bool ok = buffer_new(dev, 4ull * count, "singular values", &sigma) &&
              svd_pairs(dev, u, w, t, d, m, NULL, sigma, NULL, &report) &&
              spectrum_read(dev, sigma, count, report.rank, s);
    buffer_free(dev, &sigma);
    return ok;
}

void spectrum_free(struct spectrum *s)
{
    free(s->values);
    *s = (struct spectrum){0};
}

// y = x z^T on the host.  x: [t, cols]  z: [t, cols]  y: [t, t]
static bool products(struct device *dev, struct buffer *x, struct buffer *z, uint32_t t,
                     uint32_t cols, struct buffer *on_device, float *y)
{
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    gemm_nt(&cmd, matrix_of(x->address, t, cols), matrix_of(z->address, t, cols),
            matrix_of(on_device->address, t, t), 1, 0);
    bool ok = cmd_run_once(&cmd) && buffer_read(dev, on_device, 0, y, 4ull * t * t);
    cmd_free(&cmd);
    return ok;
}

bool geometry_cosines(struct device *dev, struct buffer *x, uint32_t t, uint32_t cols,
                      float *cosines, double *mean)
{
    struct buffer *gram = NULL;
    double *lengths = mem_new(t, sizeof *lengths, "cosines"), sum = 0;
    *mean = NAN;
    bool ok = lengths && (t == 0 || (buffer_new(dev, 4ull * t * t, "cosines", &gram) &&
                                     products(dev, x, x, t, cols, gram, cosines)));
    for (uint32_t i = 0; ok && i < t; i++) lengths[i] = sqrt((double)cosines[i * (t + 1ull)]);
    for (uint64_t i = 0; ok && i < (uint64_t)t * t; i++) {
        double size = lengths[i / t] * lengths[i % t];
        double cosine = size > 0 ? fabs((double)cosines[i]) / size : 0;
        cosines[i] = (float)cosine;
        if (i / t != i % t) sum += cosine;
    }
    if (ok && t > 1) *mean = sum / ((double)t * (t - 1));
    buffer_free(dev, &gram);
    free(lengths);
    return ok;
}

// The lengths of the rows of x.  x: [t, cols]
static bool lengths_read(struct device *dev, fbuf x, uint32_t t, uint32_t cols, struct buffer *y,
                         float *to)
{
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_norm_rows(&cmd, (struct norm_rows_args){.x = x, .y = y->address, .rows = t, .cols = cols,
                                               .ldx = cols});
    bool ok = cmd_run_once(&cmd) && buffer_read(dev, y, 0, to, 4ull * t);
    cmd_free(&cmd);
    return ok;
}

// a: [t, t], k_j . w_i in row j. With its diagonal the j-th row of a u would be dW_total k_j;
// without it, what is not dW_j's, and nothing is subtracted.
static bool scores(struct device *dev, struct buffer *u, struct buffer *a, float *host, uint32_t t,
                   uint32_t d, struct buffer *y, struct buffer *norms, float *own,
                   float *unrelated)
{
    bool ok = lengths_read(dev, u->address, t, d, norms, own);
    for (uint32_t j = 0; ok && j < t; j++) {
        own[j] *= fabsf(host[j * (t + 1ull)]);
        host[j * (t + 1ull)] = 0;
    }
    ok = ok && buffer_write(dev, a, 0, host, 4ull * t * t);
    if (!ok) return false;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    gemm_nn(&cmd, matrix_of(a->address, t, t), matrix_of(u->address, t, d),
            matrix_of(y->address, t, d), 1, 0);
    ok = cmd_run_once(&cmd) && lengths_read(dev, y->address, t, d, norms, unrelated);
    cmd_free(&cmd);
    return ok;
}

bool geometry_scores(struct device *dev, struct buffer *u, struct buffer *w, struct buffer *k,
                     uint32_t t, uint32_t d, uint32_t m, float *own, float *unrelated)
{
    struct buffer *a = NULL, *y = NULL, *norms = NULL;
    if (t == 0) return true;
    float *host = mem_new((uint64_t)t * t, sizeof *host, "activation scores");
    bool ok = host && buffer_new(dev, 4ull * t * t, "activation scores", &a) &&
              buffer_new(dev, 4ull * t * d, "activations", &y) &&
              buffer_new(dev, 4ull * t, "activation scores", &norms) &&
              products(dev, k, w, t, m, a, host) &&
              scores(dev, u, a, host, t, d, y, norms, own, unrelated);
    buffer_free(dev, &a);
    buffer_free(dev, &y);
    buffer_free(dev, &norms);
    free(host);
    return ok;
}
