// Gauss-Newton: gauss_look.comp and gauss_step.comp, where the method is told.
#pragma once
#include "check/twin_real.h"
#include "state.def"

// ---- gauss_look ----

// 1 - e^-x, of full precision for small x, too.
static real rise(real x)
{
    const real sixth = R(1.0) / R(6.0);
    return x < R(0.01) ? x * (1 - x * (R(0.5) - x * sixth)) : 1 - power(-x);
}

static real grad_at(const struct gauss_look_args *a, uint32_t prompt, uint32_t i)
{
    return reals(a->grads)[(uint64_t)words(a->index)[prompt] * a->n + i];
}

static uint32_t members_of(const struct gauss_look_args *a, uint32_t group)
{
    return (a->prompts - 2 - group) / a->groups + 1;
}

static real group_nll(const struct gauss_look_args *a, uint32_t group)
{
    real sum = 0;
    for (uint32_t j = group; j < a->prompts - 1; j += a->groups)
        for (uint32_t k = 0; k < a->tokens; k++) sum += reals(a->loss)[j * a->tokens + k];
    return quotient(sum, count_of(members_of(a, group)) * count_of(a->tokens));
}

// Term and scale of the row of f, whose gradient is to be divided by its own term.
static void put_term(const struct gauss_look_args *a, real *scale, uint32_t row, real f, real low,
                     real slope)
{
    real t = root(larger(2 * (f - low), 0));
    bool there = t > R(5e-4);
    reals(a->terms)[row] = there ? t : 0;
    scale[row] = there ? quotient(slope, t) : 0;
}

static void linearise(const struct gauss_look_args *a, real kl, real len)
{
    const real *state = reals(a->state), *pulls = reals(a->pulls), decay = (real)a->decay;
    const uint32_t targets = a->prompts - 1, n = a->n, last = a->groups;
    real scale[GAUSS_MOST], *rows = reals(a->rows);
    for (uint32_t g = 0; g < a->groups; g++) {
        real nll = larger(group_nll(a, g), R(1e-6)), gain = rise(nll);
        reals(a->terms)[g] = nll + logarithm(gain);
        scale[g] = quotient(count_of(targets), count_of(members_of(a, g)) * gain);
    }
    put_term(a, scale, last, kl, 0, 1);
    put_term(a, scale, last + 1, decay * len, 0, len > 0 ? quotient(decay, len) : 0);
    put_term(a, scale, last + 2, state[STATE_F1], (real)a->low1, 1);
    put_term(a, scale, last + 3, state[STATE_F2], (real)a->low2, 1);
    for (uint32_t i = 0; i < n; i++) {
        real x = reals(a->delta)[i], *tail = rows + (uint64_t)last * n + i;
        for (uint32_t g = 0; g < a->groups; g++) {
            real sum = 0;
            for (uint32_t j = g; j < targets; j += a->groups) sum += grad_at(a, j, i);
            rows[(uint64_t)g * n + i] = sum * scale[g];
        }
        tail[0] = grad_at(a, targets, i) * scale[last];
        tail[n] = x * scale[last + 1];
        tail[2 * n] = (pulls[i] + state[STATE_F1 + 1] * x) * scale[last + 2];
        tail[3 * n] = (pulls[n + i] + state[STATE_F2 + 1] * x) * scale[last + 3];
        tail[4 * n] = x;
    }
}

static bool is_finite(const struct gauss_look_args *a, real total)
{
    const real *pulls = reals(a->pulls);
    real squares[4][LOCAL] = {{0}}, part[LOCAL]; // a thread looks at four columns at a time
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < a->prompts; j++)
            squares[i / LOCAL % 4][i % LOCAL] += grad_at(a, j, i) * grad_at(a, j, i);
    for (int t = 0; t < LOCAL; t++)
        part[t] = squares[0][t] + squares[1][t] + squares[2][t] + squares[3][t];
    for (uint32_t i = 0; i < a->n; i++)
        part[i % LOCAL] += pulls[i] * pulls[i] + pulls[a->n + i] * pulls[a->n + i];
    return group_sum(part) < R(3.4e38) && size_of(total) < R(3.4e38);
}

static real radius_next(const struct gauss_look_args *a, real gain, real promised, bool usable)
{
    real radius = reals(a->state)[STATE_RADIUS], move = reals(a->state)[STATE_MOVE];
    if (!usable) return R(0.35) * move;
    if (!(gain >= R(0.1) * promised)) return (gain > 0 ? R(0.5) : R(0.35)) * move;
    return gain > R(0.7) * promised && move > R(0.9) * radius
               ? smaller(2 * radius, (real)a->clamp) : radius;
}

// delta <- the best one so far; returns its |delta|^2.
static real restore(const struct gauss_look_args *a)
{
    const real *best = reals(a->rows) + (uint64_t)(a->groups + GAUSS_TERMS) * a->n;
    memcpy(reals(a->delta), best, a->n * sizeof *best);
    return dot_by_group(best, best, a->n);
}

TWIN(gauss_look)
{
    real *state = reals(a->state);
    const real *loss = reals(a->loss);
    const uint32_t losses = (a->prompts - 1) * a->tokens;
    if (state[STATE_STOPPED] != 0) return;
    real nll = quotient(sum_by_group(loss, losses), count_of(losses));
    real len = root(state[STATE_LENGTH2]), before = state[STATE_BEST];
    real kl = (real)a->kl_factor * loss[losses], decay = (real)a->decay * len;
    real penalties = state[STATE_F1] + state[STATE_F2], total = nll + kl + decay + penalties;
    real step = state[STATE_STEP] + 1, radius = smaller((real)a->radius, (real)a->clamp);
    real gain = before - total + (state[STATE_CHOSEN] == 1 ? penalties : 0);
    bool first = step == 1, usable = is_finite(a, total), better = usable && (first || gain > 0);
    if (!first) radius = radius_next(a, gain, before - state[STATE_MODEL], usable);
    bool stop = (better && total < (real)a->stop) || step >= count_of(a->steps) ||
                (first && !usable);
    if (better) linearise(a, kl, len);
    if (stop && !better && !first) state[STATE_LENGTH2] = restore(a);
    state[STATE_STEP] = step;
    state[STATE_STOPPED] = stop;
    state[STATE_TOTAL] = total;
    state[STATE_NLL] = nll;
    state[STATE_KL] = kl;
    state[STATE_DECAY] = decay;
    state[STATE_RADIUS] = radius;
    if (better || first) state[STATE_CHOSEN] = step;
    if (better) state[STATE_BEST] = total;
}

// ---- gauss_step ----
enum { PASSES = 20, HALVES = 5, DAMPINGS = 40, CENTRES = 7, TURNS = 56000 };

struct point { // y, K y = A (s + theta x); then sums over the rows: m, y K y, y A x, m at y = 0
    real y[GAUSS_MOST], move[GAUSS_MOST], model, own, cross, still;
};

struct convex { // the model m of gauss_step.comp: w_g, and A x and t - theta A x of each row
    const struct gauss_step_args *a;
    uint32_t rows, left; // evaluations left
    real weight[GAUSS_MOST], along[GAUSS_MOST], first[GAUSS_MOST], term[GAUSS_MOST];
};

static real gram_at(const struct convex *c, uint32_t i, uint32_t j)
{
    return reals(c->a->gram)[i * (c->rows + 1) + j];
}

// Row i's share of m.
static real share_of(const struct convex *c, uint32_t i, real t)
{
    if (i >= c->a->groups) return R(0.5) * t * t;
    real e = power(-size_of(t));
    return c->weight[i] * (larger(t, 0) + (e < R(1e-3) ? e - R(0.5) * e * e : logarithm(1 + e)));
}

static real slope_of(const struct convex *c, uint32_t i, real t, real *curve)
{
    *curve = 1;
    if (i >= c->a->groups) return t;
    real p = t < 0 ? quotient(power(t), 1 + power(t)) : quotient(1, 1 + power(-t));
    *curve = c->weight[i] * (p * (1 - p));
    return c->weight[i] * p;
}

static void evaluate_at(struct convex *c, const real *y, struct point *p)
{
    c->left--;
    *p = (struct point){.model = 0};
    for (uint32_t i = 0; i < c->rows; i++) {
        p->y[i] = y[i];
        for (uint32_t k = 0; k < c->rows; k++) p->move[i] += gram_at(c, i, k) * y[k];
    }
    for (uint32_t i = 0; i < c->rows; i++) {
        p->model += share_of(c, i, c->term[i] + p->move[i]);
        p->own += y[i] * p->move[i];
        p->cross += y[i] * c->along[i];
        p->still += share_of(c, i, c->term[i]);
    }
}

// y of (D K + mu I) y = D K y_now - slope.
static void newton(const struct convex *c, const struct point *now, real mu, real *y)
{
    real m[GAUSS_MOST][GAUSS_MOST + 1];
    const uint32_t rows = c->rows;
    for (uint32_t i = 0; i < rows; i++) {
        real curve, slope = slope_of(c, i, c->term[i] + now->move[i], &curve);
        for (uint32_t k = 0; k < rows; k++)
            m[i][k] = curve * gram_at(c, i, k) + (k == i ? mu : 0);
        m[i][rows] = curve * now->move[i] - slope;
    }
    for (uint32_t k = 0; k < rows; k++)
        for (uint32_t i = 0; i < rows; i++) {
            real factor = i != k ? quotient(m[i][k], m[k][k]) : 0;
            for (uint32_t j = k + 1; i != k && j <= rows; j++) m[i][j] -= factor * m[k][j];
        }
    for (uint32_t i = 0; i < rows; i++) y[i] = quotient(m[i][rows], m[i][i]);
}

struct path { // from a theta: y as a function of mu, followed from y = 0 down
    real theta, mu, low;
    struct point at;
    bool fits, clamped;
    int dampings;
};

struct bounds {
    real square, step2, reach2, goal, least; // |x|^2, of |s|^2, |x + s|^2, of m, of mu
};

// Where the last y went, and the next mu; 0: the end.
static real follow(struct path *p, const struct point *now, real mu, const struct bounds *b)
{
    real theta = p->theta, rest = 1 - theta;
    real step2 = theta * theta * b->square - 2 * theta * now->cross + now->own;
    real reach2 = rest * rest * b->square + 2 * rest * now->cross + now->own;
    bool clamped = reach2 > b->reach2, past = clamped || step2 > b->step2 || now->model < b->goal;
    if (past && p->dampings > 0) {
        p->low = mu;
        p->clamped = clamped;
    } else {
        p->mu = mu;
        p->at = *now;
        p->fits = !clamped;
    }
    real next = p->low > 0 ? root(p->mu * p->low) : R(0.5) * p->mu;
    bool end = next < b->least || p->low > R(0.95) * p->mu || ++p->dampings > DAMPINGS;
    return end ? 0 : next;
}

// One path from p's theta, to its end.
static void path_walk(struct convex *c, struct path *p, const struct bounds *b, real radius)
{
    const real far = root(b->square), clamp = (real)c->a->clamp;
    real at[GAUSS_MOST], towards[GAUSS_MOST], curve;
    struct point tried, now = {.model = 0};
    for (uint32_t i = 0; i < c->rows; i++) at[i] = slope_of(c, i, c->term[i], &curve);
    evaluate_at(c, at, &tried);
    real room = larger(clamp - (1 - p->theta) * far, R(1e-3) * clamp);
    real mu = quotient(root(larger(tried.own, 0)), smaller(radius - p->theta * far, room));
    real value = tried.still;
    *p = (struct path){.theta = p->theta};
    if (!(mu > 0 && mu < R(3.4e38))) return;
    for (int pass = 0; c->left > 0;) {
        newton(c, &now, mu, at);
        for (uint32_t i = 0; i < c->rows; i++) towards[i] = at[i] - now.y[i];
        real part = 1;
        bool solved = true;
        for (int halves = 0; halves <= HALVES; halves++, part *= R(0.5)) {
            if (halves && !c->left) break;
            for (uint32_t i = 0; i < c->rows && halves; i++) at[i] = now.y[i] + part * towards[i];
            evaluate_at(c, at, &tried);
            if (!(tried.model + R(0.5) * mu * tried.own <= value)) continue;
            real gain = value - tried.model - R(0.5) * mu * tried.own;
            now = tried;
            solved = gain <= R(1e-3) * value || ++pass == PASSES;
            value -= gain;
            break;
        }
        if (!solved) continue;
        mu = follow(p, &now, mu, b);
        now = p->at;
        value = now.model + R(0.5) * mu * now.own;
        pass = 0;
        if (mu == 0) return;
    }
}

// The best point in bounds over theta; mu 0: there is nothing to gain.
static void search(struct convex *c, const struct bounds *b, real radius, struct path *best)
{
    real inside = smaller(1, quotient(radius, larger(root(b->square), R(1e-30)))), outside = 0;
    struct path p = {.theta = 0};
    *best = p;
    for (int centres = 0;; centres++) {
        for (uint32_t i = 0; i < c->rows; i++) c->term[i] = c->first[i] - p.theta * c->along[i];
        path_walk(c, &p, b, radius);
        if (p.mu > 0 && p.fits && (best->mu == 0 || p.at.model < best->at.model)) *best = p;
        bool more = p.clamped || (p.mu > 0 && !p.fits) || centres > 0;
        if (centres > 0) *(p.clamped ? &outside : &inside) = p.theta;
        if (!more || !c->left || centres >= CENTRES) return;
        p.theta = R(0.5) * (inside + outside);
    }
}

// delta = x + s, held by the clamp.
static void gauss_move(const struct gauss_step_args *a, const struct path *p, uint32_t rows,
                       bool go)
{
    const real *lines = reals(a->rows), clamp = (real)a->clamp;
    real reach[LOCAL] = {0}, step[LOCAL] = {0}, *delta = reals(a->delta), *state = reals(a->state);
    for (uint32_t i = 0; i < a->n; i++) {
        real x = lines[(uint64_t)rows * a->n + i], s = -p->theta * x;
        for (uint32_t r = 0; r < rows && go; r++) s += p->at.y[r] * lines[(uint64_t)r * a->n + i];
        delta[i] = go ? x + s : x;
        reach[i % LOCAL] += delta[i] * delta[i];
        step[i % LOCAL] += s * s;
    }
    real reach2 = group_sum(reach), shrink = 1;
    if (go && reach2 > clamp * clamp) shrink = quotient(clamp, root(reach2));
    for (uint32_t i = 0; i < a->n; i++) delta[i] *= shrink;
    state[STATE_LENGTH2] = reach2 * shrink * shrink;
    state[STATE_MOVE] = root(group_sum(step));
}

TWIN(gauss_step)
{
    struct convex c = {.a = a, .rows = a->groups + GAUSS_TERMS};
    real *state = reals(a->state), total = state[STATE_BEST], radius = state[STATE_RADIUS];
    real clamp = (real)a->clamp, present[LOCAL] = {0};
    if (state[STATE_STOPPED] != 0) return;
    struct bounds b = {.square = gram_at(&c, c.rows, c.rows),
                       .step2 = radius * radius * R(1.0001), .reach2 = clamp * clamp * R(1.0001)};
    for (uint32_t i = 0; i < c.rows; i++) {
        if (i < a->groups)
            c.weight[i] = quotient(count_of((a->prompts - 2 - i) / a->groups + 1),
                                   count_of(a->prompts - 1));
        c.first[i] = reals(a->terms)[i];
        c.along[i] = gram_at(&c, i, c.rows);
        present[i] = share_of(&c, i, c.first[i]);
        b.least = larger(b.least, R(1e-5) * gram_at(&c, i, i));
    }
    real now = group_sum(present), rest = total - now;
    struct path p;
    c.left = 2 * TURNS / (3 * c.rows + 20);
    b.goal = (real)a->goal - rest;
    search(&c, &b, radius, &p);
    bool go = p.mu > 0 && now - p.at.model > R(1e-6) * size_of(total);
    gauss_move(a, &p, c.rows, go);
    state[STATE_MODEL] = p.at.model + rest;
    state[STATE_DAMPING] = p.mu;
    state[STATE_CENTRE] = p.theta;
    if (!go) state[STATE_STOPPED] = 1;
}
