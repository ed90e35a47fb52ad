// Edits that choose their layer (WilKE), on a tiny model: every candidate's score, the choice and
// the weights of all layers against double precision; and what is refused.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit/layers.h"
#include "edit/record.h"
#include "edit/sequence.h"
#include "io/dataset.h"
#include "ref.h"
#include "ref_facts.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { LAYERS = 4, TOKENS = 900, DIM = 16, FFN = 24, SIZE = DIM * FFN, SITES_MAX = 3 };

// As test_edit.c has it for one whole edit; |delta|^2 and |W|^2 double it.
#define EDIT_BOUND 1e-3

struct variant {
    const char *solver, *guard, *layers;
    enum ref_guard ref_guard;
};

struct test {
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct ref_model ref_model;
    struct hparams hparams[SITES_MAX]; // of each layer's reference
    struct ref_editor ref[SITES_MAX];
    struct ref_request requests[FACTS];
    uint32_t sites, done, taken[LAYERS];
};

static void hparams_fill(struct hparams *h)
{
    *h = (struct hparams){.layer = 1, .lambda = 15, .rate = 0.1, .stop = 0.05, .kl = 0.0625,
                          .decay = 0.01, .clamp = 4, .steps = 12, .lambda1 = 2, .lambda2 = 2,
                          .lambda3 = 2, .q_max = UINT32_MAX, .ridge = 1e-4, .block = 40,
                          .stats_tokens = TOKENS, .grad_tokens = TOKENS};
    h->context_texts = rig_memory(FACT_CONTEXTS, sizeof *h->context_texts);
    for (; h->context_text_count < FACT_CONTEXTS; h->context_text_count++) {
        const char *text = fact_contexts[h->context_text_count];
        h->context_texts[h->context_text_count] = strcpy(rig_memory(strlen(text) + 1, 1), text);
    }
}

static void text_write(void)
{
    char *text = tiny_text(2 * TOKENS, 5);
    FILE *file = fopen(tiny_path("text.txt"), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    free(text);
}

static void model_make(struct test *t, struct rig *rig)
{
    const struct tiny tiny = {.layers = LAYERS, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 11};
    *t = (struct test){.rig = rig};
    tiny_open(&tiny, rig->dev, &t->weights, &t->tokenizer, &t->model);
    text_write();
}

static void model_drop(struct test *t)
{
    tiny_close(&t->weights, &t->tokenizer, &t->model);
}

// One reference for each layer, on one model.
static void references_open(struct test *t, const struct variant *v)
{
    struct token_list list = {0};
    char *text = tiny_text(2 * TOKENS, 5);
    must(tokenizer_encode(&t->tokenizer, text, strlen(text), 0, &list) && list.count >= TOKENS);
    ref_model_open(&t->ref_model, &t->weights);
    struct hparams listed = {0};
    must(layers_read(&listed, v->layers, &t->model.config));
    t->sites = listed.layer_count;
    for (uint32_t i = 0; i < t->sites; i++) {
        hparams_fill(&t->hparams[i]);
        t->hparams[i].layer = listed.layers[i];
        ref_editor_open(&t->ref[i], &t->ref_model, &t->hparams[i], strcmp(v->solver, "rome") == 0,
                        v->ref_guard, list.ids, TOKENS);
    }
    for (uint32_t i = 0; i < FACTS; i++) fact_request(&t->tokenizer, i, &t->requests[i]);
    token_list_free(&list);
    free(text);
}

static void references_close(struct test *t)
{
    for (uint32_t i = 0; i < FACTS; i++) fact_request_free(&t->requests[i]);
    for (uint32_t i = 0; i < t->sites; i++) {
        ref_editor_close(&t->ref[i]);
        hparams_free(&t->hparams[i]);
    }
    ref_model_close(&t->ref_model);
}

static void near(struct test *t, const char *what, double got, double want, double bound)
{
    const float narrow = (float)got;
    rig_near_host(t->rig, what, &narrow, &want, NULL, 1, bound / RIG_EPS);
}

// W of a layer: every component within the bound times |W|.
static void weights_near(struct test *t, const struct model *model, uint32_t layer)
{
    float got[SIZE];
    double size[SIZE], *want = t->ref_model.layers[layer].down;
    must(buffer_read(t->rig->dev, model->layers[layer].edited, 0, got, sizeof got));
    for (uint32_t i = 0; i < SIZE; i++) size[i] = sqrt(ref_dot(want, want, SIZE));
    rig_near_host(t->rig, "W", got, want, size, SIZE, EDIT_BOUND / RIG_EPS);
}

// What the reference finds at a layer, and its score; the layer is as before.
static double try_layer(struct test *t, uint32_t i, struct ref_edited *found)
{
    struct ref_editor *e = &t->ref[i];
    double before[SIZE], *down = t->ref_model.layers[e->h->layer].down;
    uint32_t rows = e->basis_rows;
    memcpy(before, down, sizeof before);
    e->edits = t->done; // T counts the edits of all layers
    ref_edit(e, &t->requests[t->done], found);
    double score = ref_dot(found->delta, found->delta, DIM) * ref_dot(before, before, SIZE) /
                   ref_dot(found->right, found->right, FFN);
    memcpy(down, before, sizeof before);
    e->basis_rows = rows;
    e->edits = t->done;
    return score;
}

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct test *t = user;
    double best = INFINITY;
    uint32_t chosen = 0;
    struct ref_edited found[SITES_MAX];
    assert_int_equal(edit->candidate_count, t->sites);
    for (uint32_t i = 0; i < t->sites; i++) {
        const struct candidate *c = &edit->candidates[i];
        const double *w = t->ref_model.layers[t->hparams[i].layer].down;
        double score = try_layer(t, i, &found[i]);
        assert_int_equal(c->layer, t->hparams[i].layer);
        near(t, "score", c->score, score, 2 * EDIT_BOUND);
        near(t, "|delta|, |W|, |k|", c->length,
             sqrt(ref_dot(found[i].delta, found[i].delta, DIM)), EDIT_BOUND);
        near(t, "|delta|, |W|, |k|", c->w_norm, sqrt(ref_dot(w, w, SIZE)), EDIT_BOUND);
        near(t, "|delta|, |W|, |k|", c->k_norm, sqrt(ref_dot(found[i].right, found[i].right, FFN)),
             EDIT_BOUND);
        if (score < best) chosen = i;
        if (score < best) best = score;
    }
    assert_int_equal(e->site->layer, t->hparams[chosen].layer);
    t->taken[e->site->layer]++;
    // The same once more, with what it does.
    struct ref_edited want;
    ref_edit(&t->ref[chosen], &t->requests[t->done], &want);
    near(t, "s, kept", edit->s, want.s, EDIT_BOUND);
    near(t, "s, kept", edit->kept, want.kept, EDIT_BOUND);
    near(t, "|u|, |w|", edit->u_norm, sqrt(ref_dot(want.u, want.u, DIM)), EDIT_BOUND);
    near(t, "|u|, |w|", edit->w_norm, sqrt(ref_dot(want.w, want.w, FFN)), EDIT_BOUND);
    assert_int_equal(edit->steps, want.steps);
    for (uint32_t i = 0; i < want.steps; i++)
        near(t, "loss", (double)edit->trace[i].total, want.looks[i].total, EDIT_BOUND);
    for (uint32_t i = 0; i < t->sites; i++) weights_near(t, e->model, t->hparams[i].layer);
    ref_edited_free(&want);
    for (uint32_t i = 0; i < t->sites; i++) ref_edited_free(&found[i]);
    t->done++;
    return true;
}

static void run(struct rig *rig, const struct variant *v)
{
    struct test *t = rig_memory(1, sizeof *t);
    struct dataset dataset[FACTS] = {0};
    struct request requests[FACTS];
    struct editor editor;
    model_make(t, rig);
    references_open(t, v);
    for (uint32_t i = 0; i < FACTS; i++) {
        must(dataset_from_strings(&dataset[i], facts[i][0], facts[i][1], facts[i][2]));
        requests[i] = dataset[i].requests[0];
    }
    struct sequence_options options = {.solver = v->solver, .guard = v->guard,
                                       .text = tiny_path("text.txt"), .seed = 1};
    hparams_fill(&options.hparams);
    must(layers_read(&options.hparams, v->layers, &t->model.config));
    must(editor_open(&editor, &t->model, &t->weights, &t->tokenizer, &options));
    must(sequence_run(&editor, requests, FACTS, on_edit, t));
    assert_int_equal(t->done, FACTS);
    uint32_t edits = 0;
    for (uint32_t i = 0; i < editor.site_count; i++) {
        assert_int_equal(editor.sites[i].edits, t->taken[editor.sites[i].layer]);
        if (v->ref_guard >= REF_OEDIT) // V of a layer is of its own edits
            assert_int_equal(editor.sites[i].basis.rows, editor.sites[i].edits);
        edits += editor.sites[i].edits;
    }
    assert_int_equal(edits, FACTS);
    printf("%s %s %s: layers taken %u %u %u %u times\n", v->solver, v->guard, v->layers,
           t->taken[0], t->taken[1], t->taken[2], t->taken[3]);
    editor_close(&editor);
    for (uint32_t i = 0; i < FACTS; i++) dataset_free(&dataset[i]);
    references_close(t);
    model_drop(t);
    free(t);
}

#define VARIANT(name, ...)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        const struct variant variant = {__VA_ARGS__};                                              \
        run(*state, &variant);                                                                     \
    }

VARIANT(memit, "memit", "wilke", "0-2", REF_NONE)
VARIANT(rome, "rome", "wilke", "0-2", REF_NONE)
VARIANT(two_layers, "memit", "wilke", "2,1", REF_NONE)
VARIANT(no_guard, "memit", "none", "0-2", REF_NONE)
VARIANT(r_edit, "rome", "r-edit", "0-2", REF_R_EDIT)
VARIANT(oedit, "memit", "oedit", "0-2", REF_OEDIT)
VARIANT(oedit_two, "rome", "oedit", "2,1", REF_OEDIT)
VARIANT(oedit_plus, "memit", "oedit-plus", "0-2", REF_OEDIT_PLUS)
VARIANT(plus_two, "rome", "oedit-plus", "2,1", REF_OEDIT_PLUS)

// The last layer: behind the subject's last token nothing reads its output, so its delta stays zero
// and its score means nothing. It must not be taken for the best.
static bool last_layer(void *user, const struct editor *e, const struct edit *edit)
{
    uint32_t *seen = user;
    assert_int_equal(edit->candidate_count, 2);
    assert_true(edit->candidates[1].layer == LAYERS - 1 && edit->candidates[1].length == 0);
    assert_true(isnan(edit->candidates[1].score) && edit->candidates[0].score > 0);
    assert_int_equal(e->site->layer, 1);
    ++*seen;
    return true;
}

static void test_last_layer(void **state)
{
    struct test *t = rig_memory(1, sizeof *t);
    struct dataset data = {0};
    struct editor editor;
    uint32_t seen = 0;
    model_make(t, *state);
    struct sequence_options options = {.solver = "memit", .guard = "wilke",
                                       .text = tiny_path("text.txt"), .seed = 1};
    hparams_fill(&options.hparams);
    options.hparams.kl = options.hparams.decay = 0;
    must(layers_read(&options.hparams, "1,3", &t->model.config));
    must(dataset_from_strings(&data, facts[0][0], facts[0][1], facts[0][2]));
    must(editor_open(&editor, &t->model, &t->weights, &t->tokenizer, &options));
    must(sequence_run(&editor, data.requests, 1, last_layer, &seen));
    assert_int_equal(seen, 1);
    editor_close(&editor);
    dataset_free(&data);
    model_drop(t);
    free(t);
}

// NaN among the directions of grad G that a layer's penalty looks at.
static void spoil(struct site *site)
{
    const float nan = NAN;
    must(buffer_write(site->factor.dev, site->directions, 0, &nan, sizeof nan));
}

static bool not_the_first(void *user, const struct editor *e, const struct edit *edit)
{
    uint32_t *seen = user;
    assert_int_equal(edit->candidate_count, 2);
    assert_true(isnan(edit->candidates[0].score) && edit->candidates[1].score > 0);
    assert_true(e->site->layer == 2 && !edit->faulty);
    ++*seen;
    return true;
}

// A layer at which a value is not finite is left out; where all are so, the edit fails.
static void test_not_finite(void **state)
{
    struct test *t = rig_memory(1, sizeof *t);
    struct dataset data = {0};
    struct editor editor;
    uint32_t seen = 0;
    model_make(t, *state);
    struct sequence_options options = {.solver = "memit", .guard = "oedit",
                                       .text = tiny_path("text.txt"), .seed = 1};
    hparams_fill(&options.hparams);
    must(layers_read(&options.hparams, "1,2", &t->model.config));
    must(dataset_from_strings(&data, facts[0][0], facts[0][1], facts[0][2]));
    must(editor_open(&editor, &t->model, &t->weights, &t->tokenizer, &options));
    spoil(&editor.sites[0]);
    must(sequence_run(&editor, data.requests, 1, not_the_first, &seen));
    assert_int_equal(seen, 1);
    assert_true(editor.sites[0].edits == 0 && editor.sites[1].edits == 1);
    editor_close(&editor);
    must(model_restore(&t->model));
    options = (struct sequence_options){.solver = "memit", .guard = "oedit",
                                        .text = tiny_path("text.txt"), .seed = 1};
    hparams_fill(&options.hparams);
    must(layers_read(&options.hparams, "1,2", &t->model.config));
    must(editor_open(&editor, &t->model, &t->weights, &t->tokenizer, &options));
    spoil(&editor.sites[0]);
    spoil(&editor.sites[1]);
    assert_false(sequence_run(&editor, data.requests, 1, not_the_first, &seen));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    printf("%s\n", status_message());
    assert_non_null(strstr(status_message(), "edit 1 (\"the cat lives in\")"));
    assert_int_equal(seen, 1);
    status_clear();
    editor_close(&editor);
    dataset_free(&data);
    model_drop(t);
    free(t);
}

static void list_refused(const char *words, const char *why)
{
    const struct config config = {.layers = 12};
    struct hparams h = {0};
    must_fail(layers_read(&h, words, &config), STATUS_USAGE, why);
}

static void test_lists(void **state)
{
    (void)state;
    const struct config config = {.layers = 12};
    struct hparams h = {0};
    char text[LAYERS_TEXT];
    must(layers_read(&h, "8,0-2,11", &config));
    layers_text(&h, text);
    assert_string_equal(text, "0,1,2,8,11");
    assert_int_equal(h.layer, 0);
    must(layers_read(&h, "7", &config)); // one is no choice
    assert_true(h.layer == 7 && h.layer_count == 0);
    list_refused("9-5", "got 9-5, wanted the lower layer first");
    list_refused("5-12", "got 12 in '5-12', the model has layers 0 to 11");
    list_refused("5-4294967295", "got 4294967295 in");
    list_refused("5-99999999999999999999", "got 4294967295 in");
    list_refused("3,5-7,6", "got 6 twice");
    list_refused("4,4", "got 4 twice");
    list_refused("", "got '', wanted numbers");
    list_refused("5,", "got '5,', wanted numbers");
    list_refused("5-", "wanted a number behind 5-");
    list_refused("-3", "got '-3', wanted numbers");
    list_refused("5-7-9", "got '5-7-9', wanted numbers");
    list_refused("five", "got 'five', wanted numbers");
}

static void test_one_layer(void **state)
{
    struct test *t = rig_memory(1, sizeof *t);
    struct editor editor;
    model_make(t, *state);
    struct sequence_options options = {.solver = "memit", .guard = "wilke",
                                       .text = tiny_path("text.txt"), .seed = 1};
    hparams_fill(&options.hparams);
    assert_false(editor_open(&editor, &t->model, &t->weights, &t->tokenizer, &options));
    assert_int_equal(status_code(), STATUS_USAGE);
    assert_non_null(strstr(status_message(), "--guard wilke: got one layer, wanted several"));
    status_clear();
    model_drop(t);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memit),      cmocka_unit_test(test_rome),
        cmocka_unit_test(test_two_layers), cmocka_unit_test(test_no_guard),
        cmocka_unit_test(test_r_edit),     cmocka_unit_test(test_oedit),
        cmocka_unit_test(test_oedit_two),  cmocka_unit_test(test_oedit_plus),
        cmocka_unit_test(test_plus_two),   cmocka_unit_test(test_last_layer),
        cmocka_unit_test(test_lists),      cmocka_unit_test(test_one_layer),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
