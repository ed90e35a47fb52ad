// UltraEdit against its formulas written out in double precision, dense; with a projecting guard;
// resumed from a journal with the same bits.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edit/update.h"
#include "ref.h"
#include "ref_direct.h"
#include "ref_must.h"
#include "ref_tiny.h"

enum { N = DIRECT_DIM * DIRECT_FFN };

struct ultra {
    struct direct d;
    struct ref_running running;
    float us[8][DIRECT_DIM];
    uint32_t count; // of us
};

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct ultra *t = user;
    struct direct *d = &t->d;
    const uint32_t i = edit->number - 1;
    struct ref_answer a;
    double want[N], apart = 0, length = 0;
    static float u[8 * DIRECT_DIM], w[8 * DIRECT_FFN];
    ref_answer_of(&a, &d->ref, DIRECT_LAYER, &d->ref_prompts[i], d->prompts[i].target,
                  d->prompts[i].target_count);
    assert_int_equal(edit->rank, i + 1);
    assert_int_equal(edit->note_count, (i + 1) * (DIRECT_DIM + DIRECT_FFN));
    rig_near_host(d->rig, "loss", &edit->trace[0].nll, &a.loss, NULL, 1, 1e-4 / RIG_EPS);
    ref_ultra(&t->running, &a, d->hparams.rate, want, DIRECT_DIM, DIRECT_FFN);
    ref_answer_free(&a);
    must(buffer_read(d->rig->dev, e->us, 0, u, 4ull * edit->rank * DIRECT_DIM));
    must(buffer_read(d->rig->dev, e->ws, 0, w, 4ull * edit->rank * DIRECT_FFN));
    for (uint32_t k = 0; k < N; k++) {
        double got = 0;
        for (uint32_t p = 0; p < edit->rank; p++)
            got += (double)u[p * DIRECT_DIM + k / DIRECT_FFN] *
                   (double)w[p * DIRECT_FFN + k % DIRECT_FFN];
        apart += pow(got - want[k], 2);
        length += want[k] * want[k];
        d->ref.layers[DIRECT_LAYER].down[k] += want[k];
    }
    // One row alone is its own mean: nothing is left of it.
    assert_true(edit->noop == (i == 0) && (length > 0) == (i > 0));
    if (i > 0 && sqrt(apart / length) > 1e-3) fail_msg("dW is %g off", sqrt(apart / length));
    if (i > 0) assert_true(fabs(edit->u_norm * edit->w_norm / sqrt(length) - 1) < 1e-3);
    return true;
}

static void test_formulas(void **state)
{
    struct ultra *t = rig_memory(1, sizeof *t);
    float w[N];
    direct_open(&t->d, *state);
    must(direct_editor(&t->d, "ultraedit", "none"));
    assert_null(t->d.editor.site->moment); // C is not needed
    direct_run(&t->d, DIRECT_EDITS, on_edit, t);
    assert_int_equal(t->running.rows, 6);
    direct_matrix(&t->d, w);
    double *size = ref_zeros(N);
    for (uint32_t i = 0; i < N; i++) size[i] = 1;
    rig_near_host(t->d.rig, "W", w, t->d.ref.layers[DIRECT_LAYER].down, size, N, 1e-3 / RIG_EPS);
    free(size);
    free(t->running.keys);
    free(t->running.grads);
    direct_close(&t->d);
    free(t);
}

// Every pair's u is orthogonal to the u's of earlier edits.
static bool on_projected(void *user, const struct editor *e, const struct edit *edit)
{
    struct ultra *t = user;
    if (edit->noop) return true;
    float *fresh = t->us[t->count];
    must(buffer_read(t->d.rig->dev, e->us, 0, fresh, 4ull * edit->rank * DIRECT_DIM));
    for (uint32_t i = t->count; i < t->count + edit->rank; i++)
        for (uint32_t j = 0; j < t->count; j++) {
            double *a = ref_wide(t->us[i], DIRECT_DIM), *b = ref_wide(t->us[j], DIRECT_DIM);
            double scale = sqrt(ref_dot(a, a, DIRECT_DIM) * ref_dot(b, b, DIRECT_DIM));
            assert_true(fabs(ref_dot(a, b, DIRECT_DIM)) <= 1e-4 * scale);
            free(a);
            free(b);
        }
    if (edit->number == 3) assert_true(edit->kept < 0.9999 && edit->kept > 0);
    t->count += edit->rank;
    return true;
}

static void test_projected(void **state)
{
    struct ultra *t = rig_memory(1, sizeof *t);
    direct_open(&t->d, *state);
    t->d.hparams.lambda3 = 0.5;
    must(direct_editor(&t->d, "ultraedit", "oedit-plus"));
    direct_run(&t->d, DIRECT_EDITS, on_projected, t);
    assert_int_equal(t->count, 5);
    direct_close(&t->d);
    free(t);
}

// Journals of two runs, one of them begun anew behind its second edit, are the same bytes.
static void journal_case(struct rig *rig, const char *guard)
{
    struct direct d;
    struct journal j;
    float whole[N], again[N];
    direct_open(&d, rig);
    d.hparams.lambda3 = 0.5;
    must(direct_editor(&d, "ultraedit", guard));
    direct_journal(&d, "whole.journal");
    direct_run(&d, DIRECT_EDITS, NULL, NULL);
    direct_matrix(&d, whole);
    direct_close(&d);

    for (uint32_t cut = 0; cut < DIRECT_EDITS; cut++) {
        direct_open(&d, rig);
        d.hparams.lambda3 = 0.5;
        must(direct_editor(&d, "ultraedit", guard));
        must(journal_open(&j, tiny_path("whole.journal"), false));
        j.edit_count = cut;
        must(record_replay(&d.editor, &j));
        direct_journal(&d, "part.journal");
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
    journal_case(*state, "none");
    journal_case(*state, "oedit-plus");
}

static void test_refused(void **state)
{
    struct direct d;
    struct journal j;
    direct_open(&d, *state);
    assert_false(direct_editor(&d, "ultraedit", "oedit"));
    assert_int_equal(status_code(), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "the optimisation of v*, which solver ultraedit"));
    status_clear();
    must(direct_editor(&d, "ultraedit", "none"));
    must(journal_open(&j, tiny_path("whole.journal"), false));
    j.edits[1].note_count--;
    assert_false(record_replay(&d.editor, &j));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    assert_non_null(strstr(status_message(), "edit 2 of the journal has 79 numbers"));
    status_clear();
    journal_free(&j);
    direct_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formulas),
        cmocka_unit_test(test_projected),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
