// Strict operators on rows, on logits and of attention against plain C, bit for bit.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h" // before cmocka.h, which has a macro fail()

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "check/twin.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_quant.h"
#include "ref_twin.h"
#include "state.def"

#define EACH_OF(i, array) for (size_t i = 0; i < COUNT(array); i++)

static const uint32_t sizes[] = {1, 31, 64, 257, 1000};
static const uint32_t quads[] = {4, 60, 256, 260, 1028}; // multiples of 4

// ---- rows ----
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

// ---- losses ----
static void test_cross_entropy(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, cross_entropy,
                  {.logits = wild_in(rig, 3 * sizes[i], 6), .target = ids_in(rig, 3, sizes[i]),
                   .lse = rig_out(rig, 3), .loss = rig_out(rig, 3), .rows = 3, .cols = sizes[i]});
}

static void test_cross_entropy_back(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, cross_entropy_back,
                  {.target = ids_in(rig, 3, sizes[i]), .lse = some_in(rig, 3, 5, 20),
                   .weight = wild_in(rig, 3, 3), .logits = wild_change(rig, 3 * sizes[i], 6),
                   .rows = 3, .cols = sizes[i]});
}

static void test_kl(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, kl, {.logits = wild_in(rig, 2 * sizes[i], 5),
                            .base = wild_in(rig, 2 * sizes[i], 5), .lse = rig_out(rig, 4),
                            .loss = rig_out(rig, 2), .rows = 2, .cols = sizes[i]});
}

static void test_kl_back(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes)
        TWIN_CASE(rig, kl_back,
                  {.base = wild_in(rig, 2 * sizes[i], 5), .lse = some_in(rig, 4, 5, 20),
                   .loss = some_in(rig, 2, 0, 2), .logits = wild_change(rig, 2 * sizes[i], 5),
                   .rows = 2, .cols = sizes[i], .weight = 0.0625f});
}

static void test_top_k(void **state)
{
    struct rig *rig = *state;
    EACH_OF(i, sizes) { // in two dispatches
        uint32_t n = sizes[i], k = n < 5 ? n : 5, ids[15] = {0};
        float values[15] = {0}, *x = wild(rig, 3 * n, 6);
        for (int part = 0; part < 2; part++) {
            uint32_t first = part ? k / 2 : 0;
            fbuf v = rig_change(rig, values, 3 * k);
            ubuf id = rig_change(rig, ids, 3 * k);
            const struct top_k_args a = {.x = rig_in(rig, x, 3 * n), .ids = id, .values = v,
                                         .rows = 3, .cols = n, .k = k, .first = first,
                                         .passes = part ? k - first : k / 2};
            op_top_k(&rig->cmd, a);
            twin_check(rig, OP_top_k, &a, sizeof a);
            memcpy(values, rig_floats(rig, v), 3 * k * sizeof *values);
            memcpy(ids, rig_words(rig, id), 3 * k * sizeof *ids);
            rig_drop(rig);
        }
        free(x);
    }
}

static void test_count_nonfinite(void **state)
{
    struct rig *rig = *state;
    for (uint32_t type = 0; type < DTYPE_COUNT; type++) {
        uint64_t bytes = 4000;
        const uint32_t n = 64 * 256;
        uint8_t *w = type ? ref_random_blocks((enum dtype)type, n, &rig->random, &bytes)
                          : (uint8_t *)wild(rig, 1000, 60);
        for (uint64_t i = 0; i + 1 < bytes; i += 97 * 2) w[i + 1] |= 0x7c; // some are infinite
        for (uint64_t i = 2; i + 1 < bytes; i += 131 * 2) w[i + 1] = 0x7f, w[i] |= 0x80;
        uint32_t units = type <= DTYPE_BF16 ? (uint32_t)bytes / 4 : n / dtype_table[type].block;
        for (uint32_t groups = 1; groups <= 3; groups += 2)
            TWIN_CASE(rig, count_nonfinite, {.w = rig_in(rig, w, bytes / 4),
                                             .y = rig_out(rig, groups), .n = units,
                                             .groups = groups, .type = type});
        free(w);
    }
}

static void test_watch(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 4 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 4], step = i & 1 ? 3 : 1;
        const uint32_t fault[FAULT_WORDS] = {i & 2 ? 4 : 0};
        float *x = wild(rig, (uint64_t)n * step, 70); // some are over 2^60
        TWIN_CASE(rig, watch, {.x = rig_in(rig, x, (uint64_t)n * step),
                               .fault = rig_change(rig, fault, FAULT_WORDS), .n = n,
                               .step_ = step, .place = 9});
        free(x);
    }
}

static void test_cosine(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 6 * COUNT(sizes); i++) {
        uint32_t rows = sizes[i / 6];
        float values[STATE_SIZE] = {[STATE_LENGTH2] = i & 1 ? 7.3f : 0};
        float *norms = wild(rig, rows, 30);
        for (uint32_t r = 0; r < rows; r++) norms[r] = norms[r] < 0 ? -norms[r] : norms[r];
        TWIN_CASE(rig, cosine, {.dots = wild_in(rig, rows, 8), .norms = rig_in(rig, norms, rows),
                                .state = rig_change(rig, values, STATE_SIZE),
                                .coef = rig_out(rig, rows), .rows = rows, .mode = i / 2 % 3,
                                .out_ = i & 1 ? STATE_F1 : STATE_F2, .weight = 2.1f});
        free(norms);
    }
}

static void test_keep_first(void **state)
{
    struct rig *rig = *state;
    for (size_t i = 0; i < 2 * COUNT(sizes); i++) {
        float values[STATE_SIZE] = {[STATE_STEP] = (float)(i & 1)};
        uint32_t n = sizes[i / 2];
        TWIN_CASE(rig, keep_first, {.x = wild_in(rig, n, 60),
                                    .state = rig_in(rig, values, STATE_SIZE),
                                    .y = wild_change(rig, n, 60), .n = n});
    }
}

// The first step, others, with and without the clamp, the last one, after the last one.
static void test_adam(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 5 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 5], kind = i % 5, losses = 1 + n / 4;
        float values[STATE_SIZE] = {[STATE_STEP] = kind ? (float)(6 * kind) : 0,
                                    [STATE_LENGTH2] = kind ? 3.7f : 0, [STATE_F1] = 0.3f,
                                    [STATE_F1 + 1] = -0.02f, [STATE_F2] = 0.1f,
                                    [STATE_F2 + 1] = 0.03f, [STATE_NEAR] = kind ? 0.7f : 0,
                                    [STATE_FAR] = kind ? 0.02f : 0,
                                    [STATE_STOPPED] = kind == 3};
        float *v = wild(rig, n, 62);
        for (uint32_t j = 0; j < n; j++) v[j] = v[j] < 0 ? -v[j] : v[j];
        TWIN_CASE(rig, adam, {.grad = wild_in(rig, n, 40),
                              .loss = some_in(rig, losses + 1, 0, 6),
                              .delta = kind ? wild_change(rig, n, 10) : even_change(rig, n, 0),
                              .m = wild_change(rig, n, 60), .v = rig_change(rig, v, n),
                              .state = rig_change(rig, values, STATE_SIZE), .n = n,
                              .losses = losses, .rate = 0.5f, .decay = 0.01f, .kl_factor = 0.06f,
                              .stop = 0.05f, .clamp = kind == 2 ? 1e9f : 4, .steps = 24});
        free(v);
    }
}

static void test_adam_weights(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 2 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 2];
        TWIN_CASE(rig, adam_weights, {.grad = wild_in(rig, n, 40), .x = wild_change(rig, n, 10),
                                      .m = wild_change(rig, n, 60), .v = even_change(rig, n, 0),
                                      .n = n, .rate = 5e-4f, .near_ = 0.19f, .far_ = 0.002f,
                                      .limit = i & 1 ? 0.3f : 3e38f});
    }
}

static void test_running_stats(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 3 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 3], rows = 1 + 3 * (i % 3);
        TWIN_CASE(rig, running_stats, {.x = wild_in(rig, rows * n, 20),
                                       .mean = wild_change(rig, n, 20),
                                       .spread = even_change(rig, n, 0), .rows = rows, .cols = n,
                                       .before = (float)(i % 3)});
    }
}

static void test_normalise_rows(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 2 * COUNT(sizes); i++) {
        uint32_t n = sizes[i / 2];
        TWIN_CASE(rig, normalise_rows, {.x = wild_in(rig, 3 * n, 20), .mean = wild_in(rig, n, 20),
                                        .spread = some_in(rig, n, 0, 4),
                                        .factor = wild_in(rig, 3, 10), .y = rig_out(rig, 3 * n),
                                        .rows = 3, .cols = n, .over = 5, .least = 0x1p-23f,
                                        .alpha = i & 1 ? -1e-6f : 0});
    }
}

// ---- attention ----
static const uint32_t heads[][4] = { // rows, heads, kv_heads, dim
    {1, 1, 1, 4}, {5, 4, 2, 20}, {7, 3, 3, 64}, {3, 6, 2, 256}};
enum { SLOTS = 600 };

struct attended {
    const uint32_t *shape;
    uint32_t window, local, first[8], count[8];
    uint64_t all;
};

// Rows that see some, one chunk, and several chunks of keys.
static struct attended attended_of(uint32_t i)
{
    struct attended t = {.shape = heads[i / 4], .window = i & 1 ? 270 : 0,
                         .local = i & 2 ? 64 : 16};
    for (uint32_t r = 0; r < 8; r++) {
        t.count[r] = (const uint32_t[]){3, 256, 590, 1, 257, 512, 77, 300}[r];
        t.first[r] = (SLOTS - t.count[r]) / 2;
    }
    t.all = (uint64_t)t.shape[0] * t.shape[1] * t.shape[3];
    return t;
}

static void test_attention(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 4 * COUNT(heads); i++) {
        struct attended t = attended_of(i);
        const uint32_t *s = t.shape, kv = SLOTS * s[2] * s[3];
        TWIN_CASE(rig, attention,
                  {.q = wild_in(rig, t.all, 3), .k = wild_in(rig, kv, 3),
                   .v = wild_in(rig, kv, 20), .first = rig_in(rig, t.first, s[0]),
                   .count = rig_in(rig, t.count, s[0]), .o = rig_out(rig, t.all),
                   .lse = rig_out(rig, s[0] * s[1]), .rows = s[0], .heads = s[1],
                   .kv_heads = s[2], .dim = s[3], .window = t.window, .scale = 0.11f,
                   .local = t.local});
    }
}

static void test_attention_back_q(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 4 * COUNT(heads); i++) {
        struct attended t = attended_of(i);
        const uint32_t *s = t.shape, kv = SLOTS * s[2] * s[3];
        TWIN_CASE(rig, attention_back_q,
                  {.q = wild_in(rig, t.all, 2), .k = wild_in(rig, kv, 2),
                   .v = wild_in(rig, kv, 10), .first = rig_in(rig, t.first, s[0]),
                   .count = rig_in(rig, t.count, s[0]), .o = wild_in(rig, t.all, 9),
                   .lse = some_in(rig, s[0] * s[1], 4, 30), .dy = wild_in(rig, t.all, 20),
                   .dq = rig_out(rig, t.all), .dot = rig_out(rig, s[0] * s[1]), .rows = s[0],
                   .heads = s[1], .kv_heads = s[2], .dim = s[3], .window = t.window,
                   .scale = 0.11f, .local = t.local});
    }
}

// Two sequences of rows; items of a key are up to two chunks.
static void test_attention_back_kv(void **state)
{
    struct rig *rig = *state;
    for (uint32_t i = 0; i < 4 * COUNT(heads); i++) {
        const uint32_t *s = heads[i / 4], rows = i / 4 == 1 ? 150 : s[0] + 1, cut = rows / 2;
        uint32_t last[150];
        for (uint32_t r = 0; r < rows; r++) last[r] = r < cut ? cut : rows;
        const uint64_t all = (uint64_t)rows * s[1] * s[3], kv = (uint64_t)rows * s[2] * s[3];
        TWIN_CASE(rig, attention_back_kv,
                  {.q = wild_in(rig, all, 2), .k = wild_in(rig, kv, 2), .v = wild_in(rig, kv, 10),
                   .slot = order_in(rig, rows, rows), .last = rig_in(rig, last, rows),
                   .dot = wild_in(rig, rows * s[1], 9), .lse = some_in(rig, rows * s[1], 4, 30),
                   .dy = wild_in(rig, all, 20), .dk = rig_out(rig, kv), .dv = rig_out(rig, kv),
                   .rows = rows, .heads = s[1], .kv_heads = s[2], .dim = s[3],
                   .window = i & 1 ? 70 : 0, .scale = 0.11f, .local = i & 2 ? 64 : 16});
    }
}

static void test_causal_softmax(void **state)
{
    struct rig *rig = *state;
    const uint32_t rows[] = {1, 5, 33, 90};
    for (uint32_t i = 0; i < 2 * COUNT(rows); i++) {
        uint32_t n = rows[i / 2];
        TWIN_CASE(rig, causal_softmax, {.s = wild_change(rig, 3 * n * n, 6), .rows = n, .heads = 3,
                                        .window = i & 1 ? 7 : 0, .scale = 0.4f});
        TWIN_CASE(rig, causal_softmax_back,
                  {.p = some_in(rig, 3 * n * n, 0, 0.1), .ds = wild_change(rig, 3 * n * n, 20),
                   .rows = n, .heads = 3, .scale = 0.4f});
    }
}

static void test_causal_softmax_back(void **state)
{
    struct rig *rig = *state;
    const uint32_t n = 70;
    TWIN_CASE(rig, causal_softmax_back,
              {.p = wild_in(rig, 2 * n * n, 30), .ds = wild_change(rig, 2 * n * n, 30), .rows = n,
               .heads = 2, .scale = 0.1f});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_ROWS(CASE) CASES_NUMBERS(CASE) CASES_LOSS(CASE) CASES_ATTENTION(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, twin_open, rig_close);
}
