// Strict losses over rows of logits and the optimisation of the value against plain C, bit for bit.
#include <stdlib.h>
#include <string.h>

#include "check/twin.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_quant.h"
#include "ref_twin.h"
#include "state.def"

static const uint32_t sizes[] = {1, 31, 64, 257, 1000};

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

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_LOSS(CASE) CASES_OPTIMIZER(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, twin_open, rig_close);
}
