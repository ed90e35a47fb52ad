// Strict operators of attention against plain C, bit for bit.
#include "check/twin.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_twin.h"

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
        CASES_ATTENTION(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, twin_open, rig_close);
}
