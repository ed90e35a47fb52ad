// SPHERE against double precision: the directions of W's rows, how many count, and dW (I - alpha U
// U^T) for updates of one pair, of several, and dense; journals that are resumed with the same
// bits.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edit/sphere.h"
#include "ref.h"
#include "ref_direct.h"
#include "ref_edit.h"
#include "ref_must.h"
#include "ref_tiny.h"

enum { DIM = DIRECT_DIM, FFN = DIRECT_FFN, N = DIM * FFN, SQUARE = FFN * FFN };

static void test_count(void **state)
{
    (void)state;
    const float flat[] = {1, 1, 1, 1}, steep[] = {3, 2, 1, 0}; // shares 9/14, 13/14, 1, 1
    assert_int_equal(sphere_count(flat, 4, 0), 1);
    assert_int_equal(sphere_count(flat, 4, 0.49), 2);
    assert_int_equal(sphere_count(flat, 4, 0.5), 3); // a half is not over a half
    assert_int_equal(sphere_count(flat, 4, 0.99), 4);
    assert_int_equal(sphere_count(steep, 4, 0.5), 1);
    assert_int_equal(sphere_count(steep, 4, 0.65), 2);
    assert_int_equal(sphere_count(steep, 4, 0.95), 3);
    assert_int_equal(sphere_count(steep, 1, 0.95), 1);
}

struct directions { // of a matrix [rows, cols], in double
    double share[64 * 64], vectors[64 * 64]; // U U^T; eigenvectors of A^T A / rows as rows
    double most, gap;
    uint32_t count;
};

static void directions_of(struct directions *r, const double *w, uint32_t rows, uint32_t cols,
                          double eta)
{
    double *s = ref_zeros((uint64_t)cols * cols), all = 0, sum = 0;
    *r = (struct directions){0};
    for (uint32_t i = 0; i < rows; i++) {
        const double *x = w + (uint64_t)i * cols, square = ref_dot(x, x, cols);
        for (uint32_t j = 0; j < cols * cols && square > 0; j++)
            s[j] += x[j / cols] * x[j % cols] / square / rows;
    }
    ref_eigenvectors(s, r->vectors, cols);
    for (uint32_t i = 0; i < cols; i++) all += s[i * (cols + 1)];
    while (r->count < cols && (sum += s[r->count * (cols + 1)]) <= eta * all) r->count++;
    r->count++;
    r->most = s[0];
    r->gap = s[(r->count - 1) * (cols + 1)] - (r->count < cols ? s[r->count * (cols + 1)] : 0);
    for (uint32_t k = 0; k < r->count; k++)
        for (uint32_t j = 0; j < cols * cols; j++)
            r->share[j] += r->vectors[k * cols + j / cols] * r->vectors[k * cols + j % cols];
    free(s);
}

// A rounding of n eps |A^T A| turns the space by at most that over the gap (Davis and Kahan).
static double turned(const struct directions *r, uint32_t n)
{
    return 8 * n * RIG_EPS * (1 + r->most / r->gap);
}

static void shape_case(struct rig *rig, uint32_t rows, uint32_t cols, double eta)
{
    struct directions *r = rig_memory(1, sizeof *r);
    struct buffer *u = NULL;
    uint32_t count = 0;
    float *w = rig_random(rig, (uint64_t)rows * cols, 3);
    for (uint32_t j = 0; j < cols; j++) {
        w[cols + j] = 0; // a row without a direction
        for (uint32_t i = 0; i < rows; i++) // one is common, and lengths differ
            w[i * cols + j] = (i == 1 ? 0 : w[i * cols + j] + (j % 3 ? 1.5f : -1)) *
                              (float)(1 + i * i);
    }
    double *wide = ref_wide(w, (uint64_t)rows * cols);
    const struct tensor tensor = {.name = "w", .rows = rows, .cols = cols, .dtype = DTYPE_F32,
                                  .data = (const uint8_t *)w, .bytes = 4ull * rows * cols};
    must(sphere_directions(rig->dev, &tensor, eta, &u, &count, NULL));
    directions_of(r, wide, rows, cols, eta);
    assert_int_equal(count, r->count);
    float *got = rig_memory((uint64_t)count * cols, sizeof *got);
    must(buffer_read(rig->dev, u, 0, got, 4ull * count * cols));
    for (uint32_t i = 0; i < cols * cols; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < count; k++)
            sum += (double)got[k * cols + i / cols] * (double)got[k * cols + i % cols];
        if (!(fabs(sum - r->share[i]) <= turned(r, cols)))
            fail_msg("[%u, %u], eta %g: U U^T is %g off, at most %g", rows, cols, eta,
                     fabs(sum - r->share[i]), turned(r, cols));
    }
    buffer_free(rig->dev, &u);
    free(got);
    free(w);
    free(wide);
    free(r);
}

static void test_directions(void **state)
{
    shape_case(*state, 16, 24, 0.5);
    shape_case(*state, 16, 24, 0.9);
    shape_case(*state, 33, 52, 0); // columns come in fours, as FFN units do
    shape_case(*state, 40, 12, 0.7);
}

struct run {
    struct direct d;
    double plain[N], updates[DIRECT_EDITS][N], kept[DIRECT_EDITS];
    uint32_t done;
};

static double *floats(struct rig *rig, struct buffer *buffer, uint64_t n)
{
    float *x = rig_memory(n, sizeof *x);
    must(buffer_read(rig->dev, buffer, 0, x, 4 * n));
    double *wide = ref_wide(x, n);
    free(x);
    return wide;
}

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct run *t = user;
    double *dw = t->updates[t->done];
    const bool many = e->solver->make != NULL;
    const uint32_t rank = many ? edit->rank : 1;
    memset(dw, 0, sizeof t->updates[0]);
    if (!rank) {
        double *dense = floats(t->d.rig, e->dense, N);
        memcpy(dw, dense, sizeof t->updates[0]);
        free(dense);
    } else {
        double *u = floats(t->d.rig, many ? e->us : e->u, (uint64_t)rank * DIM);
        double *w = floats(t->d.rig, many ? e->ws : e->w, (uint64_t)rank * FFN);
        for (uint32_t k = 0; k < rank; k++)
            for (uint32_t i = 0; i < N; i++)
                dw[i] += u[k * DIM + i / FFN] * w[k * FFN + i % FFN];
        free(u);
        free(w);
    }
    t->kept[t->done++] = edit->kept;
    return true;
}

static void run_open(struct run *t, struct rig *rig, const char *solver, const char *guard,
                     double alpha)
{
    *t = (struct run){0};
    direct_open(&t->d, rig);
    struct hparams *h = &t->d.hparams;
    h->lambda = 15;
    h->ridge = 1e-3;
    h->clamp = 4;
    h->null_threshold = 0.55;
    h->l2 = 0.5;
    if (strcmp(solver, "ultraedit") != 0 && strcmp(solver, "ft") != 0) h->rate = 0.5;
    h->sphere_alpha = alpha;
    h->sphere_eta = 0.5;
    must(direct_editor(&t->d, solver, guard));
    for (uint32_t i = 0; i < N; i++) t->plain[i] = t->d.ref.layers[DIRECT_LAYER].down[i];
}

// The first that changes anything is the unguarded one times I - alpha U U^T. Of all: what they
// have along U is 1 - alpha times that of the rest of the way round, which alpha = 1 shows:
// nothing.
static void solver_case(struct rig *rig, const char *solver, double alpha)
{
    struct run *none = rig_memory(1, sizeof *none), *sphere = rig_memory(1, sizeof *sphere);
    struct directions *r = rig_memory(1, sizeof *r);
    run_open(none, rig, solver, "none", 0);
    const uint32_t at = strcmp(solver, "ultraedit") == 0; // its first edit changes nothing
    direct_run(&none->d, at + 1, on_edit, none);
    direct_close(&none->d);
    run_open(sphere, rig, solver, "sphere", alpha);
    directions_of(r, sphere->plain, DIM, FFN, 0.5);
    assert_int_equal(sphere->d.editor.site->principal_count, r->count);
    direct_run(&sphere->d, DIRECT_EDITS, on_edit, sphere);
    const double *first = none->updates[at], *got = sphere->updates[at];
    const double size = sqrt(ref_dot(first, first, N));
    double left = 0, changed = 0;
    for (uint32_t i = 0; i < N; i++) {
        double want = first[i];
        for (uint32_t j = 0; j < FFN; j++)
            want -= alpha * first[i / FFN * FFN + j] * r->share[j * FFN + i % FFN];
        left += want * want;
        changed += pow(want - first[i], 2);
        if (!(fabs(got[i] - want) <= turned(r, FFN) * size))
            fail_msg("%s, alpha %g: dW is %g off, at most %g", solver, alpha,
                     fabs(got[i] - want), turned(r, FFN) * size);
    }
    assert_true(changed > 1e-3 * size * size); // and something there was to take out
    assert_true(fabs(sphere->kept[at] - sqrt(left) / size) <= 2 * turned(r, FFN));
    for (uint32_t t = at; alpha == 1 && t < DIRECT_EDITS; t++) {
        const double *dw = sphere->updates[t], length = sqrt(ref_dot(dw, dw, N));
        for (uint32_t i = 0; i < DIM; i++)
            for (uint32_t k = 0; k < r->count; k++)
                assert_true(fabs(ref_dot(dw + i * FFN, r->vectors + k * FFN, FFN)) <=
                            turned(r, FFN) * length / sphere->kept[t]);
    }
    direct_close(&sphere->d);
    free(none);
    free(sphere);
    free(r);
}

static void test_updates(void **state)
{
    const char *const solvers[] = {"memit", "rome", "alphaedit", "ultraedit", "ft"};
    for (uint32_t i = 0; i < COUNT(solvers); i++) {
        solver_case(*state, solvers[i], 0.5);
        solver_case(*state, solvers[i], 1);
    }
}

static void test_journal(void **state)
{
    struct run *t = rig_memory(1, sizeof *t);
    struct journal j;
    float whole[N], again[N];
    run_open(t, *state, "memit", "sphere", 0.5);
    direct_journal(&t->d, "whole.journal");
    direct_run(&t->d, DIRECT_EDITS, on_edit, t);
    direct_matrix(&t->d, whole);
    direct_close(&t->d);
    for (uint32_t cut = 0; cut < DIRECT_EDITS; cut++) {
        run_open(t, *state, "memit", "sphere", 0.5);
        must(journal_open(&j, tiny_path("whole.journal"), false));
        j.edit_count = cut;
        must(record_replay(&t->d.editor, &j));
        direct_run(&t->d, DIRECT_EDITS, on_edit, t);
        direct_matrix(&t->d, again);
        assert_memory_equal(whole, again, sizeof whole);
        j.edit_count = DIRECT_EDITS;
        journal_free(&j);
        direct_close(&t->d);
    }
    free(t);
}

static void test_refused(void **state)
{
    static const double bad[][2] = {{0, 0.5}, {1.5, 0.5}, {0.5, 1}};
    struct direct d;
    direct_open(&d, *state);
    d.hparams.lambda = 15;
    d.hparams.ridge = 1e-3;
    for (uint32_t i = 0; i < COUNT(bad); i++) {
        d.hparams.sphere_alpha = bad[i][0];
        d.hparams.sphere_eta = bad[i][1];
        must_fail(direct_editor(&d, "memit", "sphere"), STATUS_USAGE,
                  "--guard sphere: got --sphere-alpha");
    }
    direct_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),   cmocka_unit_test(test_directions),
        cmocka_unit_test(test_updates), cmocka_unit_test(test_journal),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
