// The two operators of Gauss-Newton against double precision.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_cases.h"
#include "ref_gauss.h"
#include "ref_must.h"

// ---- gauss_look ----
struct look { // wanted
    double total, terms[GAUSS_MOST], *lines;
};

static void look_want(const struct run *r, struct look *want)
{
    uint32_t targets = r->prompts - 1, k = r->groups, n = r->n;
    double length = 0, nll = 0, parts[GAUSS_TERMS], slope[GAUSS_TERMS] = {1, 0, 1, 1};
    want->lines = ref_zeros((uint64_t)(r->rows + 1) * n);
    for (uint32_t i = 0; i < n; i++) length += (double)r->delta[i] * (double)r->delta[i];
    length = sqrt(length);
    for (uint32_t g = 0; g < k; g++) {
        double sum = 0, members = 0;
        for (uint32_t j = g; j < targets; j += k, members++)
            for (uint32_t t = 0; t < r->tokens; t++) sum += (double)r->loss[j * r->tokens + t];
        nll += sum / (targets * r->tokens);
        double mean = sum / (members * r->tokens), over = targets / members / -expm1(-mean);
        want->terms[g] = ref_gauss_term(mean);
        for (uint32_t j = g; j < targets; j += k)
            for (uint32_t i = 0; i < n; i++)
                want->lines[g * n + i] += over * (double)r->grads[r->index[j] * n + i];
    }
    parts[0] = (double)r->kl_factor * (double)r->loss[targets * r->tokens];
    parts[1] = (double)r->decay * length;
    parts[2] = (double)r->state[STATE_F1];
    parts[3] = (double)r->state[STATE_F2];
    want->total = nll + parts[0] + parts[1] + parts[2] + parts[3];
    slope[1] = length > 0 ? (double)r->decay / length : 0;
    for (uint32_t p = 0; p < GAUSS_TERMS; p++) {
        double t = sqrt(2 * (parts[p] - (p > 1 ? (double)r->low[p - 2] : 0)));
        want->terms[k + p] = t;
        for (uint32_t i = 0; i < n && t > 0; i++) {
            double x = (double)r->delta[i], g = slope[p] * x;
            if (p == 0) g = (double)r->grads[r->index[targets] * n + i];
            if (p == 2) g = (double)r->pulls[i] + (double)r->state[STATE_F1 + 1] * x;
            if (p == 3) g = (double)r->pulls[n + i] + (double)r->state[STATE_F2 + 1] * x;
            want->lines[(k + p) * n + i] = g / t;
        }
    }
    for (uint32_t i = 0; i < n; i++) want->lines[r->rows * n + i] = (double)r->delta[i];
}

// A look of its own: losses from 0.02 to 6, gradients, penalties, delta; not the first unless so.
static struct run look_random(struct rig *rig, uint32_t n, uint32_t prompts, uint32_t tokens,
                              bool first)
{
    struct run r = run_new(n, prompts, tokens);
    uint32_t losses = (prompts - 1) * tokens;
    float *loss = rig_random(rig, losses + 1, 1);
    float *grads = rig_random(rig, 2ull * prompts * n, 1e-2);
    float *pulls = rig_random(rig, 2ull * n, 1e-3), *delta = rig_random(rig, n, first ? 0 : 2);
    for (uint32_t i = 0; i <= losses; i++) r.loss[i] = expf(2.8f * loss[i] - 1);
    if (first) r.loss[losses] = 0;
    memcpy(r.grads, grads, 2ull * prompts * n * sizeof *grads);
    memcpy(r.delta, delta, n * sizeof *delta);
    r.decay = 0.01f;
    if (!first) {
        memcpy(r.pulls, pulls, 2ull * n * sizeof *pulls);
        double length2 = 0;
        for (uint32_t i = 0; i < n; i++) length2 += (double)delta[i] * (double)delta[i];
        const float state[] = {[STATE_STEP] = 3,       [STATE_LENGTH2] = (float)length2,
                               [STATE_F1] = 0.3f,      [STATE_F1 + 1] = -0.01f,
                               [STATE_F2] = -0.2f,     [STATE_F2 + 1] = 0.02f,
                               [STATE_CHOSEN] = 2,     [STATE_BEST] = 1e3f,
                               [STATE_RADIUS] = 1.5f,  [STATE_MODEL] = -1e3f,
                               [STATE_MOVE] = 1.45f};
        memcpy(r.state, state, sizeof state);
        r.low[1] = -50;
    }
    free(loss);
    free(grads);
    free(pulls);
    free(delta);
    return r;
}

static void look_case(struct rig *rig, uint32_t n, uint32_t prompts, uint32_t tokens, bool first)
{
    struct run r = look_random(rig, n, prompts, tokens, first);
    struct look want;
    look_want(&r, &want);
    double *size = ref_zeros((uint64_t)(r.rows + 1) * n), wide[GAUSS_MOST];
    uint32_t members = (prompts - 2) / r.groups + 1;
    for (uint32_t i = 0; i < r.rows * n; i++) // sums of members; scale is good to some ulp
        size[i] = fabs(want.lines[i]) + 1e-2 * (prompts - 1) * (i / n < r.groups ? 1 / 0.02 : 1);
    for (uint32_t i = 0; i < n; i++) size[r.rows * n + i] = 0; // a copy
    for (uint32_t i = 0; i < r.rows; i++) wide[i] = fabs(want.terms[i]) + (i < r.groups ? 8 : 0.1);
    struct addresses to = run_look(rig, &r);
    rig_run(rig);
    const float *now = rig_floats(rig, to.state);
    rig_near_host(rig, "gauss_look: total", now + STATE_TOTAL, &want.total, NULL, 1,
                  4 * rig_depth(prompts * tokens) + 32);
    rig_near(rig, "gauss_look: terms", to.terms, want.terms, wide, r.rows,
             rig_depth(members * tokens) + 32);
    rig_near(rig, "gauss_look: rows", to.lines, want.lines, size, (r.rows + 1) * n,
             rig_depth(members * tokens) + 32);
    assert_true(now[STATE_BEST] == now[STATE_TOTAL] && now[STATE_STOPPED] == 0);
    assert_true(now[STATE_STEP] == (first ? 1 : 4) && now[STATE_CHOSEN] == now[STATE_STEP]);
    assert_true(now[STATE_RADIUS] == (first ? 4.0f : 1.5f)); // half of what was promised
    assert_memory_equal(rig_floats(rig, to.delta), r.delta, n * sizeof(float));
    free(want.lines);
    free(size);
    run_free(&r);
    rig_drop(rig);
}

// What becomes of a look: the loss before, the promise, the loss now, and what is to follow.
static const struct {
    const char *what;
    float best, model, step, stop, spoil; // spoil: 1 a loss, 2 a gradient, 3 the stream is
                                          // not finite
    bool taken, stopped;
    float radius; // of radius 1.5, move 1.45, clamp 2.5
} outcomes[] = {
    {"better as promised", 9, 5, 3, 0, 0, true, false, 2.5f},
    {"better, less than promised", 9, 2, 3, 0, 0, true, false, 1.5f},
    {"better, far less", 5.5f, -30, 3, 0, 0, true, false, 0.725f},
    {"worse", 4.5f, 1, 3, 0, 0, false, false, 0.5075f},
    {"worse at the end", 4.5f, 1, 24, 0, 0, false, true, 0.5075f},
    {"better at the end", 9, 2, 24, 0, 0, true, true, 1.5f},
    {"low enough", 9, 2, 3, 5.5f, 0, true, true, 1.5f},
    {"a loss that is none", 9, 2, 3, 0, 1, false, false, 0.5075f},
    {"a gradient that is none", 9, 2, 3, 0, 2, false, false, 0.5075f},
    {"a gradient that is none, low", 9, 2, 3, 5.5f, 2, false, false, 0.5075f},
    {"a stream that is none", 9, 2, 3, 0, 3, false, false, 0.5075f},
    {"nothing to begin with", 0, 0, 0, 0, 1, false, true, 2.5f},
};

static void outcome_case(struct rig *rig, size_t c)
{
    struct run r = look_random(rig, 40, 3, 2, false);
    float *kept = rig_random(rig, (r.rows + 1) * r.n, 1), *terms = rig_random(rig, r.rows, 1);
    memcpy(r.lines, kept, (r.rows + 1) * r.n * sizeof *kept);
    memcpy(r.terms, terms, r.rows * sizeof *terms);
    for (uint32_t i = 0; i < 4; i++) r.loss[i] = 5; // the total is 5
    r.loss[4] = r.decay = r.state[STATE_F1] = r.state[STATE_F2] = 0;
    r.clamp = 2.5f;
    r.stop = outcomes[c].stop;
    r.state[STATE_BEST] = outcomes[c].best;
    r.state[STATE_MODEL] = outcomes[c].model;
    r.state[STATE_STEP] = outcomes[c].step;
    if (outcomes[c].spoil == 1) r.loss[1] = NAN;
    if (outcomes[c].spoil == 2) r.grads[r.index[1] * r.n + 7] = INFINITY;
    r.state[STATE_FAULT] = outcomes[c].spoil == 3; // STATE_FAULTY
    struct addresses to = run_look(rig, &r);
    rig_run(rig);
    const float *now = rig_floats(rig, to.state), *delta = rig_floats(rig, to.delta);
    assert_true(now[STATE_FAULT] == 0); // turned from, or there was none
    bool first = outcomes[c].step == 0, restored = outcomes[c].stopped && !outcomes[c].taken;
    if ((now[STATE_STOPPED] != 0) != outcomes[c].stopped ||
        (now[STATE_CHOSEN] == outcomes[c].step + 1) != (outcomes[c].taken || first) ||
        fabsf(now[STATE_RADIUS] - outcomes[c].radius) > 1e-6f)
        fail_msg("%s: stopped %g, chosen %g, radius %g", outcomes[c].what,
                 (double)now[STATE_STOPPED], (double)now[STATE_CHOSEN],
                 (double)now[STATE_RADIUS]);
    const float *x = rig_floats(rig, to.lines) + r.rows * r.n;
    assert_memory_equal(delta, restored && !first ? x : r.delta, r.n * sizeof *x);
    if (!outcomes[c].taken) {
        assert_memory_equal(rig_floats(rig, to.lines), kept, (r.rows + 1) * r.n * sizeof *kept);
        assert_memory_equal(rig_floats(rig, to.terms), terms, r.rows * sizeof *terms);
        assert_true(now[STATE_BEST] == outcomes[c].best);
    } else {
        assert_memory_equal(x, r.delta, r.n * sizeof *x);
        assert_true(now[STATE_BEST] == 5);
    }
    double length2 = 0;
    for (uint32_t i = 0; i < r.n; i++) length2 += (double)delta[i] * (double)delta[i];
    assert_true(fabs((double)now[STATE_LENGTH2] - length2) < 1e-5 * length2);
    free(kept);
    free(terms);
    run_free(&r);
    rig_drop(rig);
}

static void test_gauss_look(void **state)
{
    const uint32_t shapes[][3] = {{1, 2, 1}, {16, 7, 1}, {576, 7, 3}, {65, 45, 2}, {64, 200, 1},
                                  {8192, 22, 2}};
    for (size_t i = 0; i < 2 * COUNT(shapes); i++)
        look_case(*state, shapes[i / 2][0], shapes[i / 2][1], shapes[i / 2][2], i & 1);
    for (size_t i = 0; i < COUNT(outcomes); i++) outcome_case(*state, i);
}

// ---- gauss_step ----
enum { SPREAD = 24 }; // coordinates in use, so that the reference can solve for all of them

struct stepped {
    struct ref_gauss model;
    double *a, *x, t[GAUSS_MOST], w[GAUSS_MOST];
};

// The SPREAD coordinates of a run's rows that are not zero, at stride n / SPREAD.
static struct stepped stepped_new(const struct run *r)
{
    uint32_t n = r->n < SPREAD ? r->n : SPREAD, stride = r->n / n;
    struct stepped s = {.a = ref_zeros(r->rows * n), .x = ref_zeros(n)};
    for (uint32_t k = 0; k < r->rows; k++) {
        s.t[k] = (double)r->terms[k];
        for (uint32_t i = 0; i < n; i++) s.a[k * n + i] = (double)r->lines[k * r->n + i * stride];
    }
    for (uint32_t i = 0; i < n; i++) s.x[i] = (double)r->lines[r->rows * r->n + i * stride];
    for (uint32_t j = 0; j + 1 < r->prompts; j++) s.w[j % r->groups] += 1.0 / (r->prompts - 1);
    s.model = (struct ref_gauss){.n = n, .groups = r->groups};
    return s;
}

static void stepped_link(struct stepped *s)
{
    s->model.a = s->a;
    s->model.t = s->t;
    s->model.w = s->w;
    s->model.x = s->x;
}

enum bound { RADIUS, GOAL, CLAMP }; // what a step must end at

// The step is the model's minimum for its mu and theta, keeps the bounds, and is not short of them.
static void step_check(const struct run *r, const float *delta, const float *now, float goal,
                       enum bound bound)
{
    struct stepped c = stepped_new(r);
    stepped_link(&c);
    uint32_t n = c.model.n, stride = r->n / n;
    double s[SPREAD], least[SPREAD], none[SPREAD] = {0};
    for (uint32_t i = 0; i < n; i++) s[i] = (double)delta[i * stride] - c.x[i];
    double mu = (double)now[STATE_DAMPING], theta = (double)now[STATE_CENTRE];
    double rest = (double)r->state[STATE_BEST] - ref_gauss_model(&c.model, none);
    double radius = (double)r->state[STATE_RADIUS], clamp = (double)r->clamp;
    assert_true(mu > 0 && now[STATE_STOPPED] == 0);
    ref_gauss_least(&c.model, mu, theta, least);
    double best = ref_gauss_objective(&c.model, mu, theta, least);
    double got = ref_gauss_objective(&c.model, mu, theta, s), model = ref_gauss_model(&c.model, s);
    if (!(got <= best * 1.002 + 1e-6))
        fail_msg("objective %.9g, the least is %.9g (mu %g, theta %g)", got, best, mu, theta);
    double length = ref_gauss_length(s, none, n), reach = ref_gauss_length(s, c.x, n);
    assert_true(length <= radius * 1.0002 && reach <= clamp * 1.0002);
    assert_true(fabs((double)now[STATE_MODEL] - model - rest) <= 1e-4 * fabs(model) + 1e-3);
    if (!(fabs((double)now[STATE_MOVE] - length) <= 1e-3 * length))
        fail_msg("said |s| %g, is %g", (double)now[STATE_MOVE], length);
    assert_true(fabs((double)now[STATE_LENGTH2] - reach * reach) <= 1e-3 * reach * reach);
    // With a little less damping it would pass the radius or the goal.
    ref_gauss_least(&c.model, mu / 1.1, theta, least);
    bool far = ref_gauss_length(least, none, n) > radius;
    bool out = ref_gauss_length(least, c.x, n) > clamp;
    bool low = ref_gauss_model(&c.model, least) + rest < (double)goal;
    if ((bound == RADIUS && !far) || (bound == GOAL && !low) || (bound == CLAMP && !out && !far) ||
        (theta > 0) != (bound == CLAMP))
        fail_msg("bound %d: radius %d, goal %d, clamp %d (|s| %g of %g, model %g, goal %g, theta "
                 "%g)", (int)bound, far, low, out, length, radius, model + rest, (double)goal,
                 theta);
    if (bound == CLAMP) {
        double start = ref_gauss_model(&c.model, none);
        double could = start - ref_gauss_bounded(&c.model, radius, clamp);
        printf("clamp: the model falls by %g, could by %g\n", start - model, could);
        assert_true(start - model >= 0.9 * could);
    }
    free(c.a);
    free(c.x);
}

// Terms of which the NLL stand at some 4 and the others at some 0.1, rows of length about `scale`.
static struct run step_random(struct rig *rig, uint32_t n, uint32_t prompts, double scale)
{
    struct run r = run_new(n, prompts, 1);
    uint32_t used = n < SPREAD ? n : SPREAD, stride = n / used;
    float *lines = rig_random(rig, (r.rows + 1) * used, scale), *terms = rig_random(rig, r.rows, 2);
    for (uint32_t k = 0; k <= r.rows; k++)
        for (uint32_t i = 0; i < used; i++) r.lines[k * n + i * stride] = lines[k * used + i];
    for (uint32_t k = 0; k < r.rows; k++)
        r.terms[k] = k < r.groups ? terms[k] + 4 : 0.1f * fabsf(terms[k]);
    struct stepped c = stepped_new(&r);
    stepped_link(&c);
    double none[SPREAD] = {0};
    r.state[STATE_BEST] = (float)(ref_gauss_model(&c.model, none) - 3); // -3: lows
    free(lines);
    free(terms);
    free(c.a);
    free(c.x);
    return r;
}

// x along the way the groups' losses fall, as it is when delta has grown for some steps.
static void outward(struct run *r)
{
    float *x = r->lines + r->rows * r->n;
    for (uint32_t i = 0; i < r->n; i++) x[i] = 0;
    for (uint32_t g = 0; g < r->groups; g++)
        for (uint32_t i = 0; i < r->n; i++) x[i] -= r->lines[g * r->n + i] / (float)r->groups;
}

// radius and clamp: of |x|
static void step_case(struct rig *rig, uint32_t n, uint32_t prompts, double scale, float radius,
                      float clamp, float goal, enum bound bound)
{
    struct run r = step_random(rig, n, prompts, scale);
    double length = 0;
    if (bound == CLAMP) outward(&r);
    for (uint32_t i = 0; i < n; i++)
        length += (double)r.lines[r.rows * n + i] * (double)r.lines[r.rows * n + i];
    r.state[STATE_RADIUS] = radius * (float)sqrt(length);
    r.clamp = clamp * (float)sqrt(length);
    struct addresses to = {rig_change(rig, r.delta, n),
                           rig_in(rig, r.lines, (r.rows + 1) * n), rig_in(rig, r.terms, r.rows),
                           rig_change(rig, r.state, STATE_SIZE)};
    run_step(rig, &r, &to, goal);
    rig_run(rig);
    step_check(&r, rig_floats(rig, to.delta), rig_floats(rig, to.state), goal, bound);
    run_free(&r);
    rig_drop(rig);
}

// No slope, or no radius: delta is the best one again, and final.
static void nothing_case(struct rig *rig, float radius, bool slope)
{
    struct run r = step_random(rig, 100, 7, slope ? 0.3 : 0);
    r.state[STATE_RADIUS] = radius;
    for (uint32_t i = 0; i < r.n; i++) r.lines[r.rows * r.n + i] = 0.01f * (float)i;
    struct addresses to = {rig_out(rig, r.n), rig_in(rig, r.lines, (r.rows + 1) * r.n),
                           rig_in(rig, r.terms, r.rows), rig_change(rig, r.state, STATE_SIZE)};
    run_step(rig, &r, &to, -3);
    rig_run(rig);
    assert_true(rig_floats(rig, to.state)[STATE_STOPPED] == 1);
    assert_memory_equal(rig_floats(rig, to.delta), r.lines + r.rows * r.n, r.n * sizeof(float));
    // Once it has stopped nothing moves.
    memcpy(r.state, rig_floats(rig, to.state), sizeof r.state);
    rig_drop(rig);
    r.delta[3] = 7;
    to = (struct addresses){rig_in(rig, r.delta, r.n), rig_in(rig, r.lines, (r.rows + 1) * r.n),
                            rig_in(rig, r.terms, r.rows), rig_in(rig, r.state, STATE_SIZE)};
    run_step(rig, &r, &to, -3);
    rig_run(rig);
    run_free(&r);
    rig_drop(rig);
}

static void test_gauss_step(void **state)
{
    const uint32_t n[] = {1, 16, 576, 8192, 100}, prompts[] = {2, 7, 7, 22, 150};
    for (size_t i = 0; i < COUNT(n); i++) {
        step_case(*state, n[i], prompts[i], 0.3, i ? 0.5f : 0.05f, 1e6f, -3, RADIUS);
        if (i) step_case(*state, n[i], prompts[i], 0.3, 1e3f, 1e6f, -1, GOAL);
    }
    step_case(*state, 16, 7, 0.3, 1e3f, 1.5f, -3, CLAMP);
    step_case(*state, 576, 22, 0.3, 0.5f, 1, -3, CLAMP);
    step_case(*state, 24, 45, 0.3, 0.2f, 1.01f, -3, CLAMP);
    nothing_case(*state, 1, false);
    nothing_case(*state, 0, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_GAUSS(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
