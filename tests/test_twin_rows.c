// Strict operators on rows and vectors against plain C, bit for bit.
#include <stdlib.h>
#include <string.h>

#include "check/twin.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_quant.h"
#include "ref_twin.h"

static const uint32_t sizes[] = {1, 31, 64, 257, 1000};
static const uint32_t quads[] = {4, 60, 256, 260, 1028}; // multiples of 4

static void test_embed(void **state)
{
    struct rig *rig = *state;
    for (uint32_t type = 0; type < DTYPE_COUNT; type++) {
        const uint32_t cols = 512, vocab = 5, rows = 7, n = vocab * cols;
        uint64_t bytes = 4 * n;
        void *w = type ? (void *)ref_random_blocks((enum dtype)type, n, &rig->random, &bytes)
                       : (void *)wild(rig, n, 60);
        TWIN_CASE(rig, embed, {.w = rig_in(rig, w, bytes / 4), .tokens = ids_in(rig, rows, vocab),
                               .y = rig_out(rig, rows * cols), .rows = rows, .cols = cols,
                               .type = type});
        free(w);
    }
    EACH_OF(i, quads)
        TWIN_CASE(rig, embed, {.w = wild_in(rig, 9 * quads[i], 80), .tokens = ids_in(rig, 5, 9),
                               .y = rig_out(rig, 5 * quads[i]), .rows = 5, .cols = quads[i]});
}

static void test_rmsnorm(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2 * COUNT(quads); i++) {
        uint32_t n = quads[i / 2], all = 3 * n;
        TWIN_CASE(rig, rmsnorm, {.x = i & 1 ? wild_in(rig, all, 12) : even_in(rig, all, 1e-4),
                                 .w = wild_in(rig, n, 4), .y = rig_out(rig, all), .rows = 3,
                                 .cols = n, .eps = 1e-5f});
    }
}

static void test_rmsnorm_back(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2 * COUNT(quads); i++) {
        uint32_t n = quads[i / 2], all = 3 * n;
        TWIN_CASE(rig, rmsnorm_back,
                  {.x = i & 1 ? wild_in(rig, all, 12) : even_in(rig, all, 1e-2),
                   .w = wild_in(rig, n, 4), .dy = wild_in(rig, all, 20),
                   .dx = wild_change(rig, all, 20), .rows = 3, .cols = n, .eps = 1e-6f});
    }
}

static void test_rope(void **state)
{
    struct rig *rig = *state;
    const uint32_t shapes[][5] = { // rows, heads, kv_heads, v_heads, dim
        {1, 1, 1, 0, 4}, {5, 6, 2, 2, 8}, {33, 9, 3, 3, 64}, {7, 4, 4, 0, 100}};
    for (size_t i = 0; i < 4 * COUNT(shapes); i++) {
        const uint32_t *s = shapes[i / 4], all = s[0] * s[4], slots = s[0] + 3, kv = s[2] * s[4];
        TWIN_CASE(rig, rope,
                  {.q = wild_in(rig, all * s[1], 8), .k = wild_in(rig, all * s[2], 8),
                   .v = wild_in(rig, all * s[2], 70), .table = even_in(rig, 11 * s[4], 1),
                   .pos = ids_in(rig, s[0], 11), .slot = order_in(rig, s[0], slots),
                   .q_out = rig_out(rig, all * s[1]), .k_out = rig_out(rig, slots * kv),
                   .v_out = rig_out(rig, slots * kv), .rows = s[0], .heads = s[1],
                   .kv_heads = s[2], .v_heads = s[3], .dim = s[4], .interleaved = i & 1,
                   .sign = i & 2 ? -1 : 1});
    }
}

static void test_scatter_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, scatter_rows,
                  {.x = wild_in(rig, 5 * sizes[i], 60), .slot = order_in(rig, 5, 8),
                   .y = rig_out(rig, 8 * sizes[i]), .rows = 5, .cols = sizes[i]});
}

static void test_gather_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, gather_rows,
                  {.x = wild_in(rig, 8 * sizes[i], 60), .index = ids_in(rig, 5, 8),
                   .y = rig_out(rig, 5 * sizes[i]), .rows = 5, .cols = sizes[i]});
}

static void test_add_row(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, add_row, {.x = wild_in(rig, sizes[i], 20), .index = order_in(rig, 5, 8),
                                 .y = wild_change(rig, 8 * sizes[i], 20), .count = 5,
                                 .cols = sizes[i]});
}

static void test_sum_rows(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
    TWIN_CASE(rig, sum_rows,
              {.x = wild_in(rig, 40 * sizes[i], 40),
               .index = ids_in(rig, 23, 40),
               .weight = wild_in(rig, 23, 30),
               .y = rig_out(rig, sizes[i]),
               .count = 23,
               .cols = sizes[i]});
}

static void test_outer(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, outer, {.u = wild_in(rig, 9, 20), .v = wild_in(rig, sizes[i], 20),
                               .w = wild_change(rig, 9 * sizes[i], 20), .rows = 9,
                               .cols = sizes[i], .alpha = -0.37f});
}

static void test_outer_some(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, outer_some, {.u = wild_in(rig, 9, 20), .v = wild_in(rig, sizes[i], 20),
                                    .w = wild_change(rig, 9 * sizes[i], 20), .rows = 9,
                                    .cols = sizes[i], .seed = 7, .number = 3,
                                    .zeros = 1u << 31});
}

static void test_silu_gate(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, quads)
        TWIN_CASE(rig, silu_gate, {.g = wild_in(rig, quads[i], 7), .u = wild_in(rig, quads[i], 40),
                                   .y = rig_out(rig, quads[i]), .n = quads[i]});
}

static void test_silu_gate_back(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, quads)
        TWIN_CASE(rig, silu_gate_back,
                  {.g = wild_in(rig, quads[i], 7), .u = wild_in(rig, quads[i], 20),
                   .dy = wild_in(rig, quads[i], 30), .dg = rig_out(rig, quads[i]),
                   .du = rig_out(rig, quads[i]), .n = quads[i]});
}

static void test_fill(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, fill, {.y = rig_out(rig, sizes[i]), .n = sizes[i], .value = -1.7e-30f});
}

static void test_axpby(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 2];
        TWIN_CASE(rig, axpby, {.x = wild_in(rig, n, 40),
                               .y = i & 1 ? wild_change(rig, n, 40) : rig_out(rig, n), .n = n,
                               .alpha = -0.7f, .beta = i & 1 ? 1.3f : 0});
    }
}

static void test_calm_weights(void **state)
{
    struct rig *rig = *state;
    for (uint32_t type = 0; type <= 2; type += 2)
        EACH_OF(i, sizes)
            TWIN_CASE(rig, calm_weights, {.w = wild_change(rig, sizes[i], 80), .n = sizes[i],
                                          .type = type});
}

static void test_dot_rows(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 2];
        TWIN_CASE(rig, dot_rows, {.x = wild_in(rig, 3 * n, 25), .w = wild_in(rig, 3 * n, 25),
                                  .y = rig_out(rig, 3), .rows = 3, .cols = n,
                                  .w_step = i & 1 ? n : 0});
    }
}

static void test_sum_parts(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 2];
        TWIN_CASE(rig, sum_parts, {.x = wild_in(rig, 7 * n, 30), .r = wild_in(rig, n, 30),
                                   .y = rig_out(rig, n), .parts = 7, .n = n, .add = i & 1});
    }
}

// What has no strict numbers has no twin.
static void test_probe_fma(void **state)
{
    (void)state;
    assert_null(twin_float[OP_probe_fma]);
}

static void test_probe_memory(void **state)
{
    (void)state;
    assert_null(twin_float[OP_probe_memory]);
    assert_null(twin_float[OP_gemm_coop]);
}

static void test_evaluate(void **state)
{
    struct rig *rig = *state;
    for (uint32_t f = 0; f < 4; f++)
        EACH_OF(i, sizes)
            TWIN_CASE(rig, evaluate, {.x = wild_in(rig, sizes[i], f ? 90 : 7),
                                      .w = wild_in(rig, sizes[i], 90),
                                      .y = rig_out(rig, sizes[i]), .n = sizes[i], .function = f});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_ROWS(CASE) CASES_VECTORS(CASE) CASES_NUMBERS(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, twin_open, rig_close);
}
