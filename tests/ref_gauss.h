// Gauss-Newton: the convex model of a step in double precision with its minimum in all n unknowns,
// and a run of the two operators on a rig.
#pragma once
#include "ref_rig.h"
#include "state.def"

struct ref_gauss {
    uint32_t n, groups;
    const double *a, *t, *w; // dt/d delta [groups + 4, n], t [groups + 4], w [groups]
    const double *x;         // [n]
};

// sum_g w_g log(1 + e^(t_g + a_g s)) + sum_i (t_i + a_i s)^2 / 2
double ref_gauss_model(const struct ref_gauss *g, const double *s);
// That, and mu (1 - theta) / 2 |s|^2 + mu theta / 2 |x + s|^2.
double ref_gauss_objective(const struct ref_gauss *g, double mu, double theta, const double *s);
void ref_gauss_least(const struct ref_gauss *g, double mu, double theta, double *s);
// log(e^nll - 1)
double ref_gauss_term(double nll);
// The least model with |s| <= radius, |x + s| <= clamp: over theta, of the least mu that keeps
// both.
double ref_gauss_bounded(const struct ref_gauss *g, double radius, double clamp);
double ref_gauss_length(const double *x, const double *y, uint32_t n); // |x + y|

// One optimisation: what goes from step to step, and what a look at the loss gives.
struct run {
    uint32_t n, prompts, tokens, groups, rows, steps;
    float clamp, radius, stop, decay, kl_factor, low[2];
    float *delta, *lines, *terms, state[STATE_SIZE]; // lines: the operator's rows [rows + 1, n]
    float *loss, *grads, *pulls;
    uint32_t *index;
};

struct addresses {
    fbuf delta, lines, terms, state;
};

struct run run_new(uint32_t n, uint32_t prompts, uint32_t tokens);
void run_free(struct run *run);
// Records a look, and the step behind it with its Gram matrix; takes over what they left.
struct addresses run_look(struct rig *rig, const struct run *run);
void run_step(struct rig *rig, const struct run *run, const struct addresses *to, float goal);
void run_fetch(struct rig *rig, struct run *run, const struct addresses *from);
