#include "ref_gauss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"

static double dot(const double *x, const double *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

double ref_gauss_term(double nll)
{
    return nll + log(-expm1(-nll));
}

double ref_gauss_model(const struct ref_gauss *g, const double *s)
{
    double sum = 0;
    for (uint32_t r = 0; r < g->groups + GAUSS_TERMS; r++) {
        double t = g->t[r] + dot(g->a + (uint64_t)r * g->n, s, g->n);
        sum += r < g->groups ? g->w[r] * (fmax(t, 0) + log1p(exp(-fabs(t)))) : t * t / 2;
    }
    return sum;
}

double ref_gauss_objective(const struct ref_gauss *g, double mu, double theta, const double *s)
{
    double sum = ref_gauss_model(g, s);
    for (uint32_t i = 0; i < g->n; i++)
        sum += mu / 2 * ((1 - theta) * s[i] * s[i] + theta * (g->x[i] + s[i]) * (g->x[i] + s[i]));
    return sum;
}

// Gradient and Hessian of the objective.
static void derivatives(const struct ref_gauss *g, double mu, double theta, const double *s,
                        double *grad, double *hess)
{
    uint32_t n = g->n;
    memset(hess, 0, (uint64_t)n * n * sizeof *hess);
    for (uint32_t i = 0; i < n; i++) grad[i] = mu * (s[i] + theta * g->x[i]);
    for (uint32_t i = 0; i < n; i++) hess[i * n + i] = mu;
    for (uint32_t r = 0; r < g->groups + GAUSS_TERMS; r++) {
        const double *row = g->a + (uint64_t)r * n;
        double t = g->t[r] + dot(row, s, n), p = 1 / (1 + exp(-t));
        double first = r < g->groups ? g->w[r] * p : t;
        double second = r < g->groups ? g->w[r] * p * (1 - p) : 1;
        for (uint32_t i = 0; i < n; i++) {
            grad[i] += first * row[i];
            for (uint32_t j = 0; j < n; j++) hess[i * n + j] += second * row[i] * row[j];
        }
    }
}

// b <- h^-1 b for positive definite h.
static void solve(double *h, double *b, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        for (uint32_t i = k + 1; i < n; i++) {
            double factor = h[i * n + k] / h[k * n + k];
            for (uint32_t j = k; j < n; j++) h[i * n + j] -= factor * h[k * n + j];
            b[i] -= factor * b[k];
        }
    for (uint32_t k = n; k-- > 0;) {
        for (uint32_t j = k + 1; j < n; j++) b[k] -= h[k * n + j] * b[j];
        b[k] /= h[k * n + k];
    }
}

void ref_gauss_least(const struct ref_gauss *g, double mu, double theta, double *s)
{
    uint32_t n = g->n;
    double *grad = ref_zeros(n), *hess = ref_zeros((uint64_t)n * n), *next = ref_zeros(n);
    memset(s, 0, n * sizeof *s);
    double value = ref_gauss_objective(g, mu, theta, s), gain = 1;
    for (int pass = 0; pass < 500 && gain > 1e-15 * value; pass++) {
        derivatives(g, mu, theta, s, grad, hess);
        solve(hess, grad, n);
        double there = INFINITY, part = 1;
        for (; !(there <= value) && part > 1e-9; part /= 2) {
            for (uint32_t i = 0; i < n; i++) next[i] = s[i] - part * grad[i];
            there = ref_gauss_objective(g, mu, theta, next);
        }
        gain = value - there;
        if (!(gain >= 0)) break;
        value = there;
        memcpy(s, next, n * sizeof *s);
    }
    free(grad);
    free(hess);
    free(next);
}

double ref_gauss_length(const double *x, const double *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (x[i] + y[i]) * (x[i] + y[i]);
    return sqrt(sum);
}

double ref_gauss_bounded(const struct ref_gauss *g, double radius, double clamp)
{
    double *none = ref_zeros(g->n), *s = ref_zeros(g->n), best = ref_gauss_model(g, none);
    for (int i = 0; i <= 100; i++) {
        double low = 1e-9, high = 1e9;
        while (high > low * 1.001) {
            double mu = sqrt(low * high);
            ref_gauss_least(g, mu, i / 100.0, s);
            bool fits = ref_gauss_length(s, none, g->n) <= radius &&
                        ref_gauss_length(s, g->x, g->n) <= clamp;
            if (fits) best = fmin(best, ref_gauss_model(g, s));
            *(fits ? &high : &low) = mu;
        }
    }
    free(none);
    free(s);
    return best;
}

struct run run_new(uint32_t n, uint32_t prompts, uint32_t tokens)
{
    struct run r = {.n = n, .prompts = prompts, .tokens = tokens, .steps = 25, .clamp = 10,
                    .radius = 4, .kl_factor = 0.5f};
    r.groups = prompts - 1 < GAUSS_GROUPS ? prompts - 1 : GAUSS_GROUPS;
    r.rows = r.groups + GAUSS_TERMS;
    r.delta = rig_memory(n, sizeof(float));
    r.lines = rig_memory((uint64_t)(r.rows + 1) * n, sizeof(float));
    r.terms = rig_memory(r.rows, sizeof(float));
    r.loss = rig_memory((prompts - 1) * tokens + 1, sizeof(float));
    // Every other row is another position's.
    r.grads = rig_memory(2ull * prompts * n, sizeof(float));
    r.pulls = rig_memory(2ull * n, sizeof(float));
    r.index = rig_memory(prompts, sizeof *r.index);
    for (uint32_t j = 0; j < prompts; j++) r.index[j] = 2 * j;
    return r;
}

void run_free(struct run *r)
{
    void *mine[] = {r->delta, r->lines, r->terms, r->loss, r->grads, r->pulls, r->index};
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++) free(mine[i]);
}

struct addresses run_look(struct rig *rig, const struct run *r)
{
    struct addresses to = {rig_change(rig, r->delta, r->n),
                           rig_change(rig, r->lines, (uint64_t)(r->rows + 1) * r->n),
                           rig_change(rig, r->terms, r->rows),
                           rig_change(rig, r->state, STATE_SIZE)};
    op_gauss_look(&rig->cmd,
                  (struct gauss_look_args){
                      rig_in(rig, r->grads, 2ull * r->prompts * r->n),
                      rig_in(rig, r->index, r->prompts),
                      rig_in(rig, r->loss, (r->prompts - 1) * r->tokens + 1),
                      rig_in(rig, r->pulls, 2ull * r->n), to.delta, to.lines, to.terms, to.state,
                      r->n, r->prompts, r->tokens, r->groups, r->steps, r->kl_factor, r->decay,
                      r->stop, r->clamp, r->radius, r->low[0], r->low[1]});
    return to;
}

void run_step(struct rig *rig, const struct run *r, const struct addresses *to,
                        float goal)
{
    uint32_t side = r->rows + 1;
    fbuf gram = rig_out(rig, (uint64_t)side * side);
    struct matrix lines = matrix_of(to->lines, side, r->n);
    gemm_nt(&rig->cmd, lines, lines, matrix_of(gram, side, side), 1, 0);
    op_gauss_step(&rig->cmd, (struct gauss_step_args){gram, to->terms, to->lines, to->delta,
                                                      to->state, r->n, r->groups, r->prompts,
                                                      goal, r->clamp});
}

void run_fetch(struct rig *rig, struct run *r, const struct addresses *from)
{
    memcpy(r->delta, rig_floats(rig, from->delta), r->n * sizeof(float));
    memcpy(r->lines, rig_floats(rig, from->lines), (r->rows + 1) * r->n * sizeof(float));
    memcpy(r->terms, rig_floats(rig, from->terms), r->rows * sizeof(float));
    memcpy(r->state, rig_floats(rig, from->state), sizeof r->state);
}
