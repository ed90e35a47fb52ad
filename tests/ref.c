#include "ref.h"

#include <math.h>
#include <stdlib.h>

double *ref_zeros(uint64_t count)
{
    double *x = calloc(count ? count : 1, sizeof *x);
    if (!x) abort();
    return x;
}

double *ref_wide(const float *x, uint64_t count)
{
    double *y = ref_zeros(count);
    for (uint64_t i = 0; i < count; i++) y[i] = (double)x[i];
    return y;
}

double ref_slope(double (*f)(void *context), void *context, double *x)
{
    const double at = *x, h = 4e-6 * (fabs(at) > 1 ? fabs(at) : 1);
    double slopes[2];
    for (int i = 0; i < 2; i++) { // steps h and 2 h: their errors in h^2 cancel
        double step = h * (1 + i);
        *x = at + step;
        double more = f(context);
        *x = at - step;
        slopes[i] = (more - f(context)) / (2 * step);
    }
    *x = at;
    return (4 * slopes[0] - slopes[1]) / 3;
}

static double rms_scale(const double *x, uint32_t cols, double eps)
{
    double sum = 0;
    for (uint32_t i = 0; i < cols; i++) sum += x[i] * x[i];
    return 1 / sqrt(sum / cols + eps);
}

void ref_rmsnorm(const double *x, const double *w, double *y, uint32_t rows, uint32_t cols,
                 double eps)
{
    for (uint64_t r = 0; r < rows; r++) {
        double scale = rms_scale(x + r * cols, cols, eps);
        for (uint32_t i = 0; i < cols; i++) y[r * cols + i] = x[r * cols + i] * scale * w[i];
    }
}

void ref_rmsnorm_back(const double *x, const double *w, const double *dy, double *dx, uint32_t rows,
                      uint32_t cols, double eps)
{
    for (uint64_t r = 0; r < rows; r++) {
        const double *xr = x + r * cols, *dr = dy + r * cols;
        double scale = rms_scale(xr, cols, eps), along = 0;
        for (uint32_t i = 0; i < cols; i++) along += xr[i] * w[i] * dr[i];
        for (uint32_t i = 0; i < cols; i++)
            dx[r * cols + i] += scale * w[i] * dr[i] - xr[i] * along * pow(scale, 3) / cols;
    }
}

void ref_rope(const double *x, const double *table, const uint32_t *pos, const uint32_t *slot,
              double *y, uint32_t rows, uint32_t heads, uint32_t dim, bool interleaved,
              double sign)
{
    const uint32_t pairs = dim / 2;
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t h = 0; h < heads; h++)
            for (uint32_t p = 0; p < pairs; p++) {
                const double *from = x + ((uint64_t)r * heads + h) * dim;
                double *to = y + ((uint64_t)slot[r] * heads + h) * dim;
                const double *turn = table + 2 * ((uint64_t)pos[r] * pairs + p);
                uint32_t i = interleaved ? 2 * p : p, j = interleaved ? 2 * p + 1 : p + pairs;
                double real = from[i], imaginary = from[j];
                to[i] = real * turn[0] - imaginary * sign * turn[1];
                to[j] = real * sign * turn[1] + imaginary * turn[0];
            }
}

double ref_silu(double x)
{
    return x / (1 + exp(-x));
}

double ref_silu_slope(double x)
{
    double s = 1 / (1 + exp(-x));
    return s + x * s * (1 - s);
}

void ref_gemm(struct ref_gemm g, const double *x, const double *w, double *y, double *size)
{
    for (uint64_t i = 0; i < g.rows; i++)
        for (uint64_t j = 0; j < g.outs; j++) {
            double sum = 0, all = 0;
            for (uint64_t k = 0; k < g.inner; k++) {
                double left = g.turn_x ? x[k * g.ldx + i] : x[i * g.ldx + k];
                double right = g.turn_w ? w[j * g.ldw + k] : w[k * g.ldw + j];
                sum += left * right;
                all += fabs(left * right);
            }
            double *to = &y[i * g.ldy + j], before = g.beta == 0 ? 0 : g.beta * *to;
            *to = g.alpha * sum + before;
            if (size) size[i * g.ldy + j] = fabs(g.alpha) * all + fabs(before);
        }
}

// The row's probabilities from key `begin` on; returns the log of the sum of exponentials.
static double probabilities(const struct ref_attention *a, uint32_t row, uint32_t head,
                            uint32_t *begin, double *p)
{
    const uint32_t count = a->count[row], group = head / (a->heads / a->kv_heads);
    const double *q = a->q + ((uint64_t)row * a->heads + head) * a->dim;
    *begin = a->window && count > a->window ? count - a->window : 0;
    for (uint32_t j = *begin; j < count; j++) {
        const double *k = a->k + ((uint64_t)(a->first[row] + j) * a->kv_heads + group) * a->dim;
        double score = 0;
        for (uint32_t i = 0; i < a->dim; i++) score += q[i] * k[i];
        p[j - *begin] = score * a->scale;
    }
    double lse = ref_lse(p, count - *begin);
    for (uint32_t j = *begin; j < count; j++) p[j - *begin] = exp(p[j - *begin] - lse);
    return lse;
}

void ref_attention(const struct ref_attention *a, double *o, double *lse)
{
    for (uint32_t row = 0; row < a->rows; row++)
        for (uint32_t head = 0; head < a->heads; head++) {
            uint32_t begin, group = head / (a->heads / a->kv_heads);
            uint64_t at = (uint64_t)row * a->heads + head;
            double *p = ref_zeros(a->count[row]);
            lse[at] = probabilities(a, row, head, &begin, p);
            for (uint32_t i = 0; i < a->dim; i++) {
                double sum = 0;
                for (uint32_t j = begin; j < a->count[row]; j++)
                    sum += p[j - begin] *
                           a->v[((uint64_t)(a->first[row] + j) * a->kv_heads + group) * a->dim + i];
                o[at * a->dim + i] = sum;
            }
            free(p);
        }
}

void ref_attention_back(const struct ref_attention *a, const double *dy, double *dq, double *dk,
                        double *dv)
{
    for (uint32_t row = 0; row < a->rows; row++)
        for (uint32_t head = 0; head < a->heads; head++) {
            uint32_t begin, group = head / (a->heads / a->kv_heads), count = a->count[row];
            uint64_t at = ((uint64_t)row * a->heads + head) * a->dim;
            double *p = ref_zeros(count), *dp = ref_zeros(count), mean = 0;
            probabilities(a, row, head, &begin, p);
            for (uint32_t i = 0; i < a->dim; i++) dq[at + i] = 0;
            for (uint32_t j = begin; j < count; j++) {
                uint64_t key = ((uint64_t)(a->first[row] + j) * a->kv_heads + group) * a->dim;
                for (uint32_t i = 0; i < a->dim; i++) {
                    dp[j] += dy[at + i] * a->v[key + i];
                    dv[key + i] += p[j - begin] * dy[at + i];
                }
                mean += p[j - begin] * dp[j];
            }
            for (uint32_t j = begin; j < count; j++) {
                uint64_t key = ((uint64_t)(a->first[row] + j) * a->kv_heads + group) * a->dim;
                double ds = a->scale * p[j - begin] * (dp[j] - mean);
                for (uint32_t i = 0; i < a->dim; i++) {
                    dq[at + i] += ds * a->k[key + i];
                    dk[key + i] += ds * a->q[at + i];
                }
            }
            free(p);
            free(dp);
        }
}

double ref_lse(const double *x, uint32_t cols)
{
    double top = x[0], sum = 0;
    for (uint32_t i = 1; i < cols; i++) top = fmax(top, x[i]);
    for (uint32_t i = 0; i < cols; i++) sum += exp(x[i] - top);
    return top + log(sum);
}

double ref_cross_entropy(const double *logits, uint32_t cols, uint32_t target)
{
    return ref_lse(logits, cols) - logits[target];
}

void ref_cross_entropy_back(const double *logits, uint32_t cols, uint32_t target, double weight,
                            double *grad)
{
    double lse = ref_lse(logits, cols);
    for (uint32_t i = 0; i < cols; i++)
        grad[i] = weight * (exp(logits[i] - lse) - (i == target));
}

double ref_kl(const double *logits, const double *base, uint32_t cols)
{
    double p_lse = ref_lse(logits, cols), q_lse = ref_lse(base, cols), sum = 0;
    for (uint32_t i = 0; i < cols; i++)
        sum += exp(logits[i] - p_lse) * (logits[i] - p_lse - base[i] + q_lse);
    return sum;
}

void ref_kl_back(const double *logits, const double *base, uint32_t cols, double weight,
                 double *grad)
{
    double p_lse = ref_lse(logits, cols), q_lse = ref_lse(base, cols);
    double kl = ref_kl(logits, base, cols);
    for (uint32_t i = 0; i < cols; i++)
        grad[i] = weight * exp(logits[i] - p_lse) * (logits[i] - p_lse - base[i] + q_lse - kl);
}

void ref_top_k(const float *x, uint32_t cols, uint32_t k, uint32_t *ids)
{
    for (uint32_t n = 0; n < k; n++) {
        uint32_t best = UINT32_MAX;
        for (uint32_t i = 0; i < cols; i++) {
            bool taken = false;
            for (uint32_t j = 0; j < n; j++) taken |= ids[j] == i;
            if (!taken && (best == UINT32_MAX || x[i] > x[best])) best = i;
        }
        ids[n] = best;
    }
}

static double dot(const double *x, const double *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

double ref_cosine(const double *basis, uint32_t rows, const double *delta, uint32_t dim, int mode,
                  double weight, double *grad)
{
    double length = sqrt(dot(delta, delta, dim)), sum = 0;
    for (uint32_t r = 0; r < rows && length > 0; r++) {
        const double *b = basis + (uint64_t)r * dim;
        double norm = sqrt(dot(b, b, dim));
        if (norm <= 1e-6) continue;
        double c = dot(b, delta, dim) / (norm * length);
        double slope = mode == 0 ? 2 * c : mode == 1 ? (c < 0 ? -1 : 1) : 1;
        sum += mode == 0 ? c * c : mode == 1 ? fabs(c) : c;
        for (uint32_t i = 0; i < dim; i++) // d cos / d delta
            grad[i] += weight / rows * slope *
                       (b[i] / (norm * length) - c * delta[i] / (length * length));
    }
    return rows ? weight * sum / rows : 0;
}

void ref_adam(struct ref_adam *adam, double *x, const double *grad)
{
    adam->step++;
    double near = 1 - pow(0.9, adam->step), far = 1 - pow(0.999, adam->step);
    for (uint32_t i = 0; i < adam->n; i++) {
        adam->m[i] = 0.9 * adam->m[i] + 0.1 * grad[i];
        adam->v[i] = 0.999 * adam->v[i] + 0.001 * grad[i] * grad[i];
        x[i] -= adam->rate * (adam->m[i] / near) / (sqrt(adam->v[i] / far) + 1e-8);
    }
    double length = sqrt(dot(x, x, adam->n));
    for (uint32_t i = 0; i < adam->n && length > adam->clamp; i++) x[i] *= adam->clamp / length;
}
