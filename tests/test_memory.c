// Key memory: the updated factor against double precision, edits of both solvers and with guards
// against a dense solve with the summed C, journals resumed with the same bits.
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_direct.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_tiny.h"

enum { FFN = DIRECT_FFN, UPDATES = 50 };

static void factor_case(struct device *dev, uint32_t n)
{
    const float scale = 0.75f;
    uint64_t seed = n;
    float *c = ref_new((size_t)n * n, sizeof *c), *v = ref_new(n, sizeof *v);
    float *b = ref_new(n, sizeof *b), *x = ref_new(n, sizeof *x);
    double *sum = ref_new((size_t)n * n, sizeof *sum), *size = ref_new((size_t)n * n, sizeof *size);
    double *wanted = ref_new(n, sizeof *wanted), apart = 0, length = 0;
    struct buffer *matrix = NULL, *vector = NULL, *result = NULL;
    struct factor f;
    for (uint32_t i = 0; i < n; i++) {
        b[i] = (float)ref_uniform(&seed);
        for (uint32_t j = 0; j < n; j++) {
            c[i * n + j] = i == j ? 2 : 1 / (float)(2 + i + j);
            sum[i * n + j] = size[i * n + j] = (double)c[i * n + j];
        }
    }
    must(buffer_from(dev, c, 4ull * n * n, "C", &matrix) &&
         buffer_new(dev, 4ull * n, "v", &vector) && buffer_new(dev, 4ull * n, "x", &result) &&
         factor_new(dev, matrix, n, 0.25, &f));
    const double shift = (double)f.shift;
    for (uint32_t t = 0; t < UPDATES; t++) {
        for (uint32_t i = 0; i < n; i++) v[i] = (float)ref_uniform(&seed);
        must(buffer_write(dev, vector, 0, v, 4ull * n) &&
             factor_update(&f, vector->address, (double)scale));
        for (uint32_t i = 0; i < n * n; i++) {
            double more = (double)scale * (double)v[i / n] * (double)v[i % n];
            sum[i] += more;
            size[i] += fabs(more);
        }
    }
    assert_true((double)f.shift == shift); // that of the C it began with
    must(buffer_read(dev, matrix, 0, c, 4ull * n * n));
    for (uint32_t i = 0; i < n * n; i++) // two products and a sum an update
        assert_true(fabs((double)c[i] - sum[i]) <= (UPDATES + 3) * 1.5 * FLT_EPSILON * size[i]);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < i; j++) assert_true(c[i * n + j] == c[j * n + i]);
    must(buffer_write(dev, vector, 0, b, 4ull * n) &&
         factor_solve(&f, vector->address, result->address, NULL) &&
         buffer_read(dev, result, 0, x, 4ull * n));
    ref_solve(c, n, shift, b, wanted);
    for (uint32_t i = 0; i < n; i++) {
        apart += pow((double)x[i] - wanted[i], 2);
        length += wanted[i] * wanted[i];
    }
    if (!(sqrt(apart) <= 2e-6 * sqrt(length))) fail_msg("n %u: %g off", n, sqrt(apart / length));
    factor_free(&f);
    buffer_free(dev, &matrix);
    buffer_free(dev, &vector);
    buffer_free(dev, &result);
    void *all[] = {c, v, b, x, sum, size, wanted};
    for (size_t i = 0; i < COUNT(all); i++) free(all[i]);
}

static void test_factor(void **state)
{
    struct rig *rig = *state;
    const uint32_t sizes[] = {1, 63, 64, 65, 200};
    for (size_t i = 0; i < COUNT(sizes); i++) factor_case(rig->dev, sizes[i]);
}

struct memory {
    struct direct d;
    double m[FFN * FFN]; // C + shift I + weight / lambda sum k k^T
    double plain[FFN * FFN]; // C + shift I
    uint32_t changed;
    bool rome;
};

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct memory *t = user;
    struct device *dev = t->d.rig->dev;
    const double lambda = e->hparams.lambda;
    float left[FFN], right[FFN], w[FFN], note[FFN];
    double k[FFN], x[FFN], s = 0, apart = 0, length = 0;
    must(buffer_read(dev, e->left_key, 0, left, sizeof left) &&
         buffer_read(dev, e->right_key, 0, right, sizeof right) &&
         buffer_read(dev, e->w, 0, w, sizeof w));
    for (uint32_t i = 0; i < FFN; i++) k[i] = (double)left[i];
    ref_solve_dense(t->m, FFN, false, k, x);
    for (uint32_t i = 0; i < FFN; i++) s += x[i] * (double)right[i];
    for (uint32_t i = 0; i < FFN; i++) {
        double want = x[i] / (t->rome ? s : lambda + s);
        apart += pow((double)w[i] - want, 2);
        length += want * want;
    }
    if (!(sqrt(apart) <= 1e-4 * sqrt(length)))
        fail_msg("edit %u: w is %g off", edit->number, sqrt(apart / length));
    assert_true(fabs(edit->s - s) <= 1e-4 * s);
    double without[FFN], moved = 0, all = 0; // earlier keys have a say that the limit would show
    ref_solve_dense(t->plain, FFN, false, k, without);
    for (uint32_t i = 0; i < FFN; i++) {
        moved += pow(x[i] - without[i], 2);
        all += x[i] * x[i];
    }
    assert_true(t->changed == 0 || moved > 1e-4 * all);
    assert_int_equal(edit->note_count, edit->noop ? 0 : FFN);
    if (edit->noop) return true;
    t->changed++;
    must(buffer_read(dev, e->notes, 0, note, sizeof note));
    assert_memory_equal(note, left, sizeof note);
    for (uint32_t i = 0; i < FFN * FFN; i++)
        t->m[i] += e->hparams.key_memory / lambda * k[i / FFN] * k[i % FFN];
    return true;
}

static void open_with(struct direct *d, struct rig *rig, double weight)
{
    direct_open(d, rig);
    d->hparams.lambda = 2;
    d->hparams.ridge = 1e-4;
    d->hparams.clamp = 4;
    d->hparams.rate = 0.5;
    d->hparams.key_memory = weight;
}

// changed: of the three edits, how many leave something
static void formula_case(struct rig *rig, const char *solver, const char *guard, double lambda3,
                         uint32_t changed)
{
    struct memory *t = rig_memory(1, sizeof *t);
    float c[FFN * FFN];
    open_with(&t->d, rig, 2); // no more than lambda: a percent of it shows
    t->d.hparams.lambda3 = lambda3;
    t->rome = strcmp(solver, "rome") == 0;
    must(direct_editor(&t->d, solver, guard));
    must(buffer_read(rig->dev, t->d.editor.site->moment, 0, c, sizeof c));
    for (uint32_t i = 0; i < FFN * FFN; i++)
        t->m[i] = (double)c[i] +
                  (i / FFN == i % FFN ? (double)t->d.editor.site->factor.shift : 0);
    memcpy(t->plain, t->m, sizeof t->m);
    direct_run(&t->d, DIRECT_EDITS, on_edit, t);
    assert_int_equal(t->changed, changed);
    direct_close(&t->d);
    free(t);
}

static void test_formulas(void **state)
{
    formula_case(*state, "memit", "none", 1, 3);
    formula_case(*state, "rome", "none", 1, 3);
    formula_case(*state, "memit", "oedit", 1, 3);
    formula_case(*state, "memit", "oedit-plus", 1, 3);
    formula_case(*state, "rome", "oedit-plus", 1, 3);
    // All directions of grad G are taken: nothing is left, no key is kept.
    formula_case(*state, "memit", "oedit-plus", DIRECT_DIM, 0);
}

static void journal_case(struct rig *rig, const char *solver, const char *guard)
{
    enum { N = DIRECT_DIM * DIRECT_FFN };
    struct direct d;
    struct journal j;
    float whole[N], again[N];
    open_with(&d, rig, 100);
    must(direct_editor(&d, solver, guard));
    direct_journal(&d, "whole.journal");
    direct_run(&d, DIRECT_EDITS, NULL, NULL);
    direct_matrix(&d, whole);
    direct_close(&d);
    for (uint32_t cut = 0; cut < DIRECT_EDITS; cut++) {
        open_with(&d, rig, 100);
        must(direct_editor(&d, solver, guard));
        must(journal_open(&j, tiny_path("whole.journal"), false));
        direct_journal(&d, "part.journal");
        j.edit_count = cut;
        must(record_replay(&d.editor, &j));
        for (uint32_t i = 0; i < cut; i++) must(journal_add_edit(&d.writer, &j.edits[i]));
        direct_run(&d, DIRECT_EDITS, NULL, NULL);
        direct_matrix(&d, again);
        assert_memory_equal(whole, again, sizeof whole);
        j.edit_count = DIRECT_EDITS;
        journal_free(&j);
        direct_close(&d);
        direct_same_journals("whole.journal", "part.journal");
    }
}

static void test_journal(void **state)
{
    journal_case(*state, "rome", "none");
    journal_case(*state, "memit", "oedit");
    journal_case(*state, "memit", "oedit-plus");
}

// What was reverted is not remembered; a key of another size is refused.
static void test_replay(void **state)
{
    struct direct d;
    struct journal j;
    float c[FFN * FFN], after[FFN * FFN];
    for (int reverted = 0; reverted < 2; reverted++) {
        open_with(&d, *state, 100);
        must(direct_editor(&d, "memit", "oedit-plus"));
        must(buffer_read(d.rig->dev, d.editor.site->moment, 0, c, sizeof c));
        must(journal_open(&j, tiny_path("whole.journal"), false));
        for (size_t i = 0; i < j.edit_count; i++) j.edits[i].reverted = reverted;
        must(record_replay(&d.editor, &j));
        must(buffer_read(d.rig->dev, d.editor.site->moment, 0, after, sizeof after));
        assert_true((memcmp(c, after, sizeof c) == 0) == reverted);
        j.edits[1].reverted = false;
        j.edits[1].note_count--;
        assert_false(record_replay(&d.editor, &j));
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        assert_non_null(strstr(status_message(), "edit 2 of the journal has 23 numbers of its "
                                                 "key, wanted 24"));
        status_clear();
        journal_free(&j);
        direct_close(&d);
    }
}

static bool no_notes(void *user, const struct editor *e, const struct edit *edit)
{
    (void)user;
    assert_null(e->notes);
    assert_int_equal(edit->note_count, 0);
    return true;
}

// Without key memory nothing is added to the records.
static void test_off(void **state)
{
    struct direct d;
    float c[FFN * FFN], after[FFN * FFN];
    open_with(&d, *state, 0);
    must(direct_editor(&d, "memit", "none"));
    must(buffer_read(d.rig->dev, d.editor.site->moment, 0, c, sizeof c));
    direct_run(&d, DIRECT_EDITS, no_notes, NULL);
    must(buffer_read(d.rig->dev, d.editor.site->moment, 0, after, sizeof after));
    assert_memory_equal(c, after, sizeof c);
    direct_close(&d);
}

static void test_refused(void **state)
{
    struct direct d;
    open_with(&d, *state, 100);
    assert_false(direct_editor(&d, "ultraedit", "none"));
    assert_int_equal(status_code(), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "which solver ultraedit has not"));
    status_clear();
    d.hparams.lambda = 0;
    assert_false(direct_editor(&d, "rome", "none"));
    assert_int_equal(status_code(), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "lambda is 0"));
    status_clear();
    direct_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_factor),  cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_journal), cmocka_unit_test(test_replay),
        cmocka_unit_test(test_off),     cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
