#include "edit/prune.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/maths.h"
#include "base/mem.h"
#include "linalg/svd.h"

double prune_value(double s, double top)
{
    return maths_log(s / top) / maths_log(1.2) + top;
}

// max sigma(W)
static bool top_find(struct device *dev, const struct tensor *base, float *top)
{
    const uint32_t rows = (uint32_t)base->rows, cols = (uint32_t)base->cols;
    struct buffer *w = NULL, *sigma = NULL;
    bool ok = tensor_unpack(dev, base, &w) &&
              buffer_new(dev, 4ull * (rows < cols ? rows : cols), "singular values", &sigma) &&
              svd_full(dev, w, rows, cols, NULL, sigma, NULL, NULL) &&
              buffer_read(dev, sigma, 0, top, sizeof *top);
    buffer_free(dev, &w);
    buffer_free(dev, &sigma);
    return ok;
}

static void say(const struct tensor *base, const float *sigma, uint32_t changed, double top)
{
    double first = (double)sigma[0], last = (double)sigma[changed ? changed - 1 : 0];
    if (changed == 0)
        log_say("PRUNE: %s: |dW|_2 is %.4g, |W|_2 %.4g: nothing is changed", base->name, first,
                top);
    else
        log_say("PRUNE: %s: %u singular values of dW are over |W|_2 = %.4g; the largest, %.4g, "
                "becomes %.4g", base->name, changed, top, first, prune_value(first, top));
    if (changed && prune_value(last, top) > last)
        log_warn("PRUNE: %s: F(s) = log_1.2(s / |W|_2) + |W|_2 is more than s for %.4g, which "
                 "becomes %.4g: |W|_2 = %.4g is small", base->name, last, prune_value(last, top),
                 top);
}

bool prune_pairs(struct device *dev, const struct tensor *base, struct pairs *p)
{
    const uint32_t t = p->count, d = p->rows, m = p->cols, least = d < m ? d : m;
    const uint32_t k = t < least ? t : least;
    struct buffer *u = NULL, *v = NULL, *values = NULL;
    uint32_t changed = 0;
    if (t == 0) return true;
    float *sigma = mem_new(k, sizeof *sigma, "singular values");
    bool ok = sigma && (p->top > 0 || top_find(dev, base, &p->top)) &&
              buffer_new(dev, 4ull * k * d, "singular vectors", &u) &&
              buffer_new(dev, 4ull * k * m, "singular vectors", &v) &&
              buffer_new(dev, 4ull * k, "singular values", &values) &&
              svd_pairs(dev, p->u, p->w, t, d, m, u, values, v, NULL) &&
              buffer_read(dev, values, 0, sigma, 4ull * k);
    const double top = (double)p->top;
    for (; ok && changed < k && sigma[changed] > p->top; changed++) {
        double s = (double)sigma[changed];
        ok = pairs_add(p, u->address + 4ull * changed * d, v->address + 4ull * changed * m,
                       (float)(prune_value(s, top) - s));
    }
    if (ok) say(base, sigma, changed, top);
    buffer_free(dev, &u);
    buffer_free(dev, &v);
    buffer_free(dev, &values);
    free(sigma);
    return ok;
}
