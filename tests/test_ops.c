// Operators on vectors, and the list of who tests which.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ref.h"
#include "ref_cases.h"
#include "ref_must.h"
#include "ref_rig.h"

// Every operator has its case: a row of ops.def in no list of ref_cases.h does not compile.
enum {
#define CASE(name) case_of_##name,
    CASES_ROWS(CASE) CASES_VECTORS(CASE) CASES_ATTENTION(CASE) CASES_LOSS(CASE)
    CASES_OPTIMIZER(CASE) CASES_LINALG(CASE) CASES_CHOL(CASE) CASES_GEMM(CASE)
    CASES_GEMM_COOP(CASE) CASES_SVD(CASE) CASES_GAUSS(CASE) CASES_NUMBERS(CASE)
#undef CASE
    CASE_COUNT
};
#define OP(name, ...) _Static_assert(case_of_##name < CASE_COUNT, #name);
#define BUILD(...)
#include "ops.def"
#undef OP
#undef BUILD
_Static_assert((int)CASE_COUNT == (int)OP_COUNT, "ref_cases.h names one that ops.def has not");

// One thread, half a workgroup, whole workgroups, one more, many.
static const uint32_t sizes[] = {1, 31, 256, 257, 5003};
// Past 65535 workgroups of 64 a thread takes more than one element.
enum { HUGE_SIZE = 65535 * 64 + 3 };

static void test_fill(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 256, 257, HUGE_SIZE};
    for (size_t s = 0; s < COUNT(many); s++) {
        fbuf y = rig_out(rig, many[s]);
        op_fill(&rig->cmd, (struct fill_args){.y = y, .n = many[s], .value = -2.5f});
        rig_run(rig);
        for (uint32_t i = 0; i < many[s]; i++) assert_true(rig_floats(rig, y)[i] == -2.5f);
        rig_drop(rig);
    }
}

static void test_axpby(void **state)
{
    struct rig *rig = *state;
    const uint32_t many[] = {1, 31, 256, 257, HUGE_SIZE};
    const float factors[][2] = {{0.3f, 1.7f}, {-2, 0}, {1, 1}};
    for (size_t s = 0; s < COUNT(many) * COUNT(factors); s++) {
        uint32_t n = many[s % COUNT(many)];
        const float alpha = factors[s / COUNT(many)][0], beta = factors[s / COUNT(many)][1];
        float *x = rig_random(rig, n, 1), *y = rig_random(rig, n, 1);
        double *want = ref_zeros(n), *size = ref_zeros(n);
        for (uint32_t i = 0; i < n; i++) {
            double one = (double)alpha * (double)x[i], two = (double)beta * (double)y[i];
            want[i] = one + two;
            size[i] = fabs(one) + fabs(two);
        }
        // beta = 0 must not read y: there it starts as NaN.
        fbuf to = beta != 0 ? rig_change(rig, y, n) : rig_out(rig, n);
        op_axpby(&rig->cmd, (struct axpby_args){rig_in(rig, x, n), to, n, alpha, beta});
        rig_run(rig);
        rig_near(rig, "axpby", to, want, size, n, 2);
        void *mine[] = {x, y, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

// Values just under and at 2^-63, both signs, zeros, NaN; of BF16 in both halves.
static void test_calm_weights(void **state)
{
    struct rig *rig = *state;
    static const uint32_t given[] = {0x3f800000, 0x1fffffff, 0x20000000, 0x9fffffff, 0xa0000000,
                                     0x00000001, 0x80000001, 0x7fc00000, 0x20001fff, 0xa0003f80};
    static const uint32_t f32[] = {0x3f800000, 0,          0x20000000, 0,          0xa0000000,
                                   0,          0,          0x7fc00000, 0x20001fff, 0xa0003f80};
    static const uint32_t bf16[] = {0x3f800000, 0x0000ffff, 0x20000000, 0x0000ffff, 0xa0000000,
                                    0,          0,          0x7fc00000, 0x20000000, 0xa0003f80};
    for (uint32_t type = 0; type <= 2; type += 2) {
        fbuf w = rig_change(rig, given, COUNT(given));
        op_calm_weights(&rig->cmd,
                        (struct calm_weights_args){.w = w, .n = COUNT(given), .type = type});
        rig_run(rig);
        assert_memory_equal(rig_words(rig, w), type ? bf16 : f32, sizeof f32);
        rig_drop(rig);
    }
}

static void test_dot_rows(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < 2 * COUNT(sizes); s++) {
        uint32_t n = sizes[s / 2], rows = 7, step = s & 1 ? n : 0;
        float *x = rig_random(rig, (uint64_t)rows * n, 1), *w = rig_random(rig, rows * n, 1);
        double want[7] = {0}, size[7] = {0};
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t i = 0; i < n; i++) {
                double term = (double)x[r * n + i] * (double)w[r * step + i];
                want[r] += term;
                size[r] += fabs(term);
            }
        fbuf y = rig_out(rig, rows);
        op_dot_rows(&rig->cmd, (struct dot_rows_args){
                                   rig_in(rig, x, rows * n),
                                   rig_in(rig, w, step ? rows * n : n), y, rows, n, step});
        rig_run(rig);
        rig_near(rig, "dot_rows", y, want, size, rows, rig_depth(n));
        free(x);
        free(w);
        rig_drop(rig);
    }
}

static void test_sum_parts(void **state)
{
    struct rig *rig = *state;
    for (size_t s = 0; s < 2 * COUNT(sizes); s++) {
        uint32_t n = sizes[s / 2], parts = 1 + 2 * (uint32_t)s, add = s & 1;
        float *x = rig_random(rig, (uint64_t)parts * n, 1), *r = rig_random(rig, n, 1);
        double *want = ref_zeros(n), *size = ref_zeros(n);
        for (uint32_t i = 0; i < n; i++) {
            want[i] = add ? (double)r[i] : 0;
            size[i] = fabs(want[i]);
            for (uint32_t p = 0; p < parts; p++) {
                want[i] += (double)x[p * n + i];
                size[i] += fabs((double)x[p * n + i]);
            }
        }
        fbuf y = rig_out(rig, n);
        op_sum_parts(&rig->cmd, (struct sum_parts_args){rig_in(rig, x, (uint64_t)parts * n),
                                                        rig_in(rig, r, n), y, parts, n, add});
        rig_run(rig);
        rig_near(rig, "sum_parts", y, want, size, n, parts);
        void *mine[] = {x, r, want, size};
        for (size_t i = 0; i < COUNT(mine); i++) free(mine[i]);
        rig_drop(rig);
    }
}

// The bench believes in this many steps: that they were made shows in the result.
static void test_probe_fma(void **state)
{
    struct rig *rig = *state;
    const float m = 0.96875f, c = 0.25f;
    for (size_t s = 0; s < COUNT(sizes) * 2; s++) {
        uint32_t n = sizes[s / 2], rounds = 1 + 2 * (uint32_t)(s % 3);
        double *want = ref_zeros(n);
        fbuf y = rig_out(rig, n);
        op_probe_fma(&rig->cmd, (struct probe_fma_args){.y = y, .n = n, .rounds = rounds,
                                                        .fused = s & 1, .m = m, .c = c});
        rig_run(rig);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < 8; k++) {
                double x = (i & 7) + k;
                for (uint32_t step = 0; step < 16 * rounds; step++) x = x * (double)m + (double)c;
                want[i] += x;
            }
        // Each step rounds twice and shrinks what came before by m.
        rig_near(rig, "probe_fma", y, want, NULL, n, 2 / (1 - (double)m) + 8);
        free(want);
        rig_drop(rig);
    }
}

static void test_probe_memory(void **state)
{
    struct rig *rig = *state;
    enum { GROUPS = 3, THREADS = 64 * GROUPS };
    for (size_t s = 0; s < COUNT(sizes); s++) {
        uint32_t quads = sizes[s], n = 4 * quads, stretch = (quads + GROUPS - 1) / GROUPS;
        float *x = rig_random(rig, n, 1);
        double want[THREADS] = {0}, size[THREADS] = {0};
        for (uint32_t i = 0; i < n; i++) {
            uint32_t quad = i / 4, thread = quad / stretch * 64 + quad % stretch % 64;
            want[thread] += (double)x[i];
            size[thread] += fabs((double)x[i]);
        }
        fbuf from = rig_in(rig, x, n), to = rig_out(rig, n), sums = rig_out(rig, THREADS);
        op_probe_memory(&rig->cmd, (struct probe_memory_args){from, to, n, GROUPS, 0});
        op_probe_memory(&rig->cmd, (struct probe_memory_args){from, sums, n, GROUPS, 1});
        rig_run(rig);
        assert_memory_equal(rig_floats(rig, to), x, n * sizeof *x);
        rig_near(rig, "probe_memory", sums, want, size, THREADS, n / 4.0 / THREADS + 4);
        free(x);
        rig_drop(rig);
    }
}

// Operators without a case in a test_ops*.c, and the function that stands for it elsewhere.
static const struct {
    const char *op, *file, *calls;
} elsewhere[] = {
    {"gemm_nt", "tests/test_gemm.c", "gemm_nt("},
    {"gemm_nn", "tests/test_gemm.c", "gemm_nn("},
    {"gemm_tn", "tests/test_gemm.c", "gemm_tn("},
    {"gemm_coop", "tests/test_gemm_coop.c", "gemm_coop("},
    {"jacobi_gram", "tests/test_svd.c", "svd_full("},
    {"jacobi_turn", "tests/test_svd.c", "svd_full("},
    {"jacobi_apply", "tests/test_svd.c", "svd_full("},
    {"svd_vectors", "tests/test_svd.c", "svd_full("},
    {"evaluate", "tests/test_numbers.c", "op_evaluate("},
    {"gauss_look", "tests/test_gauss.c", "gauss_look"},
    {"gauss_step", "tests/test_gauss.c", "gauss_step"},
};

static void test_elsewhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(elsewhere); i++) {
        char *text = NULL;
        size_t size;
        bool known = false;
        for (int op = 0; op < OP_COUNT; op++) known |= strcmp(op_names[op], elsewhere[i].op) == 0;
        assert_true(known);
        must(file_read(elsewhere[i].file, &text, &size));
        if (!strstr(text, elsewhere[i].calls))
            fail_msg("%s does not call %s for %s", elsewhere[i].file, elsewhere[i].calls,
                     elsewhere[i].op);
        free(text);
    }
}

// The rig's own checks bite: a word before, a word behind, an input.
static void test_rig(void **state)
{
    struct rig *rig = *state;
    enum { N = 300 };
    static const struct {
        int64_t from, count;
        bool right;
        int64_t word;
    } cases[] = {{0, N, true, 0}, {-1, N, false, -1}, {0, N + 1, false, N}, {0, 0, true, 0}};
    uint32_t number;
    int64_t word;
    for (size_t i = 0; i < COUNT(cases); i++) {
        fbuf y = rig_out(rig, N);
        op_fill(&rig->cmd, (struct fill_args){.y = y + (fbuf)(4 * cases[i].from),
                                              .n = (uint32_t)cases[i].count, .value = 1});
        assert_int_equal(rig_try(rig, &number, &word), cases[i].right);
        if (!cases[i].right) assert_int_equal(word, cases[i].word);
        rig_drop(rig);
    }
    float *x = rig_random(rig, N, 1);
    rig_out(rig, N);
    op_fill(&rig->cmd, (struct fill_args){.y = rig_in(rig, x, N), .n = 1, .value = 2});
    assert_false(rig_try(rig, &number, &word));
    assert_int_equal(number, 1);
    assert_int_equal(word, 0);
    rig_drop(rig);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test(test_##name),
        CASES_VECTORS(CASE)
#undef CASE
        cmocka_unit_test(test_elsewhere),
        cmocka_unit_test(test_rig),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
