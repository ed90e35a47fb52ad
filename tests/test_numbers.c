// The strict functions of shaders/numbers.glsl: the device's bits against check/numbers.c, and the
// error against the C library in double precision, over the whole range of floats. Every STRIDEth
// float is taken; OEDIT_EVERY=1 takes all 2^32 (minutes on a CPU).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/numbers.h"
#include "ops/ops.h"
#include "ref_must.h"
#include "vk/buffer.h"

enum { EXP, LOG, SQRT, DIV, CHUNK = 1 << 20 };

struct bench {
    struct device dev;
    struct cmd cmd;
    struct buffer *x, *w, *y;
    uint32_t in[CHUNK], under[CHUNK], out[CHUNK];
    uint32_t stride;
};

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static int open_bench(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    const char *every = getenv("OEDIT_EVERY");
    if (!b || !device_open(&b->dev, &(struct device_options){.strict = true}) ||
        !buffer_new(&b->dev, sizeof b->in, "x", &b->x) ||
        !buffer_new(&b->dev, sizeof b->in, "w", &b->w) ||
        !buffer_new(&b->dev, sizeof b->in, "y", &b->y)) {
        fprintf(stderr, "%s\n", status_message());
        return -1;
    }
    // A prime: all exponents, all ends.
    b->stride = every ? (uint32_t)strtoul(every, NULL, 10) : 997;
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    buffer_free(&b->dev, &b->x);
    buffer_free(&b->dev, &b->w);
    buffer_free(&b->dev, &b->y);
    device_close(&b->dev);
    free(b);
    return 0;
}

static void run(struct bench *b, uint32_t function, uint32_t n)
{
    assert_true(buffer_write(&b->dev, b->x, 0, b->in, n * sizeof *b->in));
    assert_true(buffer_write(&b->dev, b->w, 0, b->under, n * sizeof *b->in));
    cmd_start(&b->cmd, &b->dev, false);
    op_evaluate(&b->cmd, (struct evaluate_args){.x = b->x->address, .w = b->w->address,
                                                .y = b->y->address, .n = n, .function = function});
    assert_true(cmd_run_once(&b->cmd));
    cmd_free(&b->cmd);
    assert_true(buffer_read(&b->dev, b->y, 0, b->out, n * sizeof *b->out));
}

static float twin(uint32_t function, float x, float w)
{
    if (function == EXP) return strict_exp(x);
    if (function == LOG) return strict_log(x);
    return function == SQRT ? strict_sqrt(x) : strict_div(x, w);
}

// In double precision, of arguments as the functions see them: denormals are zero.
static double truth(uint32_t function, float x, float w)
{
    double a = fpclassify(x) == FP_SUBNORMAL ? copysign(0, (double)x) : (double)x;
    double b = fpclassify(w) == FP_SUBNORMAL ? copysign(0, (double)w) : (double)w;
    if (function == EXP) return exp(a);
    if (function == LOG) return log(a);
    return function == SQRT ? sqrt(a) : a / b;
}

// In units of the last place of `want`; infinite where one is finite or a number and the other not.
static double ulps(float got, double want)
{
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (fabs(want) < 0x1p-126) return got == 0 || fabsf(got) == 0x1p-126f ? 0 : INFINITY;
    // Past half a unit beyond the largest float nothing but infinity is right, at it both are.
    if (isinf(got)) return fabs(want) >= 0x1.ffffffp127 && (want > 0) == (got > 0) ? 0 : INFINITY;
    return fabs((double)got - want) / ldexp(1, ilogb(want) - 23);
}

static void check(struct bench *b, uint32_t function, uint32_t n, double *worst, float *at)
{
    run(b, function, n);
    for (uint32_t i = 0; i < n; i++) {
        float x = float_of(b->in[i]), w = float_of(b->under[i]), want = twin(function, x, w), got;
        got = float_of(b->out[i]);
        if (memcmp(&got, &want, sizeof got) != 0 && !(isnan(got) && isnan(want)))
            fail_msg("function %u of %a, %a: device %a, C %a", function, (double)x, (double)w,
                     (double)got, (double)want);
        double error = ulps(got, truth(function, x, w));
        if (error > *worst) {
            *worst = error;
            *at = x;
        }
    }
}

static void all_floats(struct bench *b, uint32_t function, const char *name, double bound)
{
    double worst = 0;
    float at = 0;
    uint64_t tested = 0;
    for (uint64_t bits = 0; bits < 1ull << 32;) {
        uint32_t n = 0;
        for (; n < CHUNK && bits < 1ull << 32; n++, bits += b->stride) {
            b->in[n] = (uint32_t)bits;
            // of div: any other float, and in turn one of a near exponent
            b->under[n] = (uint32_t)bits * 2654435761u;
            if (n & 1) b->under[n] = (b->under[n] & 0x807fffffu) | ((uint32_t)bits & 0x7f800000u);
        }
        check(b, function, n, &worst, &at);
        tested += n;
    }
    printf("%-5s %llu arguments, largest error %.3f ulp, at %a\n", name,
           (unsigned long long)tested, worst, (double)at);
    assert_true(worst <= bound);
}

static void test_exp(void **state) { all_floats(*state, EXP, "exp", 1.25); }
static void test_log(void **state) { all_floats(*state, LOG, "log", 1); }
static void test_sqrt(void **state) { all_floats(*state, SQRT, "sqrt", 1); }
static void test_div(void **state) { all_floats(*state, DIV, "div", 1.5); }

// Where each function changes its ways: ends of ranges, ties of the reduction, near 1.
static void test_edges(void **state)
{
    struct bench *b = *state;
    static const float around[] = {0,        0x1p-149f, 0x1p-126f,  0x1p-63f, 1,     0x1.6a09e6p+0f,
                                   2,        4,         0x1.62e43p-2f, 88.72284f, -87.33655f, -104,
                                   89,       0x1p127f,  0x1.fffffep127f, INFINITY, 3,  0.5f};
    double worst = 0;
    float at = 0;
    for (uint32_t function = EXP; function <= DIV; function++) {
        uint32_t n = 0;
        for (size_t i = 0; i < COUNT(around); i++)
            for (int32_t step = -200; step <= 200; step++)
                for (uint32_t sign = 0; sign < 2; sign++) {
                    uint32_t bits;
                    memcpy(&bits, &around[i], sizeof bits);
                    b->in[n] = (bits + (uint32_t)step) ^ sign << 31;
                    memcpy(&b->under[n], &around[(size_t)(step + 200) % 18], sizeof bits);
                    n++;
                }
        check(b, function, n, &worst, &at);
    }
    assert_true(worst <= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges), cmocka_unit_test(test_exp), cmocka_unit_test(test_log),
        cmocka_unit_test(test_sqrt),  cmocka_unit_test(test_div),
    };
    return cmocka_run_group_tests(tests, open_bench, close_bench);
}
