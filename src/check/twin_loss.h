// Losses over rows of logits, and the optimisation of the value.
#pragma once
#include "check/twin_real.h"
#include "state.def"

static real row_lse(const real *x, uint32_t cols)
{
    real top = R(-3.0e38), part[LOCAL] = {0};
    for (uint32_t i = 0; i < cols; i++) top = larger(top, x[i]);
    for (uint32_t i = 0; i < cols; i++) part[i % LOCAL] += power(x[i] - top);
    return top + logarithm(group_sum(part));
}

TWIN(cross_entropy)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        const real *logits = reals(a->logits) + (uint64_t)r * a->cols;
        real lse = row_lse(logits, a->cols);
        reals(a->lse)[r] = lse;
        reals(a->loss)[r] = lse - logits[words(a->target)[r]];
    }
}

TWIN(cross_entropy_back)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        real *logits = reals(a->logits) + (uint64_t)r * a->cols;
        real lse = reals(a->lse)[r], weight = reals(a->weight)[r];
        for (uint32_t i = 0; i < a->cols; i++) {
            real p = power(logits[i] - lse), wanted = i == words(a->target)[r] ? 1 : 0;
            logits[i] = calm(weight * (p - wanted));
        }
    }
}

TWIN(kl)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        const real *logits = reals(a->logits) + (uint64_t)r * a->cols;
        const real *base = reals(a->base) + (uint64_t)r * a->cols;
        real *lse = reals(a->lse) + 2 * (uint64_t)r, part[LOCAL] = {0};
        lse[0] = row_lse(logits, a->cols);
        lse[1] = row_lse(base, a->cols);
        for (uint32_t i = 0; i < a->cols; i++) {
            real p = logits[i] - lse[0], q = base[i] - lse[1];
            part[i % LOCAL] += power(p) * (p - q);
        }
        reals(a->loss)[r] = group_sum(part);
    }
}

TWIN(kl_back)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        real *logits = reals(a->logits) + (uint64_t)r * a->cols;
        const real *base = reals(a->base) + (uint64_t)r * a->cols;
        const real *lse = reals(a->lse) + 2 * (uint64_t)r, loss = reals(a->loss)[r];
        for (uint32_t i = 0; i < a->cols; i++) {
            real p = logits[i] - lse[0], q = base[i] - lse[1];
            logits[i] = calm((real)a->weight * power(p) * (p - q - loss));
        }
    }
}

static bool is_before(real x, uint32_t i, real y, uint32_t j)
{
    return x > y || (x == y && i < j);
}

TWIN(top_k)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        const real *x = reals(a->x) + (uint64_t)r * a->cols;
        real *values = reals(a->values) + (uint64_t)r * a->k;
        uint32_t *ids = words(a->ids) + (uint64_t)r * a->k;
        for (uint32_t pass = a->first; pass < a->first + a->passes; pass++) {
            real best = R(-3.4e38);
            uint32_t id = UINT32_MAX;
            for (uint32_t i = 0; i < a->cols; i++) {
                bool fresh = pass == 0 || is_before(values[pass - 1], ids[pass - 1], x[i], i);
                if (!fresh || !is_before(x[i], i, best, id)) continue;
                best = x[i];
                id = i;
            }
            values[pass] = best;
            ids[pass] = id;
        }
    }
}

TWIN(cosine)
{
    const real length2 = reals(a->state)[STATE_LENGTH2], n = count_of(a->rows);
    real f[LOCAL] = {0}, along[LOCAL] = {0}, *out = reals(a->state) + a->out_;
    for (uint32_t i = 0; i < a->rows; i++) {
        real norm2 = reals(a->norms)[i], coef = 0;
        if (norm2 > R(1e-12) && length2 > 0) {
            real over = quotient(1, root(norm2 * length2)), c = reals(a->dots)[i] * over;
            real slope = a->mode == 0 ? 2 * c : a->mode == 1 && c < 0 ? -1 : 1;
            f[i % LOCAL] += a->mode == 0 ? c * c : a->mode == 1 ? size_of(c) : c;
            along[i % LOCAL] += slope * c;
            coef = quotient((real)a->weight * slope * over, n);
        }
        reals(a->coef)[i] = calm(coef);
    }
    out[0] = quotient((real)a->weight * group_sum(f), n);
    out[1] = length2 > 0 ? quotient(-(real)a->weight * group_sum(along), n * length2) : 0;
}

TWIN(keep_first)
{
    if (reals(a->state)[STATE_STEP] != 0) return;
    for (uint32_t i = 0; i < a->n; i++) reals(a->y)[i] = reals(a->x)[i];
}

// Small gradients and their squares fall under the normal range: zero everywhere, then.
static real normal(real x)
{
    return size_of(x) < R(1.17549435e-38) ? 0 : x;
}

// A step of Adam along the gradient; returns |delta|^2 before the clamp.
static real adam_step(const struct adam_args *a, real along, real near, real far)
{
    real *delta = reals(a->delta), *m = reals(a->m), *v = reals(a->v), square[LOCAL] = {0};
    for (uint32_t i = 0; i < a->n; i++) {
        real g = reals(a->grad)[i] + along * delta[i];
        m[i] = normal(normal(R(0.9) * m[i]) + normal(R(0.1) * g));
        v[i] = normal(normal(R(0.999) * v[i]) + normal(R(0.001) * g * g));
        delta[i] -= quotient((real)a->rate * quotient(m[i], near),
                             root(quotient(v[i], far)) + R(1e-8));
        square[i % LOCAL] += delta[i] * delta[i];
    }
    return group_sum(square);
}

TWIN(adam_weights)
{
    const real limit = (real)a->limit;
    for (uint32_t i = 0; i < a->n; i++) {
        real g = reals(a->grad)[i], *m = reals(a->m) + i, *v = reals(a->v) + i;
        *m = normal(normal(R(0.9) * *m) + normal(R(0.1) * g));
        *v = normal(normal(R(0.999) * *v) + normal(R(0.001) * g * g));
        real x = reals(a->x)[i] - quotient((real)a->rate * quotient(*m, (real)a->near_),
                                           root(quotient(*v, (real)a->far_)) + R(1e-8));
        reals(a->x)[i] = calm(smaller(larger(x, -limit), limit));
    }
}

TWIN(running_stats)
{
    const real n = count_of(a->rows), share = quotient(n, (real)a->before + n);
    for (uint32_t col = 0; col < a->cols; col++) {
        real sum = 0, squares = 0, *mean = reals(a->mean) + col, *spread = reals(a->spread) + col;
        for (uint32_t r = 0; r < a->rows; r++) sum += reals(a->x)[(uint64_t)r * a->cols + col];
        const real own = quotient(sum, n);
        for (uint32_t r = 0; r < a->rows; r++) {
            real d = reals(a->x)[(uint64_t)r * a->cols + col] - own;
            squares += d * d;
        }
        const real apart = own - *mean;
        *mean = calm(*mean + share * apart);
        *spread = calm(*spread + squares + (real)a->before * share * (apart * apart));
    }
}

TWIN(normalise_rows)
{
    for (uint64_t i = 0; i < (uint64_t)a->rows * a->cols; i++) {
        const uint64_t row = i / a->cols, col = i % a->cols;
        real deviation = root(quotient(reals(a->spread)[col], (real)a->over) + (real)a->least);
        real y = quotient(reals(a->x)[i] - reals(a->mean)[col], deviation + (real)a->least);
        if (a->alpha != 0) y *= (real)a->alpha * reals(a->factor)[row];
        reals(a->y)[i] = calm(y);
    }
}

TWIN(adam)
{
    real *state = reals(a->state);
    const real *loss = reals(a->loss);
    real nll = quotient(sum_by_group(loss, a->losses), count_of(a->losses));
    real kl = (real)a->kl_factor * loss[a->losses], len = root(state[STATE_LENGTH2]);
    real decay = (real)a->decay * len, step = state[STATE_STEP] + 1;
    real total = nll + kl + decay + state[STATE_F1] + state[STATE_F2];
    real along = state[STATE_F1 + 1] + state[STATE_F2 + 1] +
                 (len > 0 ? quotient((real)a->decay, len) : 0);
    real near = R(0.9) * state[STATE_NEAR] + R(0.1), far = R(0.999) * state[STATE_FAR] + R(0.001);
    bool stop = total < (real)a->stop || step >= count_of(a->steps) || state[STATE_STOPPED] != 0;
    state[STATE_STEP] = state[STATE_CHOSEN] = step;
    state[STATE_STOPPED] = stop;
    state[STATE_TOTAL] = total;
    state[STATE_NLL] = nll;
    state[STATE_KL] = kl;
    state[STATE_DECAY] = decay;
    state[STATE_NEAR] = near;
    state[STATE_FAR] = far;
    if (stop) return;
    real square = adam_step(a, along, near, far), clamp = (real)a->clamp;
    real shrink = root(square) > clamp ? quotient(clamp, root(square)) : 1;
    for (uint32_t i = 0; i < a->n; i++) reals(a->delta)[i] *= shrink;
    state[STATE_LENGTH2] = square * shrink * shrink;
}
