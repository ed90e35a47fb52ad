// Three faults put into copies of our shaders (tests/CMakeLists.txt): a wrong order of a reduction,
// a fused multiply-add, a race. Strict numbers are compared bit by bit with plain C that follows
// the order the shaders state, so each of them must show, and the shaders as they are must not.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "broken.inc" // broken_NAME: struct shader

enum { ROWS = 20, COLS = 1000, OUTS = 24, INNER = 64 };

struct case_ { // of both operators; sizes of a real call, every sum with rounding at every step
    struct rig *rig, *fast; // strict numbers; as the driver likes
    float *x, *w;           // [ROWS, COLS], [COLS], or [ROWS, INNER], [OUTS, INNER]
    float dots[ROWS], product[ROWS * OUTS];
};

static int open_case(void **state)
{
    struct case_ *c = rig_memory(1, sizeof *c);
    c->rig = rig_memory(1, sizeof *c->rig);
    c->rig->dev = rig_memory(1, sizeof *c->rig->dev);
    void *fast = NULL;
    if (rig_open(&fast) != 0) return -1;
    c->fast = fast;
    if (!device_open(c->rig->dev, &(struct device_options){.strict = true})) {
        fprintf(stderr, "%s\n", status_message());
        return -1;
    }
    c->rig->random = c->fast->random;
    c->x = rig_random(c->rig, ROWS * COLS, 1);
    c->w = rig_random(c->rig, OUTS * COLS, 1);
    // Magnitudes from 2^-12 to 2^12: what is lost depends on who meets whom.
    for (int i = 0; i < ROWS * COLS; i++) c->x[i] = ldexpf(c->x[i], i * 7 % 25 - 12);
    *state = c;
    return 0;
}

static int close_case(void **state)
{
    struct case_ *c = *state;
    void *rig = c->rig, *fast = c->fast;
    rig_close(&rig);
    rig_close(&fast);
    free(c->x);
    free(c->w);
    free(c);
    return 0;
}

// The build of production, by its name in builds.inc.
static const struct shader *good(const char *name)
{
    for (uint32_t i = 0; i < op_build_count(); i++) {
        enum op op;
        bool fast, strict;
        const struct shader *shader = op_build_shader(i, &op, &fast, &strict);
        if (strict && strcmp(shader->name, name) == 0) return shader;
    }
    fail_msg("there is no build %s", name);
    return NULL;
}

// How many of n values have other bits than wanted.
static uint32_t differing(const float *got, const float *want, uint32_t n)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) count += memcmp(&got[i], &want[i], sizeof *got) != 0;
    return count;
}

// y[r] = x[r] . w as dot_rows.comp and reduce.glsl say: each of 64 threads adds up every 64th
// product, then eight times eight sums, then the eight.
static void dots_in_c(const struct case_ *c, float *y)
{
    for (int r = 0; r < ROWS; r++) {
        float of_thread[64] = {0}, part[8];
        for (int i = 0; i < COLS; i++) of_thread[i % 64] += c->x[r * COLS + i] * c->w[i];
        for (int i = 0; i < 8; i++) {
            part[i] = of_thread[8 * i];
            for (int j = 1; j < 8; j++) part[i] += of_thread[8 * i + j];
        }
        y[r] = part[0];
        for (int i = 1; i < 8; i++) y[r] += part[i];
    }
}

static uint32_t dots(struct case_ *c, const struct shader *shader)
{
    float want[ROWS];
    dots_in_c(c, want);
    fbuf x = rig_in(c->rig, c->x, ROWS * COLS), w = rig_in(c->rig, c->w, COLS);
    fbuf y = rig_out(c->rig, ROWS);
    struct dot_rows_args a = {.x = x, .w = w, .y = y, .rows = ROWS, .cols = COLS, .w_step = 0};
    cmd_dispatch(&c->rig->cmd, &(struct dispatch){.shader = shader, .name = "dot_rows",
                                                  .access = "rrw", .push = &a,
                                                  .push_bytes = sizeof a,
                                                  .groups = {ROWS, 1, 1}});
    rig_run(c->rig);
    uint32_t count = differing(rig_floats(c->rig, y), want, ROWS);
    memcpy(c->dots, rig_floats(c->rig, y), sizeof c->dots);
    rig_drop(c->rig);
    printf("%-24s %3u of %u sums differ\n", shader->name, count, ROWS);
    return count;
}

// y = x w^T, every sum in the order of the inner index (tile.glsl), one rounding an operation; the
// first of every four products unrounded if `fused`.
static void product_in_c(const struct case_ *c, bool fused, float *y)
{
    for (int r = 0; r < ROWS; r++)
        for (int o = 0; o < OUTS; o++) {
            float sum = 0;
            for (int k = 0; k < INNER; k++) {
                float u = c->x[r * INNER + k], v = c->w[o * INNER + k];
                sum = fused && k % 4 == 0 ? fmaf(u, v, sum) : sum + u * v;
            }
            y[r * OUTS + o] = sum;
        }
}

static uint32_t product(struct case_ *c, struct rig *rig, const struct shader *shader, bool shared)
{
    const uint32_t across = shared ? 64 : 64 * 4, tile = shared ? 64 : 16;
    float want[ROWS * OUTS];
    product_in_c(c, false, want);
    fbuf x = rig_in(rig, c->x, ROWS * INNER), w = rig_in(rig, c->w, OUTS * INNER);
    fbuf y = rig_out(rig, ROWS * OUTS);
    struct gemm_nt_args a = {.x = x, .w = w, .r = x, .y = y, .rows = ROWS, .outs = OUTS,
                             .inner = INNER, .ldx = INNER, .ldw = INNER, .ldy = OUTS, .alpha = 1};
    cmd_dispatch(&rig->cmd,
                 &(struct dispatch){.shader = shader,
                                    .name = "gemm_nt",
                                    .access = "rrrw",
                                    .push = &a,
                                    .push_bytes = sizeof a,
                                    .local = shared ? 256 : 64,
                                    .groups = {CEIL(OUTS, across), CEIL(ROWS, tile), 1}});
    rig_run(rig);
    uint32_t count = differing(rig_floats(rig, y), want, ROWS * OUTS);
    memcpy(c->product, rig_floats(rig, y), sizeof c->product);
    rig_drop(rig);
    printf("%-24s %3u of %u sums differ\n", shader->name, count, ROWS * OUTS);
    return count;
}

static void test_order(void **state)
{
    struct case_ *c = *state;
    assert_int_equal(dots(c, good("dot_rows")), 0);
    assert_true(dots(c, &broken_order) > ROWS / 2);
}

static void test_fused(void **state)
{
    struct case_ *c = *state;
    float fused[ROWS * OUTS];
    product_in_c(c, true, fused);
    assert_int_equal(product(c, c->rig, good("gemm_nt_16x4w4"), false), 0);
    assert_true(product(c, c->rig, &broken_fused, false) > ROWS * OUTS / 8);
    // It is what it says.
    assert_true(differing(c->product, fused, ROWS * OUTS) < ROWS * OUTS / 100);
    // fma() itself does not pass the stamper, which makes two operations of it.
    assert_int_equal(product(c, c->rig, &broken_fma, false), 0);
}

// Without the stamper fma() is what the driver makes of it: one rounding, which shows, or two.
static void test_unstamped(void **state)
{
    struct case_ *c = *state;
    float fused[ROWS * OUTS];
    product_in_c(c, true, fused);
    uint32_t count = product(c, c->fast, &broken_fma, false);
    if (count == 0) {
        printf("%s rounds the product of fma(), too\n", c->fast->dev->info.name);
    } else if (strcmp(c->fast->dev->info.type, "CPU") == 0) {
        // A GPU may contract the other products, too.
        assert_int_equal(differing(c->product, fused, ROWS * OUTS), 0);
        assert_true(count > ROWS * OUTS / 8);
    }
}

// On a CPU a thread runs up to the next barrier before the next one begins, so a missing one always
// shows; where a subgroup of a GPU holds the whole workgroup it never does.
static void test_race(void **state)
{
    struct case_ *c = *state;
    assert_int_equal(dots(c, good("dot_rows")), 0);
    assert_int_equal(product(c, c->rig, good("gemm_nt_64x4w1"), true), 0);
    if (strcmp(c->rig->dev->info.type, "CPU") != 0) {
        printf("skipped: on %s a race need not show\n", c->rig->dev->info.name);
        skip();
    }
    assert_true(dots(c, &broken_race) > ROWS / 2);
    assert_true(product(c, c->rig, &broken_stage, true) > ROWS * OUTS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order), cmocka_unit_test(test_fused),
        cmocka_unit_test(test_unstamped), cmocka_unit_test(test_race),
    };
    return cmocka_run_group_tests(tests, open_case, close_case);
}
