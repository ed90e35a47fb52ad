#include "ref_answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

void ref_answer_of(struct ref_answer *a, const struct ref_model *model, uint32_t layer,
                   const struct ref_prompt *p, const uint32_t *target, uint32_t target_count)
{
    const struct config *c = &model->config;
    struct ref_pass pass;
    double *logits = ref_zeros(c->vocab), *slope = ref_zeros(c->vocab);
    double *stream = ref_zeros((uint64_t)p->count * c->dim);
    ref_forward(&pass, model, p->tokens, p->count, 0, 0, NULL);
    *a = (struct ref_answer){.rows = target_count, .positions = p->count,
                             .keys = ref_zeros((uint64_t)target_count * c->ffn),
                             .grads = ref_zeros((uint64_t)target_count * c->dim),
                             .all_keys = ref_zeros((uint64_t)p->count * c->ffn)};
    for (uint32_t k = 0; k < target_count; k++) {
        ref_logits(&pass, p->given - 1 + k, logits);
        a->loss += ref_cross_entropy(logits, c->vocab, target[k]) / target_count;
        memset(slope, 0, c->vocab * sizeof *slope);
        ref_cross_entropy_back(logits, c->vocab, target[k], 1.0 / target_count, slope);
        ref_logits_back(&pass, p->given - 1 + k, slope, stream);
    }
    ref_backward(&pass, layer + 1, stream);
    memcpy(a->all_keys, pass.acts[layer].key, (uint64_t)p->count * c->ffn * sizeof *a->all_keys);
    for (uint32_t k = 0; k < target_count; k++) {
        const uint64_t at = p->given - 1 + k;
        memcpy(a->keys + k * c->ffn, a->all_keys + at * c->ffn, c->ffn * sizeof *a->keys);
        memcpy(a->grads + k * c->dim, stream + at * c->dim, c->dim * sizeof *a->grads);
    }
    a->all_grads = stream;
    ref_pass_free(&pass);
    free(logits);
    free(slope);
}

void ref_answer_free(struct ref_answer *a)
{
    free(a->keys);
    free(a->grads);
    free(a->all_keys);
    free(a->all_grads);
    *a = (struct ref_answer){0};
}

uint32_t ref_tune(struct ref_model *model, uint32_t layer, const struct ref_prompt *p,
                  const uint32_t *target, uint32_t target_count, double rate, double stop,
                  double limit, uint32_t steps, double *dw, double *losses)
{
    const uint32_t dim = model->config.dim, ffn = model->config.ffn, n = dim * ffn;
    double *w = model->layers[layer].down, *first = ref_zeros(n), *grad = ref_zeros(n);
    double *m = ref_zeros(n), *v = ref_zeros(n);
    struct ref_adam adam = {n, 0, rate, INFINITY, m, v};
    uint32_t looks = 0;
    memcpy(first, w, n * sizeof *w);
    for (;;) {
        struct ref_answer a;
        ref_answer_of(&a, model, layer, p, target, target_count);
        losses[looks++] = a.loss;
        memset(grad, 0, n * sizeof *grad);
        for (uint32_t t = 0; t < a.positions; t++)
            for (uint32_t i = 0; i < n; i++)
                grad[i] += a.all_grads[t * dim + i / ffn] * a.all_keys[t * ffn + i % ffn];
        ref_answer_free(&a);
        if (losses[looks - 1] < stop || looks > steps) break;
        ref_adam(&adam, w, grad);
        for (uint32_t i = 0; i < n && limit > 0; i++)
            w[i] = fmin(fmax(w[i], first[i] - limit), first[i] + limit);
    }
    for (uint32_t i = 0; i < n; i++) dw[i] = w[i] - first[i];
    memcpy(w, first, n * sizeof *w);
    double *mine[] = {first, grad, m, v};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++) free(mine[i]);
    return looks;
}

// Mean and deviation of a column over all rows (two passes), then row r's place in it.
static double normalised(const double *x, uint32_t rows, uint32_t cols, uint32_t col, uint32_t r)
{
    const double least = 0x1p-23;
    double mean = 0, square = 0;
    for (uint32_t i = 0; i < rows; i++) mean += x[i * cols + col] / rows;
    for (uint32_t i = 0; i < rows; i++) square += pow(x[i * cols + col] - mean, 2);
    double deviation = sqrt(square / (rows > 1 ? rows - 1 : 1) + least);
    return (x[r * cols + col] - mean) / (deviation + least);
}

// X of A X = B by Gauss's elimination with pivots.  a: [n, n]  b, x: [n, cols]; both are used up
static void solve(double *a, double *b, uint32_t n, uint32_t cols)
{
    for (uint32_t k = 0; k < n; k++) {
        uint32_t best = k;
        for (uint32_t i = k; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k])) best = i;
        for (uint32_t j = 0; j < n; j++) {
            double t = a[k * n + j];
            a[k * n + j] = a[best * n + j];
            a[best * n + j] = t;
        }
        for (uint32_t j = 0; j < cols; j++) {
            double t = b[k * cols + j];
            b[k * cols + j] = b[best * cols + j];
            b[best * cols + j] = t;
        }
        for (uint32_t i = 0; i < n; i++) {
            double f = i == k ? 0 : a[i * n + k] / a[k * n + k];
            for (uint32_t j = 0; j < n; j++) a[i * n + j] -= f * a[k * n + j];
            for (uint32_t j = 0; j < cols; j++) b[i * cols + j] -= f * b[k * cols + j];
        }
    }
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < cols; j++) b[i * cols + j] /= a[i * n + i];
}

void ref_ultra(struct ref_running *running, const struct ref_answer *a, double rate, double *dw,
               uint32_t dim, uint32_t ffn)
{
    const uint32_t before = running->rows, all = before + a->rows;
    double *keys = ref_zeros((uint64_t)all * ffn), *grads = ref_zeros((uint64_t)all * dim);
    memcpy(keys, running->keys ? running->keys : keys, (uint64_t)before * ffn * sizeof *keys);
    memcpy(grads, running->grads ? running->grads : grads, (uint64_t)before * dim * sizeof *grads);
    memcpy(keys + (uint64_t)before * ffn, a->keys, (uint64_t)a->rows * ffn * sizeof *keys);
    memcpy(grads + (uint64_t)before * dim, a->grads, (uint64_t)a->rows * dim * sizeof *grads);
    free(running->keys);
    free(running->grads);
    *running = (struct ref_running){.keys = keys, .grads = grads, .rows = all};
    double *matrix = ref_zeros((uint64_t)ffn * ffn), *right = ref_zeros((uint64_t)ffn * dim);
    for (uint32_t i = 0; i < ffn; i++) matrix[i * ffn + i] = 1;
    for (uint32_t r = 0; r < a->rows; r++) {
        double length2 = 0;
        for (uint32_t c = 0; c < ffn; c++)
            length2 += pow(normalised(keys, all, ffn, c, before + r), 2);
        for (uint32_t i = 0; i < ffn; i++)
            for (uint32_t j = 0; j < ffn; j++)
                matrix[i * ffn + j] += a->keys[r * ffn + i] * a->keys[r * ffn + j];
        for (uint32_t j = 0; j < dim; j++) {
            double value = -rate * length2 * normalised(grads, all, dim, j, before + r);
            for (uint32_t i = 0; i < ffn; i++) right[i * dim + j] += a->keys[r * ffn + i] * value;
        }
    }
    solve(matrix, right, ffn, dim);
    for (uint32_t i = 0; i < dim * ffn; i++) dw[i] = right[i % ffn * dim + i / ffn];
    free(matrix);
    free(right);
}
