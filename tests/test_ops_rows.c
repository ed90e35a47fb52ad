// Operators on rows of the residual stream.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_rig.h"

// One thread, half a workgroup, whole workgroups, one more, many.
static const uint32_t sizes[] = {1, 31, 256, 257, 5003};

static void test_embed(void **state)
{
    struct rig *rig = *state;
    const uint32_t cols[] = {4, 32, 256, 260, 1536}, vocab = 37;
    for (size_t s = 0; s < COUNT(cols); s++) {
        uint32_t n = cols[s], rows = 5;
        float *w = rig_random(rig, (uint64_t)vocab * n, 1);
        uint32_t ids[] = {0, vocab - 1, 7, 7, 12};
        fbuf y = rig_out(rig, (uint64_t)rows * n);
        op_embed(&rig->cmd, (struct embed_args){.w = rig_in(rig, w, (uint64_t)vocab * n),
                                                .tokens = rig_in(rig, ids, rows), .y = y,
                                                .rows = rows, .cols = n});
        rig_run(rig);
        for (uint32_t r = 0; r < rows; r++)
            assert_memory_equal(rig_floats(rig, y) + r * n, w + ids[r] * n, n * sizeof *w);
        free(w);
        rig_drop(rig);
    }
}

static void test_rmsnorm(void **state)
{
    struct rig *rig = *state;
    const float eps = 1e-5f;
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t n = 4 * sizes[s], rows = 3;
        float *x = rig_random(rig, (uint64_t)rows * n, 2), *w = rig_random(rig, n, 1);
        for (uint32_t i = 0; i < n; i++) x[n + i] *= 1e-4f; // there eps is most of it
        double *wide_x = ref_wide(x, (uint64_t)rows * n), *wide_w = ref_wide(w, n);
        double *want = ref_zeros((uint64_t)rows * n);
        fbuf y = rig_out(rig, (uint64_t)rows * n);
        op_rmsnorm(&rig->cmd, (struct rmsnorm_args){.x = rig_in(rig, x, (uint64_t)rows * n),
                                                    .w = rig_in(rig, w, n), .y = y, .rows = rows,
                                                    .cols = n, .eps = eps});
        rig_run(rig);
        ref_rmsnorm(wide_x, wide_w, want, rows, n, (double)eps);
        rig_near(rig, "rmsnorm", y, want, NULL, (uint64_t)rows * n, 2 * rig_depth(n));
        free(x);
        free(w);
        free(wide_x);
        free(wide_w);
        free(want);
        rig_drop(rig);
    }
}

struct norm_slope { // sum(dy * rmsnorm(x)) as a function of x
    double *x, *w, *dy, *y, eps;
    uint32_t n;
};

static double norm_value(void *context)
{
    struct norm_slope *c = context;
    double sum = 0;
    ref_rmsnorm(c->x, c->w, c->y, 1, c->n, c->eps);
    for (uint32_t i = 0; i < c->n; i++) sum += c->dy[i] * c->y[i];
    return sum;
}

static void norm_back_case(struct rig *rig, uint32_t n, uint32_t rows)
{
    const float eps = 1e-5f;
    uint64_t all = (uint64_t)rows * n;
    float *x = rig_random(rig, all, 2), *w = rig_random(rig, n, 1), *dy = rig_random(rig, all, 1);
    float *dx = rig_random(rig, all, 1);
    double *wide_x = ref_wide(x, all), *wide_w = ref_wide(w, n), *wide_dy = ref_wide(dy, all);
    double *want = ref_wide(dx, all), *size = ref_zeros(all), *y = ref_zeros(n);
    fbuf to = rig_change(rig, dx, all);
    op_rmsnorm_back(&rig->cmd, (struct rmsnorm_back_args){
                                   .x = rig_in(rig, x, all), .w = rig_in(rig, w, n),
                                   .dy = rig_in(rig, dy, all), .dx = to, .rows = rows, .cols = n,
                                   .eps = eps});
    rig_run(rig);
    for (uint32_t r = 0; r < rows; r++) {
        double *xr = wide_x + r * n, *dr = wide_dy + r * n, squares = 0, products = 0;
        struct norm_slope c = {xr, wide_w, dr, y, (double)eps, n};
        for (uint32_t i = 0; i < n; i++) {
            squares += xr[i] * xr[i];
            products += fabs(xr[i] * wide_w[i] * dr[i]);
        }
        double scale = 1 / sqrt(squares / n + (double)eps);
        for (uint32_t i = 0; i < n; i++) {
            size[r * n + i] = fabs(want[r * n + i]) + scale * fabs(wide_w[i] * dr[i]) +
                              fabs(xr[i]) * pow(scale, 3) / n * products;
        }
        double *one = ref_zeros(n);
        ref_rmsnorm_back(xr, wide_w, dr, one, 1, n, (double)eps);
        for (uint32_t i = 0; i < n; i++) {
            if (i < 40) // a few by finite differences, which confirm the formula of all
                assert_true(fabs(ref_slope(norm_value, &c, xr + i) - one[i]) <
                            1e-6 * (1 + fabs(one[i])));
            want[r * n + i] += one[i];
        }
        free(one);
    }
    rig_near(rig, "rmsnorm_back", to, want, size, all, 4 * rig_depth(n));
    void *mine[] = {x, w, dy, dx, wide_x, wide_w, wide_dy, want, size, y};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

static void test_rmsnorm_back(void **state)
{
    for (size_t s = 0; s < COUNT(sizes); s++) norm_back_case(*state, 4 * sizes[s], 3);
}

// x as q stays in its row, as k goes to its slot, as v goes there unturned; `two` without v.
static void rope_case(struct rig *rig, uint32_t rows, uint32_t heads, uint32_t dim,
                      bool interleaved, float sign, bool two)
{
    enum { POSITIONS = 50, SLOTS = 200 };
    uint64_t row = (uint64_t)heads * dim, pairs = dim / 2, all = SLOTS * row;
    float *x = rig_random(rig, rows * row, 3), *table = rig_random(rig, 2 * POSITIONS * pairs, 1);
    float *before = rig_random(rig, all, 1);
    uint32_t *pos = rig_random_ids(rig, rows, POSITIONS), slot[SLOTS], own[SLOTS];
    for (uint32_t i = 0; i < rows; i++) {
        own[i] = i;
        slot[i] = (7 * i + 3) % SLOTS; // all different
    }
    double *wide = ref_wide(x, rows * row), *wide_table = ref_wide(table, 2 * POSITIONS * pairs);
    double *q = ref_wide(before, all), *k = ref_wide(before, all), *v = ref_wide(before, all);
    double *size = ref_zeros(all);
    fbuf to[3], in = rig_in(rig, x, rows * row);
    for (int i = 0; i < 3; i++) to[i] = rig_change(rig, before, all);
    op_rope(&rig->cmd, (struct rope_args){.q = in, .k = in, .v = in,
                                          .table = rig_in(rig, table, 2 * POSITIONS * pairs),
                                          .pos = rig_in(rig, pos, rows),
                                          .slot = rig_in(rig, slot, rows), .q_out = to[0],
                                          .k_out = to[1], .v_out = to[2], .rows = rows,
                                          .heads = heads, .kv_heads = heads,
                                          .v_heads = two ? 0 : heads, .dim = dim,
                                          .interleaved = interleaved, .sign = sign});
    rig_run(rig);
    ref_rope(wide, wide_table, pos, own, q, rows, heads, dim, interleaved, (double)sign);
    ref_rope(wide, wide_table, pos, slot, k, rows, heads, dim, interleaved, (double)sign);
    // Two products of |x| <= 3 and one sum; rows that no slot names stay as they are.
    for (uint64_t i = 0; i < rows * row; i++) size[i] = 6;
    rig_near(rig, "rope: q", to[0], q, size, all, 2);
    for (uint64_t i = 0; i < all; i++) size[i] = 0;
    for (uint32_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < row; i++) {
            size[slot[r] * row + i] = 6;
            if (!two) v[slot[r] * row + i] = wide[r * row + i];
        }
    rig_near(rig, "rope: k", to[1], k, size, all, 2);
    for (uint64_t i = 0; i < all; i++) size[i] = 0;
    rig_near(rig, "rope: v", to[2], v, size, all, 0);
    void *mine[] = {x, table, before, pos, wide, wide_table, q, k, v, size};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

static void test_rope(void **state)
{
    for (int i = 0; i < 8; i++) {
        rope_case(*state, 1, 1, 4, i & 1, i & 2 ? -1 : 1, i & 4);
        rope_case(*state, 31, 3, 12, i & 1, i & 2 ? -1 : 1, i & 4);
        rope_case(*state, 197, 8, 64, i & 1, i & 2 ? -1 : 1, i & 4);
    }
}

// scatter_rows, gather_rows and add_row move or add exactly.
static void move_case(struct rig *rig, uint32_t rows, uint32_t cols)
{
    uint32_t many = rows + 11;
    uint64_t n = (uint64_t)rows * cols, all = (uint64_t)many * cols;
    float *x = rig_random(rig, n, 1), *large = rig_random(rig, all, 1);
    uint32_t *index = rig_memory(rows, sizeof *index);
    for (uint32_t i = 0; i < rows; i++) index[i] = many - 1 - i; // all different
    fbuf in = rig_in(rig, x, n), from = rig_in(rig, large, all), at = rig_in(rig, index, rows);
    fbuf scattered = rig_change(rig, large, all), gathered = rig_out(rig, n);
    fbuf added = rig_change(rig, large, all);
    op_scatter_rows(&rig->cmd, (struct scatter_rows_args){in, at, scattered, rows, cols});
    op_gather_rows(&rig->cmd, (struct gather_rows_args){from, at, gathered, rows, cols});
    op_add_row(&rig->cmd, (struct add_row_args){in, at, added, rows, cols});
    rig_run(rig);
    assert_memory_equal(rig_floats(rig, scattered), large, 11 * cols * sizeof *large);
    assert_memory_equal(rig_floats(rig, added), large, 11 * cols * sizeof *large);
    for (uint32_t r = 0; r < rows; r++) {
        uint64_t to = (uint64_t)index[r] * cols, bytes = cols * sizeof *x;
        assert_memory_equal(rig_floats(rig, scattered) + to, x + (uint64_t)r * cols, bytes);
        assert_memory_equal(rig_floats(rig, gathered) + (uint64_t)r * cols, large + to, bytes);
        for (uint32_t i = 0; i < cols; i++)
            assert_true(rig_floats(rig, added)[to + i] == large[to + i] + x[i]);
    }
    free(x);
    free(large);
    free(index);
    rig_drop(rig);
}

static void test_scatter_rows(void **state)
{
    move_case(*state, 1, 1);
    move_case(*state, 31, 31);
    move_case(*state, 257, 3);
}

static void test_gather_rows(void **state)
{
    move_case(*state, 3, 257);
    move_case(*state, 1100, 4097); // past one element a thread
}

static void test_add_row(void **state)
{
    move_case(*state, 1, 5003);
    move_case(*state, 256, 256);
}

static void test_sum_rows(void **state)
{
    struct rig *rig = *state;
    const uint32_t counts[] = {1, 6, 21};
    for (size_t s = 0; s < COUNT(sizes); s++)
        for (size_t c = 0; c < COUNT(counts); c++) {
            uint32_t n = sizes[s], count = counts[c], rows = 40;
            float *x = rig_random(rig, (uint64_t)rows * n, 1), *w = rig_random(rig, count, 1);
            uint32_t *index = rig_random_ids(rig, count, rows); // the same row twice, too
            double *want = ref_zeros(n), *size = ref_zeros(n);
            for (uint32_t k = 0; k < count; k++)
                for (uint32_t i = 0; i < n; i++) {
                    double term = (double)w[k] * (double)x[(uint64_t)index[k] * n + i];
                    want[i] += term;
                    size[i] += fabs(term);
                }
            fbuf y = rig_out(rig, n);
            op_sum_rows(&rig->cmd, (struct sum_rows_args){.x = rig_in(rig, x, (uint64_t)rows * n),
                                                          .index = rig_in(rig, index, count),
                                                          .weight = rig_in(rig, w, count), .y = y,
                                                          .count = count, .cols = n});
            rig_run(rig);
            rig_near(rig, "sum_rows", y, want, size, n, count + 1);
            void *mine[] = {x, w, index, want, size};
            for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
            rig_drop(rig);
        }
}

static void test_outer(void **state)
{
    struct rig *rig = *state;
    const uint32_t shapes[][2] = {{1, 1}, {31, 257}, {257, 31}, {2049, 2049}};
    for (size_t s = 0; s < COUNT(shapes); s++) {
        uint32_t rows = shapes[s][0], cols = shapes[s][1];
        uint64_t n = (uint64_t)rows * cols;
        float *u = rig_random(rig, rows, 1), *v = rig_random(rig, cols, 1);
        float *w = rig_random(rig, n, 1);
        const float alpha = -0.7f;
        double *want = ref_zeros(n), *size = ref_zeros(n);
        for (uint64_t i = 0; i < n; i++) {
            double term = (double)alpha * (double)u[i / cols] * (double)v[i % cols];
            want[i] = (double)w[i] + term;
            size[i] = fabs((double)w[i]) + fabs(term);
        }
        fbuf y = rig_change(rig, w, n);
        op_outer(&rig->cmd, (struct outer_args){rig_in(rig, u, rows), rig_in(rig, v, cols), y, rows,
                                                cols, alpha});
        rig_run(rig);
        rig_near(rig, "outer", y, want, size, n, 3); // two products, one sum
        void *mine[] = {u, v, w, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

static uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

// What the mask leaves out stays to the bit; the share is what was asked for, and no two numbers or
// seeds have the same mask.
static void test_outer_some(void **state)
{
    struct rig *rig = *state;
    enum { ROWS = 67, COLS = 300, N = ROWS * COLS, RUNS = 4 };
    const uint32_t seeds[RUNS] = {1, 1, 2, 1}, numbers[RUNS] = {1, 2, 1, 1};
    const double shares[RUNS] = {0.25, 0.25, 0.25, 0};
    bool *left = rig_memory((uint64_t)RUNS * N, 1);
    for (size_t s = 0; s < RUNS; s++) {
        float *u = rig_random(rig, ROWS, 1), *v = rig_random(rig, COLS, 1);
        float *w = rig_random(rig, N, 1);
        const uint32_t zeros = (uint32_t)(shares[s] * 0x1p32);
        double *want = ref_zeros(N), *size = ref_zeros(N), count = 0;
        for (uint32_t i = 0; i < N; i++) {
            left[s * N + i] = mixed(mixed(i + seeds[s]) ^ numbers[s]) < zeros;
            double term = left[s * N + i] ? 0 : (double)u[i / COLS] * (double)v[i % COLS];
            want[i] = (double)w[i] + term;
            size[i] = left[s * N + i] ? 0 : fabs((double)w[i]) + fabs(term);
            count += left[s * N + i];
        }
        fbuf y = rig_change(rig, w, N);
        op_outer_some(&rig->cmd,
                      (struct outer_some_args){rig_in(rig, u, ROWS), rig_in(rig, v, COLS), y, ROWS,
                                               COLS, seeds[s], numbers[s], zeros});
        rig_run(rig);
        rig_near(rig, "outer_some", y, want, size, N, 2);
        for (uint32_t i = 0; i < N; i++)
            if (left[s * N + i]) assert_true(rig_floats(rig, y)[i] == w[i]);
        // Five standard deviations of a binomial share.
        assert_true(fabs(count / N - shares[s]) <= 5 * sqrt(shares[s] * (1 - shares[s]) / N));
        void *mine[] = {u, v, w, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
    for (size_t s = 1; s < 3; s++) { // independent: as many in both as chance has it
        double both = 0;
        for (uint32_t i = 0; i < N; i++) both += left[i] && left[s * N + i];
        assert_true(fabs(both / N - 0.0625) <= 5 * sqrt(0.0625 * 0.9375 / N));
    }
    free(left);
}

// Vulkan allows exp 3 + 2 |x| ulp, so 2 (3 + 2 |x|) units of 2^-24; division and products a few.
static double gate_factor(double most)
{
    return 2 * (3 + 2 * most) + 24;
}

static double gate_value(void *context)
{
    return ref_silu(*(double *)context);
}

static void gate_case(struct rig *rig, uint32_t n, double most)
{
    float *g = rig_random(rig, n, most), *u = rig_random(rig, n, 2), *dy = rig_random(rig, n, 1);
    double *want = ref_zeros(n), *dg = ref_zeros(n), *du = ref_zeros(n), *size = ref_zeros(n);
    fbuf in_g = rig_in(rig, g, n), in_u = rig_in(rig, u, n), in_dy = rig_in(rig, dy, n);
    fbuf y = rig_out(rig, n), to_g = rig_out(rig, n), to_u = rig_out(rig, n);
    op_silu_gate(&rig->cmd, (struct silu_gate_args){in_g, in_u, y, n});
    op_silu_gate_back(&rig->cmd, (struct silu_gate_back_args){in_g, in_u, in_dy, to_g, to_u, n});
    rig_run(rig);
    for (uint32_t i = 0; i < n; i++) {
        double x = (double)g[i], slope = ref_silu_slope(x);
        if (i < 200) assert_true(fabs(ref_slope(gate_value, &x, &x) - slope) < 1e-9);
        want[i] = ref_silu(x) * (double)u[i];
        du[i] = ref_silu(x) * (double)dy[i];
        dg[i] = slope * (double)u[i] * (double)dy[i];
        // s (1 + g (1 - s)): the terms in the bracket cancel where the slope is 0.
        double s = 1 / (1 + exp(-x));
        size[i] = fabs((double)u[i] * (double)dy[i]) * s * (1 + fabs(x));
    }
    rig_near(rig, "silu_gate", y, want, NULL, n, gate_factor(most));
    rig_near(rig, "silu_gate_back: du", to_u, du, NULL, n, gate_factor(most));
    rig_near(rig, "silu_gate_back: dg", to_g, dg, size, n, gate_factor(most));
    void *mine[] = {g, u, dy, want, dg, du, size};
    for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
    rig_drop(rig);
}

static void test_silu_gate(void **state)
{
    for (size_t s = 0; s < COUNT(sizes); s++) gate_case(*state, 4 * sizes[s], 8);
}

static void test_silu_gate_back(void **state)
{
    gate_case(*state, 5004, 80); // near the ends of the range of exp
    gate_case(*state, 4 * 65535 * 64 + 4, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_ROWS(CASE)
#undef CASE
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
