// Whole runs of Gauss-Newton's two operators, on losses whose minimum is known.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ref.h"
#include "ref_gauss.h"
#include "ref_must.h"

enum { DIM = 24, PROMPTS = 7, MARGINS = PROMPTS - 1 };

struct problem { // NLL_j = log(1 + e^z), z = b_j - c_j . delta + bend (c_(j+1) . delta)^2
    float *b, *c;
    double bend, wall; // past |delta| = wall there are no losses; 0: everywhere
};

static void margins(struct run *r, const void *data)
{
    const struct problem *p = data;
    double length = 0;
    for (uint32_t i = 0; i < DIM; i++) length += (double)r->delta[i] * (double)r->delta[i];
    for (uint32_t j = 0; j < MARGINS; j++) {
        const float *c = p->c + j * DIM, *d = p->c + (j + 1) % MARGINS * DIM;
        double z = (double)p->b[j], across = 0;
        for (uint32_t i = 0; i < DIM; i++) z -= (double)c[i] * (double)r->delta[i];
        for (uint32_t i = 0; i < DIM; i++) across += (double)d[i] * (double)r->delta[i];
        z += p->bend * across * across;
        double slope = 1 / (1 + exp(-z)) / MARGINS;
        r->loss[j] = (float)(fmax(z, 0) + log1p(exp(-fabs(z))));
        if (p->wall > 0 && length > p->wall * p->wall) r->loss[j] = NAN;
        for (uint32_t i = 0; i < DIM; i++)
            r->grads[r->index[j] * DIM + i] =
                (float)(slope * (2 * p->bend * across * (double)d[i] - (double)c[i]));
    }
}

// f1 = 50 (y - x^2)^2, KL = (1 - x)^2 / 2: Rosenbrock's valley, halved; nothing else matters.
static void valley(struct run *r, const void *data)
{
    (void)data;
    float x = r->delta[0], y = r->delta[1], across = y - x * x;
    r->loss[0] = 1e-6f;
    r->state[STATE_F1] = 50 * across * across;
    r->loss[1] = 0.5f * (1 - x) * (1 - x) / r->kl_factor;
    r->pulls[0] = -200 * across * x;
    r->pulls[1] = 100 * across;
    r->grads[r->index[1] * 2] = x - 1;
}

// f1 = 50 cos(delta, e_0), which may be negative, beside margins that want delta along e_0.
static void against(struct run *r, const void *data)
{
    margins(r, data);
    double length2 = 0, x = (double)r->delta[0];
    for (uint32_t i = 0; i < DIM; i++) length2 += (double)r->delta[i] * (double)r->delta[i];
    if (length2 == 0) return; // f1 is off
    r->state[STATE_F1] = (float)(50 * x / sqrt(length2));
    r->state[STATE_F1 + 1] = (float)(-50 * x / (length2 * sqrt(length2)));
    r->pulls[0] = (float)(50 / sqrt(length2));
}

// The loss at the first look and at the one that was chosen; |delta|, which must be that one's.
struct ended {
    uint32_t looks, chosen;
    double first, taken, length;
};

static struct ended optimise(struct rig *rig, struct run *r,
                             void (*fill)(struct run *, const void *), const void *data)
{
    struct ended end = {0};
    float *totals = rig_memory(r->steps + 1, sizeof *totals);
    while (r->state[STATE_STOPPED] == 0) {
        assert_true(end.looks < r->steps);
        fill(r, data);
        struct addresses to = run_look(rig, r);
        run_step(rig, r, &to, 0.6f * r->stop);
        rig_run(rig);
        run_fetch(rig, r, &to);
        totals[end.looks++] = r->state[STATE_TOTAL];
        rig_drop(rig);
    }
    end.chosen = (uint32_t)r->state[STATE_CHOSEN];
    end.first = (double)totals[0];
    end.taken = (double)totals[end.chosen - 1];
    for (uint32_t i = 0; i < r->n; i++) end.length += (double)r->delta[i] * (double)r->delta[i];
    end.length = sqrt(end.length);
    // A loss without penalties is no match for one with.
    for (uint32_t i = r->low[0] < 0; i < end.looks; i++)
        assert_false((double)totals[i] < end.taken);
    fill(r, data); // delta is the one whose loss is said
    double sum = (double)r->state[STATE_F1] + (double)r->state[STATE_F2];
    sum += (double)r->kl_factor * (double)r->loss[r->prompts - 1];
    for (uint32_t j = 0; j + 1 < r->prompts; j++) sum += (double)r->loss[j] / (r->prompts - 1);
    assert_true(fabs(sum - end.taken) <= 1e-5 * fabs(sum) + 1e-6);
    assert_true(end.length <= (double)r->clamp * 1.0002);
    assert_true(fabs((double)r->state[STATE_LENGTH2] - end.length * end.length) <=
                1e-5 * end.length * end.length);
    free(totals);
    return end;
}

static struct ended margins_run(struct rig *rig, float clamp, float stop, double bend, double wall,
                                double *bounded)
{
    struct run r = run_new(DIM, PROMPTS, 1);
    struct problem p = {rig_random(rig, MARGINS, 1), rig_random(rig, MARGINS * DIM, 0.3), bend,
                        wall};
    for (uint32_t j = 0; j < MARGINS; j++) p.b[j] += 6;
    r.clamp = clamp;
    r.stop = stop;
    if (bounded) { // of all delta, where the terms are straight
        double a[(MARGINS + GAUSS_TERMS) * DIM] = {0}, t[MARGINS + GAUSS_TERMS] = {0}, w[MARGINS];
        double x[DIM] = {0};
        for (uint32_t i = 0; i < MARGINS * DIM; i++) a[i] = -(double)p.c[i];
        for (uint32_t j = 0; j < MARGINS; j++) t[j] = (double)p.b[j], w[j] = 1.0 / MARGINS;
        const struct ref_gauss all = {DIM, MARGINS, a, t, w, x};
        *bounded = ref_gauss_bounded(&all, wall > 0 ? wall : 1e3, (double)clamp);
    }
    struct ended end = optimise(rig, &r, margins, &p);
    free(p.b);
    free(p.c);
    run_free(&r);
    return end;
}

static void test_straight(void **state)
{
    struct ended end = margins_run(*state, 100, 0.05f, 0, 0, NULL);
    printf("straight margins: %g to %g in %u looks\n", end.first, end.taken, end.looks);
    assert_true(end.taken < 0.05 && end.looks <= 6 && end.chosen == end.looks);
}

static void test_bent(void **state)
{
    struct ended end = margins_run(*state, 100, 0.05f, 0.02, 0, NULL);
    printf("bent margins: %g to %g in %u looks\n", end.first, end.taken, end.looks);
    assert_true(end.taken < 0.05 && end.looks <= 12);
}

static void test_clamped(void **state)
{
    double least = 0;
    struct ended end = margins_run(*state, 5, 0, 0, 0, &least);
    printf("clamped: %g to %g in %u looks, the least is %g\n", end.first, end.taken, end.looks,
           least);
    assert_true(end.length > 4.99 && end.taken <= 1.01 * least && end.taken >= 0.999 * least);
}

static void test_wall(void **state)
{
    double least = 0; // at the wall
    struct ended end = margins_run(*state, 100, 0.05f, 0, 3, &least);
    printf("wall: %g to %g in %u looks, |delta| %g, the least is %g\n", end.first, end.taken,
           end.looks, end.length, least);
    assert_true(end.length <= 3 && end.first - end.taken > 0.95 * (end.first - least));
}

static void test_level(void **state)
{
    struct run r = run_new(DIM, PROMPTS, 1);
    struct problem p = {rig_random(*state, MARGINS, 1), rig_random(*state, MARGINS * DIM, 0), 0, 0};
    struct ended end = optimise(*state, &r, margins, &p);
    assert_true(end.looks == 1 && end.chosen == 1 && end.length == 0 && end.taken == end.first);
    free(p.b);
    free(p.c);
    run_free(&r);
}

static void test_signed(void **state)
{
    struct run r = run_new(DIM, PROMPTS, 1);
    struct problem p = {rig_random(*state, MARGINS, 1), rig_random(*state, MARGINS * DIM, 0.3), 0,
                        0};
    for (uint32_t j = 0; j < MARGINS; j++) p.b[j] += 2, p.c[j * DIM] += 0.1f;
    r.clamp = 100;
    r.stop = -47; // -50 and about the first loss is the least
    r.low[0] = -50;
    struct ended end = optimise(*state, &r, against, &p);
    printf("signed cosine: %g to %g in %u looks\n", end.first, end.taken, end.looks);
    assert_true(end.taken < -47 && end.looks < 25);
    free(p.b);
    free(p.c);
    run_free(&r);
}

static void test_valley(void **state)
{
    struct run r = run_new(2, 2, 1);
    r.stop = 1e-4f;
    struct ended end = optimise(*state, &r, valley, NULL);
    printf("Rosenbrock's valley: %g to %g in %u looks\n", end.first, end.taken, end.looks);
    assert_true(end.taken < 1e-4 && fabs((double)r.delta[0] - 1) < 0.02);
    run_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight), cmocka_unit_test(test_bent),
        cmocka_unit_test(test_clamped),  cmocka_unit_test(test_wall),
        cmocka_unit_test(test_level),    cmocka_unit_test(test_valley),
        cmocka_unit_test(test_signed),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
