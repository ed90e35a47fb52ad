// The optimisation of the value, and the running statistics of UltraEdit.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "state.def"

static const uint32_t sizes[] = {1, 31, 256, 257, 49153};

static void test_keep_first(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < 2 * COUNT(sizes); s++) {
        uint32_t n = sizes[s / 2];
        float *x = rig_random(rig, n, 1), *y = rig_random(rig, n, 1);
        float now[STATE_SIZE] = {[STATE_STEP] = (float)(s & 1)};
        fbuf to = rig_change(rig, y, n);
        op_keep_first(&rig->cmd, (struct keep_first_args){rig_in(rig, x, n),
                                                          rig_in(rig, now, STATE_SIZE), to, n});
        rig_run(rig);
        assert_memory_equal(rig_floats(rig, to), s & 1 ? y : x, n * sizeof *x);
        free(x);
        free(y);
        rig_drop(rig);
    }
}

enum { LOSSES = 70 };

struct adam_case { // delta, m, v and state go from step to step
    uint32_t n, steps;
    float clamp, stop;
    float *delta, *m, *v, state[STATE_SIZE], loss[LOSSES + 1];
};

// One look on the device; the reference takes the device's own start, so that each step is
// measured by itself. Returns whether it stopped.
static bool adam_step(struct rig *rig, struct adam_case *c, uint32_t step)
{
    const float rate = 0.5f, decay = 0.01f, kl = 0.0625f;
    float *grad = rig_random(rig, c->n, 1e-3);
    double *x = ref_wide(c->delta, c->n), *g = ref_wide(grad, c->n), nll = 0, length2 = 0;
    struct ref_adam adam = {c->n, step - 1, (double)rate, (double)c->clamp, ref_wide(c->m, c->n),
                            ref_wide(c->v, c->n)};
    for (uint32_t i = 0; i < LOSSES; i++) nll += (double)c->loss[i] / LOSSES;
    for (uint32_t i = 0; i < c->n; i++) length2 += x[i] * x[i];
    double length = sqrt(length2), parts[] = {nll, (double)kl * (double)c->loss[LOSSES],
                                              (double)decay * length, (double)c->state[STATE_F1],
                                              (double)c->state[STATE_F2]};
    double total = parts[0] + parts[1] + parts[2] + parts[3] + parts[4], along = 0;
    along = (double)c->state[STATE_F1 + 1] + (double)c->state[STATE_F2 + 1] +
            (length > 0 ? (double)decay / length : 0);
    for (uint32_t i = 0; i < c->n; i++) g[i] += along * x[i];
    fbuf delta = rig_change(rig, c->delta, c->n), m = rig_change(rig, c->m, c->n);
    fbuf v = rig_change(rig, c->v, c->n), state = rig_change(rig, c->state, STATE_SIZE);
    op_adam(&rig->cmd, (struct adam_args){rig_in(rig, grad, c->n),
                                          rig_in(rig, c->loss, LOSSES + 1), delta, m, v, state,
                                          c->n, LOSSES, rate, decay, kl, c->stop, c->clamp,
                                          c->steps});
    rig_run(rig);
    const float *now = rig_floats(rig, state);
    bool stop = total < (double)c->stop || step >= c->steps;
    assert_true(now[STATE_STEP] == (float)step && (now[STATE_STOPPED] != 0) == stop);
    rig_near_host(rig, "adam: total", now + STATE_TOTAL, &total, NULL, 1, rig_depth(LOSSES) + 16);
    rig_near_host(rig, "adam: parts", now + STATE_NLL, parts, NULL, 3, rig_depth(LOSSES) + 16);
    if (!stop) {
        ref_adam(&adam, x, g);
        double *size = ref_zeros(c->n), *v_size = ref_zeros(c->n);
        length2 = 0;
        for (uint32_t i = 0; i < c->n; i++) {
            size[i] = fabs(x[i]) + (double)rate; // a step is about the rate
            v_size[i] = adam.v[i] + g[i] * g[i];
            length2 += x[i] * x[i];
        }
        rig_near(rig, "adam: delta", delta, x, size, c->n, rig_depth(c->n) + 16);
        rig_near(rig, "adam: v", v, adam.v, v_size, c->n, 8);
        rig_near_host(rig, "adam: length", now + STATE_LENGTH2, &length2, NULL, 1,
                      4 * rig_depth(c->n) + 32);
        free(size);
        free(v_size);
    } else {
        assert_memory_equal(rig_floats(rig, delta), c->delta, c->n * sizeof *c->delta);
        assert_memory_equal(rig_floats(rig, m), c->m, c->n * sizeof *c->m);
        assert_memory_equal(rig_floats(rig, v), c->v, c->n * sizeof *c->v);
    }
    memcpy(c->delta, rig_floats(rig, delta), c->n * sizeof *c->delta);
    memcpy(c->m, rig_floats(rig, m), c->n * sizeof *c->m);
    memcpy(c->v, rig_floats(rig, v), c->n * sizeof *c->v);
    memcpy(c->state, now, sizeof c->state);
    void *mine[] = {grad, x, g, adam.m, adam.v};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
    return stop;
}

static void adam_case(struct rig *rig, uint32_t n, float clamp, float stop, uint32_t steps,
                      uint32_t wanted)
{
    struct adam_case c = {.n = n, .clamp = clamp, .stop = stop, .steps = steps,
                          .delta = rig_memory(n, 4), .m = rig_memory(n, 4), .v = rig_memory(n, 4)};
    uint32_t step = 0;
    bool stopped = false;
    while (!stopped) {
        step++;
        for (uint32_t i = 0; i <= LOSSES; i++) c.loss[i] = 4 / (float)step + 0.01f * (float)i;
        if (step > 1) c.state[STATE_F1] = 0.25f, c.state[STATE_F1 + 1] = -1e-3f;
        if (step > 2) c.state[STATE_F2] = 0.5f, c.state[STATE_F2 + 1] = 2e-3f;
        stopped = adam_step(rig, &c, step);
        assert_true(step <= steps);
    }
    assert_int_equal(step, wanted);
    stopped = adam_step(rig, &c, step + 1); // a stopped one stays as it is
    assert_true(stopped);
    free(c.delta);
    free(c.m);
    free(c.v);
}

static void test_adam(void **state)
{
    adam_case(*state, 1, 100, 0, 4, 4);
    adam_case(*state, 31, 0.7f, 0, 6, 6);
    adam_case(*state, 576, 4, 2.9f, 25, 2); // 4 / 2 and the rest is less
    adam_case(*state, 5003, 1e9f, 0, 25, 25);
}

// Three steps one after the other, the reference from the device's own state.
static void test_adam_weights(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 257, 70000};
    for (size_t s = 0; s < 2 * COUNT(many); s++) {
        const uint32_t n = many[s / 2];
        const float rate = 5e-4f, limit = s & 1 ? 7e-4f : 3e38f;
        float *x = rig_memory(n, 4), *m = rig_memory(n, 4), *v = rig_memory(n, 4);
        for (uint32_t step = 1; step <= 3; step++) {
            float *grad = rig_random(rig, n, 1e-2);
            double near = 1 - pow(0.9, step), far = 1 - pow(0.999, step);
            double *want = ref_zeros(n), *size = ref_zeros(n), *second = ref_zeros(n);
            uint32_t held = 0;
            for (uint32_t i = 0; i < n; i++) {
                double g = (double)grad[i], first = 0.9 * (double)m[i] + 0.1 * g;
                second[i] = 0.999 * (double)v[i] + 0.001 * g * g;
                want[i] = (double)x[i] -
                          (double)rate * (first / near) / (sqrt(second[i] / far) + 1e-8);
                held += fabs(want[i]) > (double)limit;
                want[i] = fmin(fmax(want[i], -(double)limit), (double)limit);
                size[i] = 4 * (double)rate;
            }
            fbuf to = rig_change(rig, x, n), m_at = rig_change(rig, m, n);
            fbuf v_at = rig_change(rig, v, n);
            op_adam_weights(&rig->cmd,
                            (struct adam_weights_args){rig_in(rig, grad, n), to, m_at, v_at, n,
                                                       rate, (float)near, (float)far, limit});
            rig_run(rig);
            rig_near(rig, "adam_weights: x", to, want, size, n, 16);
            rig_near(rig, "adam_weights: v", v_at, second, NULL, n, 6);
            if (s & 1)
                for (uint32_t i = 0; i < n; i++)
                    assert_true(fabsf(rig_floats(rig, to)[i]) <= limit);
            else
                assert_true(held == 0);
            if (s & 1 && n > 1 && step == 3) assert_true(held > 0);
            memcpy(x, rig_floats(rig, to), n * sizeof *x);
            memcpy(m, rig_floats(rig, m_at), n * sizeof *m);
            memcpy(v, rig_floats(rig, v_at), n * sizeof *v);
            rig_drop(rig);
            void *mine[] = {grad, want, size, second};
            for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        }
        free(x);
        free(m);
        free(v);
    }
}

// Batches one after the other end with the mean and the spread of all rows at once.
static void test_running_stats(void **state)
{
    struct rig *rig = *state;
    const uint32_t batches[] = {1, 3, 40, 1}, all = 45;
    const uint32_t widths[] = {1, 64, 257};
    for (size_t s = 0; s < COUNT(widths); s++) {
        const uint32_t cols = widths[s];
        float *x = rig_random(rig, (uint64_t)all * cols, 2), *mean = rig_memory(cols, 4);
        float *spread = rig_memory(cols, 4);
        uint32_t seen = 0;
        for (size_t b = 0; b < COUNT(batches); b++) {
            const uint32_t rows = batches[b];
            double *wide = ref_zeros(cols), *square = ref_zeros(cols), *size = ref_zeros(cols);
            fbuf mean_at = rig_change(rig, mean, cols), spread_at = rig_change(rig, spread, cols);
            op_running_stats(&rig->cmd, (struct running_stats_args){
                                            rig_in(rig, x + (uint64_t)seen * cols, rows * cols),
                                            mean_at, spread_at, rows, cols, (float)seen});
            rig_run(rig);
            seen += rows;
            for (uint32_t c = 0; c < cols; c++) {
                for (uint32_t r = 0; r < seen; r++) wide[c] += (double)x[r * cols + c] / seen;
                for (uint32_t r = 0; r < seen; r++)
                    square[c] += pow((double)x[r * cols + c] - wide[c], 2);
                size[c] = 4 * seen;
            }
            rig_near(rig, "running_stats: mean", mean_at, wide, size, cols, 16);
            rig_near(rig, "running_stats: spread", spread_at, square, size, cols, 64);
            memcpy(mean, rig_floats(rig, mean_at), cols * sizeof *mean);
            memcpy(spread, rig_floats(rig, spread_at), cols * sizeof *spread);
            rig_drop(rig);
            free(wide);
            free(square);
            free(size);
        }
        free(x);
        free(mean);
        free(spread);
    }
}

static void test_normalise_rows(void **state)
{
    struct rig *rig = *state;
    const uint32_t shapes[][2] = {{1, 1}, {3, 257}, {5, 5000}};
    for (size_t s = 0; s < 2 * COUNT(shapes); s++) {
        const uint32_t rows = shapes[s / 2][0], cols = shapes[s / 2][1], n = rows * cols;
        const float over = 7, least = 0x1p-23f, alpha = s & 1 ? -0.3f : 0;
        float *x = rig_random(rig, n, 2), *mean = rig_random(rig, cols, 1);
        float *spread = rig_random(rig, cols, 3), *factor = rig_random(rig, rows, 5);
        double *want = ref_zeros(n), *size = ref_zeros(n);
        for (uint32_t c = 0; c < cols; c++) spread[c] = c % 7 ? fabsf(spread[c]) : 0; // a constant
        for (uint32_t i = 0; i < n; i++) {
            uint32_t c = i % cols;
            double by = s & 1 ? (double)alpha * (double)factor[i / cols] : 1;
            double deviation = sqrt((double)spread[c] / (double)over + (double)least);
            by /= deviation + (double)least;
            want[i] = ((double)x[i] - (double)mean[c]) * by;
            size[i] = (fabs((double)x[i]) + fabs((double)mean[c])) * fabs(by);
        }
        fbuf y = rig_out(rig, n);
        op_normalise_rows(&rig->cmd,
                          (struct normalise_rows_args){
                              rig_in(rig, x, n), rig_in(rig, mean, cols), rig_in(rig, spread, cols),
                              rig_in(rig, factor, rows), y, rows, cols, over, least, alpha});
        rig_run(rig);
        rig_near(rig, "normalise_rows", y, want, size, n, 16);
        void *mine[] = {x, mean, spread, factor, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_OPTIMIZER(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
