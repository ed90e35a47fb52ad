// AlphaEdit on a tiny model: what P is, kept either way round, the published formula over a
// sequence, journals that are resumed with the same bits, and what is refused. test_edit.c has the
// values.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ref.h"
#include "ref_direct.h"
#include "ref_edit.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_tiny.h"

enum { FFN = DIRECT_FFN, SQUARE = FFN * FFN, N = DIRECT_DIM * DIRECT_FFN };

struct test {
    struct direct d;
    double c[SQUARE], values[FFN], rows[SQUARE]; // C, its eigenvalues, falling, and eigenvectors
    double p[SQUARE], seen[SQUARE];              // P, sum of k k^T
    uint32_t outside;                            // eigenvalues from the threshold on
    double gap;                                  // between those on both sides of it
    uint32_t done;
};

// C as an editor with C has it; `outside` eigenvectors are to be left out, the threshold in the
// middle of a gap.
static void test_begin(struct test *t, struct rig *rig, uint32_t outside)
{
    float c[SQUARE];
    double s[SQUARE];
    *t = (struct test){.outside = outside};
    direct_open(&t->d, rig);
    t->d.hparams.lambda = 15;
    t->d.hparams.rate = 0.5;
    t->d.hparams.decay = 0.01;
    t->d.hparams.kl = 0.0625;
    t->d.hparams.clamp = 4;
    t->d.hparams.ridge = 1e-3;
    must(direct_editor(&t->d, "memit", "none"));
    must(buffer_read(rig->dev, t->d.editor.site->moment, 0, c, sizeof c));
    editor_close(&t->d.editor);
    for (uint32_t i = 0; i < SQUARE; i++)
        t->c[i] = s[i] = (double)(i % FFN <= i / FFN ? c[i] : c[i % FFN * FFN + i / FFN]);
    ref_eigenvectors(s, t->rows, FFN);
    for (uint32_t i = 0; i < FFN; i++) t->values[i] = s[i * (FFN + 1)];
    const double above = outside ? t->values[outside - 1] : 2 * t->values[0];
    const double below = outside < FFN ? t->values[outside] : 0;
    t->gap = above - below;
    t->d.hparams.null_threshold = (above + below) / 2;
    t->d.hparams.l2 = 0.5;
    for (uint32_t i = 0; i < SQUARE; i++) {
        t->p[i] = i / FFN == i % FFN;
        for (uint32_t r = 0; r < outside; r++)
            t->p[i] -= t->rows[r * FFN + i / FFN] * t->rows[r * FFN + i % FFN];
    }
}

// P times every unit vector, as the device projects.
static void projector(struct test *t, double p[SQUARE])
{
    struct device *dev = t->d.rig->dev;
    for (uint32_t i = 0; i < FFN; i++) {
        float column[FFN] = {0};
        struct buffer *k = NULL;
        struct cmd cmd;
        column[i] = 1;
        must(buffer_from(dev, column, sizeof column, "a unit vector", &k));
        cmd_start(&cmd, dev, false);
        null_space_project(&cmd, &t->d.editor.site->null_space, k->address);
        must(cmd_run_once(&cmd) && buffer_read(dev, k, 0, column, sizeof column));
        cmd_free(&cmd);
        for (uint32_t j = 0; j < FFN; j++) p[j * FFN + i] = (double)column[j];
        buffer_free(dev, &k);
    }
}

static double length(const double *x, uint32_t n)
{
    return sqrt(ref_dot(x, x, n));
}

// P = P^T, P P = P, its trace is the number of dimensions, it is P of double precision, and P K0 =
// 0 for K0 what the text has keys in. The SVD's rounding, n eps |C|, turns a vector of one space by
// at most that over the gap towards the other (Davis and Kahan).
static void projector_case(struct rig *rig, uint32_t outside)
{
    struct test *t = rig_memory(1, sizeof *t);
    double p[SQUARE], wrong[SQUARE], trace = 0;
    const double rounding = 4 * FFN * RIG_EPS;
    test_begin(t, rig, outside);
    must(direct_editor(&t->d, "alphaedit", "none"));
    const struct null_space *s = &t->d.editor.site->null_space;
    const double turned = rounding * (1 + t->values[0] / t->gap);
    assert_int_equal(s->count, FFN - outside);
    assert_int_equal(s->inside, outside > FFN / 2);
    assert_int_equal(s->row_count, outside > FFN / 2 ? FFN - outside : outside);
    assert_null(t->d.editor.site->moment); // neither C nor a factor of it is held
    assert_null(t->d.editor.site->factor.lower);
    projector(t, p);
    for (uint32_t i = 0; i < SQUARE; i++) {
        const uint32_t row = i / FFN, col = i % FFN;
        double square = 0;
        for (uint32_t j = 0; j < FFN; j++) square += p[row * FFN + j] * p[j * FFN + col];
        assert_true(fabs(p[i] - p[col * FFN + row]) <= rounding);
        assert_true(fabs(square - p[i]) <= rounding);
        if (row == col) trace += p[i];
        wrong[i] = p[i] - t->p[i];
    }
    assert_true(fabs(trace - (FFN - outside)) <= FFN * rounding);
    assert_true(length(wrong, SQUARE) <= sqrt(2.0 * FFN) * turned);
    for (uint32_t r = 0; r < FFN; r++) { // the text's to 0, the others to themselves
        double image[FFN];
        for (uint32_t i = 0; i < FFN; i++)
            image[i] = ref_dot(p + i * FFN, t->rows + r * FFN, FFN) -
                       (r < outside ? 0 : t->rows[r * FFN + i]);
        assert_true(length(image, FFN) <= turned);
    }
    if (outside == 0) // P = I, to the bit
        for (uint32_t i = 0; i < SQUARE; i++) assert_true(p[i] == (i / FFN == i % FFN));
    direct_close(&t->d);
    free(t);
}

static void test_projector(void **state)
{
    projector_case(*state, 0);
    projector_case(*state, 7);
    projector_case(*state, FFN / 2);
    projector_case(*state, FFN / 2 + 1);
    projector_case(*state, FFN - 2);
}

// The edit's mean key, before it was projected.
static void key_of(const struct editor *e, const struct edit *edit, double k[FFN])
{
    float key[FFN];
    must(key_make(e->model, edit, edit->left, e->plain_key->address) &&
         buffer_read(e->model->dev, e->plain_key, 0, key, sizeof key));
    for (uint32_t i = 0; i < FFN; i++) k[i] = (double)key[i];
}

// The row of Delta = R k^T P (K K^T P + k k^T P + L2 I)^-1, K the earlier keys as they are, P the
// device's (test_projector says how far it is from the true one).
static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct test *t = user;
    double k[FFN], left[FFN], a[SQUARE], want[FFN], error[FFN], mass = 0;
    float w[FFN];
    key_of(e, edit, k);
    must(buffer_read(t->d.rig->dev, e->w, 0, w, sizeof w));
    for (uint32_t i = 0; i < SQUARE; i++) t->seen[i] += k[i / FFN] * k[i % FFN];
    for (uint32_t i = 0; i < FFN; i++) {
        left[i] = ref_dot(t->p + i * FFN, k, FFN);
        for (uint32_t j = 0; j < FFN; j++) mass += t->p[i * FFN + j] * t->seen[i * FFN + j];
        for (uint32_t j = 0; j < FFN; j++)
            a[i * FFN + j] = ref_dot(t->seen + i * FFN, t->p + j * FFN, FFN) +
                             (i == j ? t->d.hparams.l2 : 0);
    }
    ref_solve_dense(a, FFN, true, left, want);
    for (uint32_t i = 0; i < FFN; i++) error[i] = (double)w[i] - want[i];
    // P k is off by rounding, |k| / |P k| times as much of itself, and the condition enlarges it.
    const double rounding = 4 * FFN * RIG_EPS, turned = rounding * (1 + t->values[0] / t->gap);
    const double bound = rounding * length(k, FFN) / length(left, FFN) *
                         (1 + mass / t->d.hparams.l2);
    if (!(length(error, FFN) <= bound * length(want, FFN)))
        fail_msg("edit %u: w is %g off, at most %g", edit->number,
                 length(error, FFN) / length(want, FFN), bound);
    assert_true(fabs(edit->realised - ref_dot(want, k, FFN)) <= bound);
    for (uint32_t r = 0; r < t->outside; r++) { // and leaves the text's keys alone
        double along = 0;
        for (uint32_t i = 0; i < FFN; i++) along += (double)w[i] * t->rows[r * FFN + i];
        assert_true(fabs(along) <= (bound + turned) * length(want, FFN));
    }
    printf("edit %u: w is %.1e off, bound %.1e\n", edit->number,
           length(error, FFN) / length(want, FFN), bound);
    t->done++;
    return true;
}

static void formula_case(struct rig *rig, const char *guard, uint32_t outside, double l2)
{
    struct test *t = rig_memory(1, sizeof *t);
    test_begin(t, rig, outside);
    t->d.hparams.l2 = l2;
    must(direct_editor(&t->d, "alphaedit", guard));
    projector(t, t->p);
    direct_run(&t->d, DIRECT_EDITS, on_edit, t);
    assert_int_equal(t->done, DIRECT_EDITS);
    assert_int_equal(t->d.editor.site->earlier.basis.rows, DIRECT_EDITS);
    direct_close(&t->d);
    free(t);
}

static void test_formula(void **state)
{
    formula_case(*state, "none", 7, 0.5);
    formula_case(*state, "none", 7, 10);
    formula_case(*state, "none", 0, 0.5);
    formula_case(*state, "none", FFN - 8, 0.5);
    formula_case(*state, "oedit-plus", 7, 0.5);
}

// Journals of two runs, one of them begun anew behind an edit, are the same bytes.
static void journal_case(struct rig *rig, const char *guard, uint32_t outside)
{
    struct test *t = rig_memory(1, sizeof *t);
    struct journal j;
    float whole[N], again[N];
    test_begin(t, rig, outside);
    must(direct_editor(&t->d, "alphaedit", guard));
    direct_journal(&t->d, "whole.journal");
    direct_run(&t->d, DIRECT_EDITS, NULL, NULL);
    direct_matrix(&t->d, whole);
    direct_close(&t->d);
    for (uint32_t cut = 0; cut < DIRECT_EDITS; cut++) {
        test_begin(t, rig, outside);
        must(direct_editor(&t->d, "alphaedit", guard));
        must(journal_open(&j, tiny_path("whole.journal"), false));
        j.edit_count = cut;
        must(record_replay(&t->d.editor, &j));
        direct_journal(&t->d, "part.journal");
        for (uint32_t i = 0; i < cut; i++) must(journal_add_edit(&t->d.writer, &j.edits[i]));
        direct_run(&t->d, DIRECT_EDITS, NULL, NULL);
        direct_matrix(&t->d, again);
        assert_memory_equal(whole, again, sizeof whole);
        j.edit_count = DIRECT_EDITS;
        journal_free(&j);
        direct_close(&t->d);
        direct_same_journals("whole.journal", "part.journal");
    }
    free(t);
}

static void test_journal(void **state)
{
    journal_case(*state, "none", 7);
    journal_case(*state, "oedit", FFN - 4);
    journal_case(*state, "oedit-plus", 7);
}

static void test_refused(void **state)
{
    struct test *t = rig_memory(1, sizeof *t);
    struct journal j;
    test_begin(t, *state, FFN); // P = 0
    must_fail(direct_editor(&t->d, "alphaedit", "none"), STATUS_USAGE,
              "none is under it, and nothing would be left of an edit");
    t->d.hparams.null_threshold = t->values[7];
    t->d.hparams.l2 = 0;
    must_fail(direct_editor(&t->d, "alphaedit", "none"), STATUS_USAGE,
              "--l2: got 0, solver alphaedit wants more than 0");
    t->d.hparams.l2 = 0.5;
    t->d.hparams.key_memory = 1;
    must_fail(direct_editor(&t->d, "alphaedit", "none"), STATUS_USAGE,
              "solver alphaedit remembers keys by itself");
    t->d.hparams.key_memory = 0;
    t->d.hparams.l2 = 1e-8;
    must(direct_editor(&t->d, "alphaedit", "none"));
    must_fail(sequence_run(&t->d.editor, t->d.requests, 1, NULL, NULL), STATUS_BAD_DATA,
              "take a larger --l2 than 1e-08");
    editor_close(&t->d.editor);
    t->d.hparams.l2 = 0.5;
    must(direct_editor(&t->d, "alphaedit", "none"));
    must(journal_open(&j, tiny_path("whole.journal"), false));
    j.edits[1].note_count--;
    must_fail(record_replay(&t->d.editor, &j), STATUS_BAD_DATA,
              "edit 2 of the journal has 23 numbers of its key, wanted 24");
    journal_free(&j);
    direct_close(&t->d);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_projector),
        cmocka_unit_test(test_formula),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
