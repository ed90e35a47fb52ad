// Fine-tuning of the edited matrix against double precision: the losses of every step, dW, the
// bound of FT-L; a journal of dense edits gives the same bits; what does not fit is refused.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "edit/update.h"
#include "model/unpack.h"
#include "ref.h"
#include "ref_direct.h"
#include "ref_must.h"
#include "ref_tiny.h"

enum { N = DIRECT_DIM * DIRECT_FFN };

struct tuned {
    struct direct d;
    double limit;
    uint32_t held; // elements of dW at the limit
};

// Adam's first steps are rate * sign(g): where g is rounding, one element may go the other way, so
// dW is held as a whole: 2% of its length. The losses feel no such element.
static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct tuned *t = user;
    struct direct *d = &t->d;
    const uint32_t i = edit->number - 1;
    const struct hparams *h = &d->hparams;
    double want[N], losses[64], apart = 0, length = 0;
    float got[N];
    uint32_t looks = ref_tune(&d->ref, DIRECT_LAYER, &d->ref_prompts[i], d->prompts[i].target,
                              d->prompts[i].target_count, h->rate, h->stop, t->limit, h->steps,
                              want, losses);
    assert_int_equal(edit->steps, looks);
    assert_int_equal(edit->chosen, looks - 1);
    assert_int_equal(edit->rank, 0);
    for (uint32_t k = 0; k < looks; k++)
        rig_near_host(d->rig, "losses", &edit->trace[k].nll, &losses[k], NULL, 1, 1e-3 / RIG_EPS);
    assert_true(losses[looks - 1] < losses[0]);
    must(buffer_read(d->rig->dev, e->dense, 0, got, sizeof got));
    for (uint32_t k = 0; k < N; k++) {
        apart += pow((double)got[k] - want[k], 2);
        length += want[k] * want[k];
        if (t->limit > 0) assert_true(fabs((double)got[k]) <= (double)(float)t->limit);
        t->held += t->limit > 0 && fabsf(got[k]) == (float)t->limit;
        d->ref.layers[DIRECT_LAYER].down[k] += (double)got[k]; // the device's own way from here
    }
    if (sqrt(apart / length) > 0.02) fail_msg("dW is %g off", sqrt(apart / length));
    assert_true(fabs(edit->u_norm * edit->w_norm / sqrt(length) - 1) < 0.02);
    return true;
}

static void run(struct rig *rig, const char *solver, double limit, double stop)
{
    struct tuned *t = rig_memory(1, sizeof *t);
    float w[N];
    direct_open(&t->d, rig);
    t->limit = t->d.hparams.limit = limit;
    t->d.hparams.stop = stop;
    must(direct_editor(&t->d, solver, "none"));
    direct_run(&t->d, DIRECT_EDITS, on_edit, t);
    direct_matrix(&t->d, w);
    double one[N];
    for (uint32_t i = 0; i < N; i++) one[i] = 1; // W's elements are below
    rig_near_host(rig, "W", w, t->d.ref.layers[DIRECT_LAYER].down, one, N, 4);
    assert_true((t->held > N / 8) == (limit > 0));
    direct_close(&t->d);
    free(t);
}

static void test_ft(void **state)
{
    run(*state, "ft", 0, 0.01);
    run(*state, "ft", 0, 3); // ends before the last step
}

static void test_ft_l(void **state)
{
    run(*state, "ft-l", 0.015, 0.01);
}

// Two edits read back, then a third: the bits of an undisturbed run; and the journal's sum is W.
static void test_journal(void **state)
{
    struct direct d;
    struct journal j;
    float whole[N], again[N];
    const struct tensor *tensor = NULL;
    struct buffer *sum = NULL;
    direct_open(&d, *state);
    must(direct_editor(&d, "ft", "none"));
    direct_journal(&d, "ft.journal");
    direct_run(&d, 2, NULL, NULL);
    direct_end(&d);
    direct_run(&d, 3, NULL, NULL); // the third alone would have other batches
    direct_matrix(&d, whole);
    direct_close(&d);

    direct_open(&d, *state);
    must(direct_editor(&d, "ft", "none"));
    must(journal_open(&j, tiny_path("ft.journal"), false));
    assert_int_equal(j.edits[1].rank, 0);
    assert_true(j.edits[1].rows == DIRECT_DIM && j.edits[1].cols == DIRECT_FFN);
    must(record_replay(&d.editor, &j));
    direct_matrix(&d, again);
    must(journal_base(&j, &d.weights, 0, &tensor) && tensor_unpack(d.rig->dev, tensor, &sum) &&
         update_sum(d.rig->dev, &j, DIRECT_LAYER, sum));
    float added[N];
    must(buffer_read(d.rig->dev, sum, 0, added, sizeof added));
    assert_memory_equal(added, again, sizeof added);
    buffer_free(d.rig->dev, &sum);
    d.editor.done_before = 0;
    direct_run(&d, 3, NULL, NULL);
    direct_matrix(&d, again);
    assert_memory_equal(whole, again, sizeof whole);
    journal_free(&j);
    direct_close(&d);
}

static void refused(struct direct *d, const char *solver, const char *guard, const char *words)
{
    must_fail(direct_editor(d, solver, guard), STATUS_USAGE, words);
}

static void test_refused(void **state)
{
    struct direct d;
    direct_open(&d, *state);
    refused(&d, "ft", "oedit-plus", "--guard oedit-plus projects pairs, the updates of solver ft");
    refused(&d, "ft", "oedit", "the optimisation of v*, which solver ft has not");
    refused(&d, "ft", "r-edit", "--guard r-edit changes k*, which solver ft has not");
    refused(&d, "ft-l", "none", "--norm-constraint: got 0");
    d.hparams.rate = 1e30;
    must(direct_editor(&d, "ft", "none"));
    assert_false(sequence_run(&d.editor, d.requests, 1, NULL, NULL));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    assert_non_null(strstr(status_message(), "take a smaller --rate"));
    status_clear();
    direct_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ft),
        cmocka_unit_test(test_ft_l),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
