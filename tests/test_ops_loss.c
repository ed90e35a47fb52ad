// Losses over rows of logits, and the best of a row.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/top_k.h"
#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "state.def"

static const uint32_t sizes[] = {1, 31, 256, 257, 49153};

// Logits to 8 in size: exp of x - lse is off by 2 (3 + 2 |x - lse|) units of 2^-24 and by the
// error of x - lse itself, which is the sum's depth and the rounding of about 24.
static double exp_factor(uint32_t cols)
{
    return 2 * rig_depth(cols) + 2 * (3 + 2 * 24) + 24;
}

static void test_cross_entropy(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s], rows = 3, target[] = {0, n - 1, n / 2};
        uint64_t all = (uint64_t)rows * n;
        float *x = rig_random(rig, all, 8);
        for (uint32_t i = 0; i < n; i++) x[n + i] += 1000; // must not overflow
        double *wide = ref_wide(x, all), lse[3], loss[3];
        const double size[] = {24, 1024, 24};
        fbuf to_lse = rig_out(rig, rows), to_loss = rig_out(rig, rows);
        op_cross_entropy(&rig->cmd, (struct cross_entropy_args){
                                        rig_in(rig, x, all), rig_in(rig, target, rows), to_lse,
                                        to_loss, rows, n});
        rig_run(rig);
        for (uint32_t r = 0; r < rows; r++) {
            lse[r] = ref_lse(wide + r * n, n);
            loss[r] = ref_cross_entropy(wide + r * n, n, target[r]);
        }
        rig_near(rig, "cross_entropy: lse", to_lse, lse, size, rows, 4 + exp_factor(n) / 24);
        rig_near(rig, "cross_entropy: loss", to_loss, loss, size, rows, 4 + exp_factor(n) / 24);
        free(x);
        free(wide);
        rig_drop(rig);
    }
}

struct row_slope { // a loss as a function of one row of logits
    double *x, *base;
    uint32_t cols, target;
};

static double entropy_value(void *context)
{
    struct row_slope *s = context;
    return ref_cross_entropy(s->x, s->cols, s->target);
}

static double kl_value(void *context)
{
    struct row_slope *s = context;
    return ref_kl(s->x, s->base, s->cols);
}

static void slopes_check(double (*f)(void *), struct row_slope *s, const double *grad,
                         double weight)
{
    for (uint32_t i = 0; i < s->cols && i < 60; i++)
        assert_true(fabs(weight * ref_slope(f, s, s->x + i) - grad[i]) < 1e-8);
}

static void test_cross_entropy_back(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s], rows = 3, target[] = {0, n - 1, n / 2};
        uint64_t all = (uint64_t)rows * n;
        float *x = rig_random(rig, all, 8), weight[] = {1, 0.125f, -3}, lse[3];
        double *wide = ref_wide(x, all), *want = ref_zeros(all), *size = ref_zeros(all);
        for (uint32_t r = 0; r < rows; r++) {
            struct row_slope c = {wide + r * n, NULL, n, target[r]};
            lse[r] = (float)ref_lse(c.x, n);
            ref_cross_entropy_back(c.x, n, target[r], (double)weight[r], want + r * n);
            if (n < 1000) slopes_check(entropy_value, &c, want + r * n, (double)weight[r]);
            double exact = ref_lse(c.x, n);
            for (uint32_t i = 0; i < n; i++) // p, and 1 to subtract from it
                size[r * n + i] =
                    fabs((double)weight[r]) * (exp(c.x[i] - exact) + (i == target[r]));
        }
        fbuf logits = rig_change(rig, x, all);
        op_cross_entropy_back(&rig->cmd, (struct cross_entropy_back_args){
                                             rig_in(rig, target, rows), rig_in(rig, lse, rows),
                                             rig_in(rig, weight, rows), logits, rows, n});
        rig_run(rig);
        rig_near(rig, "cross_entropy_back", logits, want, size, all, exp_factor(1));
        void *mine[] = {x, wide, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

static void test_kl(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s], rows = 3;
        uint64_t all = (uint64_t)rows * n;
        float *x = rig_random(rig, all, 8), *base = rig_random(rig, all, 8);
        memcpy(base, x, n * sizeof *x); // the same: KL is 0
        double *wide = ref_wide(x, all), *wide_base = ref_wide(base, all);
        double lse[6], loss[3], size[3] = {1, 1, 1};
        const double lse_size[] = {24, 24, 24, 24, 24, 24};
        fbuf to_lse = rig_out(rig, 2 * rows), to_loss = rig_out(rig, rows);
        op_kl(&rig->cmd, (struct kl_args){rig_in(rig, x, all), rig_in(rig, base, all), to_lse,
                                          to_loss, rows, n});
        rig_run(rig);
        for (uint32_t r = 0; r < rows; r++) {
            const double *p = wide + r * n, *q = wide_base + r * n;
            lse[2 * r] = ref_lse(p, n);
            lse[2 * r + 1] = ref_lse(q, n);
            loss[r] = ref_kl(p, q, n);
            for (uint32_t i = 0; i < n; i++)
                size[r] += exp(p[i] - lse[2 * r]) * fabs(p[i] - lse[2 * r] - q[i] + lse[2 * r + 1]);
        }
        rig_near(rig, "kl: lse", to_lse, lse, lse_size, 2 * rows, 4 + exp_factor(n) / 24);
        // log p - log q is off by the rounding of four numbers up to 24 in size.
        rig_near(rig, "kl: loss", to_loss, loss, size, rows, 4 * 24 + exp_factor(n));
        void *mine[] = {x, base, wide, wide_base};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

static void test_kl_back(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = sizes[s];
        const float weight = 0.0625f;
        float *x = rig_random(rig, n, 8), *base = rig_random(rig, n, 8), lse[2], loss;
        double *p = ref_wide(x, n), *q = ref_wide(base, n);
        double *want = ref_zeros(n), *size = ref_zeros(n), p_lse = ref_lse(p, n);
        double q_lse = ref_lse(q, n), kl = ref_kl(p, q, n);
        lse[0] = (float)p_lse;
        lse[1] = (float)q_lse;
        loss = (float)kl;
        struct row_slope c = {p, q, n, 0};
        ref_kl_back(p, q, n, (double)weight, want);
        if (n < 1000) slopes_check(kl_value, &c, want, (double)weight);
        for (uint32_t i = 0; i < n; i++)
            size[i] = (double)weight * exp(p[i] - p_lse) *
                      (1 + kl + fabs(p[i] - p_lse - q[i] + q_lse));
        fbuf logits = rig_change(rig, x, n);
        op_kl_back(&rig->cmd, (struct kl_back_args){rig_in(rig, base, n), rig_in(rig, lse, 2),
                                                    rig_in(rig, &loss, 1), logits, 1, n, weight});
        rig_run(rig);
        rig_near(rig, "kl_back", logits, want, size, n, 4 * 24 + exp_factor(1));
        void *mine[] = {x, base, p, q, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

static void test_top_k(void **state)
{
    struct rig *rig = *state;
    const uint32_t shapes[][3] = {
        {1, 1, 1}, {2, 31, 31}, {3, 256, 1}, {3, 257, 50}, {2, 49153, 20}, {1, 49153, 200}};
    for (size_t s = 0; s < 3 * COUNT(shapes); s++) {
        uint32_t rows = shapes[s / 3][0], n = shapes[s / 3][1], k = shapes[s / 3][2];
        uint64_t all = (uint64_t)rows * n;
        float *x = rig_random(rig, all, 8);
        for (uint64_t i = 0; i < all && s % 3 == 1; i++) x[i] = floorf(x[i]); // ties
        for (uint64_t i = 0; i < all && s % 3 == 2; i++) x[i] = -7;           // nothing but ties
        uint32_t *want = rig_memory((uint64_t)rows * k, sizeof *want);
        fbuf ids = rig_out(rig, (uint64_t)rows * k), values = rig_out(rig, (uint64_t)rows * k);
        top_k(&rig->cmd, rig_in(rig, x, all), ids, values, rows, n, k);
        rig_run(rig);
        for (uint32_t r = 0; r < rows; r++) ref_top_k(x + r * n, n, k, want + r * k);
        assert_memory_equal(rig_words(rig, ids), want, (uint64_t)rows * k * sizeof *want);
        for (uint32_t i = 0; i < rows * k; i++)
            assert_true(rig_floats(rig, values)[i] == x[i / k * n + want[i]]);
        free(x);
        free(want);
        rig_drop(rig);
    }
}

// Every dtype is counted in test_gemm.c.
static void test_count_nonfinite(void **state)
{
    struct rig *rig = *state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    const uint32_t many[] = {1, 31, 256, 257, 100003};
    for (size_t s = 0; s < 4 * COUNT(many); s++) {
        uint32_t n = many[s / 4], groups = s & 1 ? 7 : 256, wanted = 0, got = 0;
        float *x = rig_random(rig, n, 3e38);
        for (uint32_t i = 0; s & 2 && i < n; i += 1 + n / 50, wanted++) x[i] = bad[i % 3];
        if (s & 2 && n > 1 && isfinite(x[n - 1])) x[n - 1] = bad[0], wanted++;
        fbuf y = rig_out(rig, groups);
        op_count_nonfinite(&rig->cmd, (struct count_nonfinite_args){rig_in(rig, x, n), y, n,
                                                                    groups, 0});
        rig_run(rig);
        for (uint32_t i = 0; i < groups; i++) got += rig_words(rig, y)[i];
        assert_int_equal(got, wanted);
        free(x);
        rig_drop(rig);
    }
}

// The first fault stays: the second look finds its place taken.
static void watch_case(struct rig *rig, uint32_t n, uint32_t step, uint32_t at, uint32_t many)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, -0x1p60f};
    float *x = rig_random(rig, (uint64_t)n * step, 0x1.fffffep59);
    const uint32_t none[FAULT_WORDS] = {0};
    for (uint32_t i = 0; i < n * step; i++) // between the values that are looked at
        if (step > 1 && i % step == 1) x[i] = NAN;
    for (uint32_t i = 0; i < many; i++) x[(at + 3 * i) * step] = bad[i % 4];
    fbuf from = rig_in(rig, x, (uint64_t)n * step), fault = rig_change(rig, none, FAULT_WORDS);
    op_watch(&rig->cmd, (struct watch_args){from, fault, n, step, 7});
    op_watch(&rig->cmd, (struct watch_args){from, fault, n, step, 8});
    rig_run(rig);
    const uint32_t *words = rig_words(rig, fault);
    assert_int_equal(words[FAULT_PLACE], many ? 7 : 0);
    assert_int_equal(words[FAULT_COUNT], many);
    assert_int_equal(words[FAULT_FIRST], many ? at : 0);
    free(x);
    rig_drop(rig);
}

static void test_watch(void **state)
{
    const uint32_t many[] = {1, 31, 256, 257, 100003};
    for (size_t s = 0; s < COUNT(many); s++) {
        uint32_t n = many[s];
        for (uint32_t step = 1; step < 6; step += 4) {
            watch_case(*state, n, step, 0, 0);
            watch_case(*state, n, step, n - 1, 1);
            watch_case(*state, n, step, n / 3, n < 200 ? 1 : 40);
        }
    }
}

struct cosine_slope {
    const double *basis;
    double *delta, *grad;
    uint32_t rows, dim;
    int mode;
};

static double cosine_value(void *context)
{
    struct cosine_slope *c = context;
    return ref_cosine(c->basis, c->rows, c->delta, c->dim, c->mode, 50, c->grad);
}

// The operator sees delta and the rows only as dots and lengths.
static void cosine_case(struct rig *rig, uint32_t rows, int mode, bool at_zero)
{
    enum { DIM = 24, AT = STATE_F2 };
    float *basis = rig_random(rig, rows * DIM, 1), *delta = rig_random(rig, DIM, at_zero ? 0 : 3);
    for (uint32_t i = 0; i < DIM && rows > 2; i++) basis[2 * DIM + i] = 0; // no direction
    double *b = ref_wide(basis, rows * DIM), *d = ref_wide(delta, DIM);
    double length2 = 0, grad[DIM] = {0};
    float *dots = rig_memory(rows, sizeof *dots), *norms = rig_memory(rows, sizeof *norms);
    float start[STATE_SIZE] = {[STATE_STEP] = 3, [STATE_F1] = 5, [STATE_F1 + 1] = 6};
    for (uint32_t i = 0; i < DIM; i++) length2 += d[i] * d[i];
    start[STATE_LENGTH2] = (float)length2;
    for (uint32_t r = 0; r < rows; r++) {
        double dot = 0, norm = 0;
        for (uint32_t i = 0; i < DIM; i++) dot += b[r * DIM + i] * d[i];
        for (uint32_t i = 0; i < DIM; i++) norm += b[r * DIM + i] * b[r * DIM + i];
        dots[r] = (float)dot;
        norms[r] = (float)norm;
    }
    struct cosine_slope c = {b, d, grad, rows, DIM, mode};
    double f = cosine_value(&c), trash[DIM], got[DIM] = {0}, size[DIM], f_size = 50;
    c.grad = trash;
    for (uint32_t i = 0; i < DIM && !at_zero && mode != 1; i++)
        assert_true(fabs(ref_slope(cosine_value, &c, d + i) - grad[i]) < 1e-6);
    fbuf to = rig_change(rig, start, STATE_SIZE), coef = rig_out(rig, rows);
    op_cosine(&rig->cmd, (struct cosine_args){rig_in(rig, dots, rows), rig_in(rig, norms, rows),
                                              to, coef, rows, (uint32_t)mode, AT, 50});
    rig_run(rig);
    const float *now = rig_floats(rig, to);
    for (uint32_t i = 0; i < STATE_SIZE; i++)
        assert_true(i == AT || i == AT + 1 || now[i] == start[i]);
    for (uint32_t i = 0; i < DIM; i++) {
        for (uint32_t r = 0; r < rows; r++)
            got[i] += (double)rig_floats(rig, coef)[r] * b[r * DIM + i];
        got[i] += (double)now[AT + 1] * d[i];
        size[i] = at_zero ? 0 : 2 * 2 * 50 / sqrt(length2); // |slope| <= 2, two parts
    }
    float narrow[DIM];
    for (uint32_t i = 0; i < DIM; i++) narrow[i] = (float)got[i];
    rig_near_host(rig, "cosine: f", now + AT, &f, &f_size, 1, rig_depth(rows) + 16);
    rig_near_host(rig, "cosine: gradient", narrow, grad, size, DIM, rig_depth(rows) + 16);
    void *mine[] = {basis, delta, b, d, dots, norms};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

static void test_cosine(void **state)
{
    const uint32_t rows[] = {1, 31, 256, 257};
    for (int i = 0; i < 24; i++) cosine_case(*state, rows[i % 4], i / 4 % 3, i >= 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_LOSS(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
