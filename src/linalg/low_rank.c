#include "linalg/low_rank.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static double tail(const float *sigma, uint32_t from, uint32_t to)
{
    double squares = 0;
    for (uint32_t i = to; i-- > from;) squares += (double)sigma[i] * (double)sigma[i];
    return sqrt(squares);
}

// Rows of singular vectors to a's rows and b's columns.
static void share(const float *u, const float *v, const float *sigma, uint32_t rank, uint32_t d,
                  uint32_t m, float *a, float *b)
{
    for (uint32_t i = 0; i < rank; i++) {
        float root = sqrtf(sigma[i]);
        for (uint32_t j = 0; j < m; j++) a[(uint64_t)i * m + j] = root * v[(uint64_t)i * m + j];
        for (uint32_t j = 0; j < d; j++) b[(uint64_t)j * rank + i] = root * u[(uint64_t)i * d + j];
    }
}

bool low_rank(struct device *dev, struct buffer *x, struct buffer *y, uint32_t t, uint32_t d,
              uint32_t m, uint32_t rank, float *a, float *b, struct low_rank *report)
{
    uint32_t k = t < d ? t : d;
    k = k < m ? k : m;
    struct buffer *u = NULL, *v = NULL, *values = NULL;
    struct svd_report told = {0};
    float *host_u = mem_new((uint64_t)k * d, sizeof *host_u, "singular vectors");
    float *host_v = mem_new((uint64_t)k * m, sizeof *host_v, "singular vectors");
    float *sigma = mem_new(k, sizeof *sigma, "singular values");
    bool ok = host_u && host_v && sigma &&
              buffer_new(dev, 4ull * k * d, "singular vectors", &u) &&
              buffer_new(dev, 4ull * k * m, "singular vectors", &v) &&
              buffer_new(dev, 4ull * k, "singular values", &values) &&
              svd_pairs(dev, x, y, t, d, m, u, values, v, &told) &&
              buffer_read(dev, u, 0, host_u, 4ull * k * d) &&
              buffer_read(dev, v, 0, host_v, 4ull * k * m) &&
              buffer_read(dev, values, 0, sigma, 4ull * k);
    if (ok) {
        uint32_t taken = rank < told.rank ? rank : told.rank;
        *report = (struct low_rank){.rank = taken, .norm = tail(sigma, 0, k),
                                    .lost = tail(sigma, taken, k)};
        share(host_u, host_v, sigma, taken, d, m, a, b);
    }
    buffer_free(dev, &u);
    buffer_free(dev, &v);
    buffer_free(dev, &values);
    free(host_u);
    free(host_v);
    free(sigma);
    return ok;
}
