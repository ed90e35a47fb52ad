// Controls (O-Edit Tables 2 and 9), what ablations do not compute, and the sources of grad G
// (Table 4) on a tiny model: each does exactly what its name says. The ablations' algebra against
// double precision stands in test_edit.c.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edit/controls.h"
#include "edit/sequence.h"
#include "edit/sources.h"
#include "edit/stats.h"
#include "io/dataset.h"
#include "ref.h"
#include "ref_linalg.h"
#include "ref_model.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { TOKENS = 700, DIM = 16, FFN = 24, LAYER = 1, EDITS = 3, MATRIX = DIM * FFN };

static const char *const facts[2][EDITS][3] = {
    {{"the cat lives in", "the cat", "paris"},
     {"the king of rome speaks", "king of rome", "latin music"},
     {"born on the sea the old man plays", "old man", "red and blue"}},
    {{"the old man lives in", "old man", "rome"},
     {"the city is", "the city", "red"},
     {"the sea is", "the sea", "music"}},
};

struct run {
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    float before[MATRIX], after[MATRIX];
    float u[EDITS][DIM], w[EDITS][FFN];
    struct edit edits[EDITS];
    uint32_t done;
};

static struct hparams hparams_of(void)
{
    struct hparams h = {.layer = LAYER, .lambda = 0.5, .rate = 0.3, .stop = 0.001, .kl = 0.0625,
                        .decay = 0.01, .clamp = 20, .steps = 12, .lambda1 = 2, .lambda2 = 2,
                        .lambda3 = 1.5, .q_max = UINT32_MAX, .ridge = 1e-4, .block = 40,
                        .stats_tokens = TOKENS, .grad_tokens = TOKENS};
    h.context_texts = rig_memory(1, sizeof *h.context_texts);
    h.context_texts[h.context_text_count++] = strcpy(rig_memory(40, 1), "the sea is blue");
    return h;
}

static void model_start(struct run *r, struct rig *rig)
{
    const struct tiny tiny = {.layers = 3, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 17,
                              .own_head = true};
    *r = (struct run){.rig = rig};
    tiny_open(&tiny, rig->dev, &r->weights, &r->tokenizer, &r->model);
}

static void run_end(struct run *r)
{
    editor_close(&r->editor);
    tiny_close(&r->weights, &r->tokenizer, &r->model);
}

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct run *r = user;
    r->edits[r->done] = *edit;
    must(buffer_read(r->rig->dev, e->u, 0, r->u[r->done], sizeof r->u[0]));
    must(buffer_read(r->rig->dev, e->w, 0, r->w[r->done], sizeof r->w[0]));
    r->done++;
    return true;
}

static bool editor_try(struct run *r, const char *guard, struct hparams h, uint64_t seed)
{
    struct sequence_options options = {.solver = "memit", .guard = guard, .hparams = h,
                                       .text = tiny_path("text.txt"), .seed = seed};
    bool ok = editor_open(&r->editor, &r->model, &r->weights, &r->tokenizer, &options);
    hparams_free(&options.hparams);
    return ok;
}

// Three edits with a guard of this knob.
static void run(struct run *r, struct rig *rig, const char *guard, double knob, uint64_t seed,
                const char *const (*asked)[3])
{
    struct hparams h = hparams_of();
    h.knob = knob;
    model_start(r, rig);
    must(editor_try(r, guard, h, seed));
    must(buffer_read(rig->dev, r->editor.site->matrix, 0, r->before, sizeof r->before));
    for (uint32_t i = 0; i < EDITS; i++) {
        struct dataset data = {0};
        must(dataset_from_strings(&data, asked[i][0], asked[i][1], asked[i][2]));
        must(sequence_run(&r->editor, data.requests, 1, on_edit, r));
        dataset_free(&data);
    }
    must(buffer_read(rig->dev, r->editor.site->matrix, 0, r->after, sizeof r->after));
}

static uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

// W0, then each edit's u w^T where its mask is 1, in double; and no other value is touched.
static void test_zero(void **state)
{
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct run r;
        run(&r, *state, "zero", 0.375, seed, facts[0]);
        const struct mask mask = mask_of(seed, 0.375);
        assert_int_equal(mask.zeros, 0x60000000);
        double want[MATRIX], size[MATRIX], zeros = 0;
        for (uint32_t i = 0; i < MATRIX; i++) {
            uint32_t left = 0;
            want[i] = (double)r.before[i];
            size[i] = 0;
            for (uint32_t k = 0; k < EDITS; k++) {
                bool out = mixed(mixed(i + mask.seed) ^ (k + 1)) < mask.zeros;
                double term = (double)r.u[k][i / FFN] * (double)r.w[k][i % FFN];
                if (!out) want[i] += term;
                if (!out) size[i] += fabs(want[i]) + fabs(term);
                left += out;
            }
            if (left == EDITS) assert_true(r.after[i] == r.before[i]);
            zeros += left;
        }
        rig_near_host(r.rig, "W of guard zero", r.after, want, size, MATRIX, 2);
        assert_true(fabs(zeros / (MATRIX * EDITS) - 0.375) < 5 * sqrt(0.25 / (MATRIX * EDITS)));
        for (uint32_t k = 0; k < EDITS; k++) assert_true(r.edits[k].kept == sqrt(0.625));
        run_end(&r);
    }
}

// The first edit's u is the unguarded one's times eta, rounded once.
static void test_scale(void **state)
{
    const float eta = 0.3f;
    struct run plain, r;
    run(&plain, *state, "none", 0, 0, facts[0]);
    run(&r, *state, "scale", (double)eta, 0, facts[0]);
    for (uint32_t i = 0; i < DIM; i++) assert_true(r.u[0][i] == eta * plain.u[0][i]);
    assert_memory_equal(r.w[0], plain.w[0], sizeof r.w[0]);
    for (uint32_t k = 0; k < EDITS; k++) assert_true(fabs(r.edits[k].kept - (double)eta) < 1e-6);
    run_end(&plain);
    run_end(&r);
}

static void test_fewer_steps(void **state)
{
    struct run r;
    run(&r, *state, "fewer-steps", 5, 0, facts[0]);
    assert_int_equal(r.editor.hparams.steps, 5);
    for (uint32_t k = 0; k < EDITS; k++) assert_true(r.edits[k].steps <= 5);
    run_end(&r);
}

static void basis_read(const struct run *r, float *v)
{
    const struct basis *b = &r->editor.site->basis;
    must(buffer_read(r->rig->dev, b->vectors, 0, v, 4ull * b->rows * DIM));
}

// r + q directions as O-Edit+ would have, or so many an edit; orthonormal; of the seed, not of what
// is edited; and nothing of u lies in them.
static void test_random(void **state)
{
    struct run r[4];
    float v[4][DIM * DIM];
    const double knobs[4] = {0, 0, 0, 2};
    for (uint32_t i = 0; i < 4; i++) {
        run(&r[i], *state, "random", knobs[i], i == 2, facts[i == 1]);
        basis_read(&r[i], v[i]);
        const uint32_t rows = r[i].editor.site->basis.rows;
        assert_true(ref_orthonormality(v[i], rows, DIM) <= 1e-5);
        for (uint32_t k = 0; k < EDITS; k++) {
            uint32_t t = k + 1, wanted = knobs[i] > 0 ? 2 * t : t - 1 + (uint32_t)(1.5 * t);
            assert_int_equal(r[i].edits[k].r, wanted);
            for (uint32_t d = 0; d < wanted; d++) {
                double dot = 0;
                for (uint32_t j = 0; j < DIM; j++)
                    dot += (double)r[i].u[k][j] * (double)v[i][d * DIM + j];
                assert_true(fabs(dot) <= 1e-6 * r[i].edits[k].u_norm / r[i].edits[k].kept);
            }
        }
        assert_int_equal(rows, r[i].edits[EDITS - 1].r);
    }
    const size_t bytes = 4ull * r[0].editor.site->basis.rows * DIM;
    assert_memory_equal(v[0], v[1], bytes); // other edits
    assert_memory_equal(v[0], v[3], bytes < 4ull * 6 * DIM ? bytes : 4ull * 6 * DIM);
    assert_true(memcmp(v[0], v[2], bytes) != 0); // another seed
    for (uint32_t i = 0; i < 4; i++) run_end(&r[i]);
}

// Only dW_total: grad G is neither made nor read; only grad G: V stays empty.
static void test_ablated(void **state)
{
    struct run r;
    for (enum ablation a = ABLATE_GRAD; a < ABLATIONS; a++) {
        struct hparams h = hparams_of();
        struct dataset data = {0};
        h.ablate = a;
        model_start(&r, *state);
        must(editor_try(&r, "oedit-plus", h, 0));
        assert_true((r.editor.site->directions == NULL) == (a == ABLATE_GRAD));
        must(dataset_from_strings(&data, "the cat lives in", "the cat", "paris"));
        must(sequence_run(&r.editor, data.requests, 1, on_edit, &r));
        assert_int_equal(r.editor.site->basis.rows, a != ABLATE_EDITS);
        assert_int_equal(r.edits[0].q, a != ABLATE_GRAD);
        dataset_free(&data);
        run_end(&r);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *guard, *words;
        double knob;
        enum ablation ablate;
    } cases[] = {
        {"none", "guard none has none", 0.5, ABLATE_NONE},
        {"zero", "the share of dW's values", 0, ABLATE_NONE},
        {"zero", "under 1", 1, ABLATE_NONE},
        {"scale", "got 1.5", 1.5, ABLATE_NONE},
        {"scale", "got nan", NAN, ABLATE_NONE},
        {"fewer-steps", "whole number", 1.5, ABLATE_NONE},
        {"random", "got -1", -1, ABLATE_NONE},
        {"none", "nothing to leave out", 0, ABLATE_EQ26},
    };
    struct run r;
    model_start(&r, *state);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct hparams h = hparams_of();
        h.knob = cases[i].knob;
        h.ablate = cases[i].ablate;
        must_fail(editor_try(&r, cases[i].guard, h, 0), STATUS_USAGE, cases[i].words);
    }
    struct hparams h = hparams_of();
    h.grad_source = GRAD_ASCII;
    must_fail(editor_try(&r, "oedit", h, 0), STATUS_USAGE, "--grad-source ascii");
    run_end(&r);
}

// ---- sources of grad G ----

static const char records[] =
    "[{\"case_id\":0,\"prompt\":\"the cat lives in\",\"subject\":\"the "
    "cat\",\"target_new\":\"rome\","
    "\"ground_truth\":\"paris\",\"rephrase_prompt\":\"the cat is in\","
    "\"locality_prompt\":\"the king of rome\",\"locality_ground_truth\":\"works\"},"
    "{\"case_id\":1,\"prompt\":\"the old man plays\",\"subject\":\"old "
    "man\",\"target_new\":\"red\","
    "\"ground_truth\":\"music\",\"rephrase_prompt\":\"the old man likes\","
    "\"locality_prompt\":\"the sea is\",\"locality_ground_truth\":\"red and blue\"},"
    "{\"case_id\":2,\"prompt\":\"the city is\",\"subject\":\"the city\",\"target_new\":\"red\","
    "\"ground_truth\":\"old\",\"rephrase_prompt\":\"a city is\","
    "\"locality_prompt\":\"a king speaks\",\"locality_ground_truth\":\"latin\"}]";
static const char *const statements[2][3] = {
    {"the king of rome works", "the sea is red and blue", "a king speaks latin"},
    {"the cat lives in paris", "the old man plays music", "the city is old"},
};

static void records_write(struct dataset *data, const char *text)
{
    FILE *file = fopen(tiny_path("records.json"), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    must(dataset_open(data, tiny_path("records.json"), (struct dataset_options){0}));
}

// Statement i of the corpus is this text and nothing else.
static void statement_check(const struct run *r, const struct corpus *c, uint32_t i,
                            const char *text)
{
    struct token_list list = {0};
    uint32_t begin, end;
    must(tokenizer_encode(&r->tokenizer, text, strlen(text), ENCODE_BOS, &list));
    corpus_block(c, i, &begin, &end);
    assert_int_equal(end - begin, list.count);
    assert_memory_equal(c->tokens + begin, list.ids, list.count * sizeof *list.ids);
    token_list_free(&list);
}

static void test_statements(void **state)
{
    struct run r;
    struct dataset data;
    struct corpus c[2], part;
    model_start(&r, *state);
    records_write(&data, records);
    for (int kind = 0; kind < 2; kind++) {
        struct source s = {.kind = kind ? GRAD_KNOWLEDGE : GRAD_LOCALITY, .where = "records.json",
                           .requests = data.requests, .count = data.count};
        must(corpus_from_source(&c[kind], &r.tokenizer, &s, 1000, 40));
        assert_int_equal(corpus_blocks(&c[kind]), 3);
        for (uint32_t i = 0; i < 3; i++) statement_check(&r, &c[kind], i, statements[kind][i]);
        // A limit leaves out whole statements; what is edited is left out, too.
        must(corpus_from_source(&part, &r.tokenizer, &s, c[kind].count - 1, 40));
        assert_int_equal(corpus_blocks(&part), 2);
        assert_true(part.id != c[kind].id);
        corpus_free(&part);
        s.skip_to = 2;
        must(corpus_from_source(&part, &r.tokenizer, &s, 1000, 40));
        assert_int_equal(corpus_blocks(&part), 1);
        statement_check(&r, &part, 0, statements[kind][2]);
        corpus_free(&part);
        s.skip_to = 3; // nothing would be left: all of them, and a warning
        must(corpus_from_source(&part, &r.tokenizer, &s, 1000, 40));
        assert_true(part.id == c[kind].id);
        corpus_free(&part);
    }
    assert_true(c[0].id != c[1].id);
    // The same tokens as one text are another corpus.
    must(corpus_from_ids(&part, c[0].tokens, c[0].count, 40));
    assert_true(part.id != c[0].id);
    corpus_free(&part);
    corpus_free(&c[0]);
    corpus_free(&c[1]);
    dataset_free(&data);
    records_write(&data, "[{\"prompt\":\"the cat lives in\",\"subject\":\"the cat\","
                         "\"target_new\":\"rome\"}]");
    struct source none = {.kind = GRAD_LOCALITY, .where = "records.json",
                          .requests = data.requests, .count = data.count};
    must_fail(corpus_from_source(&part, &r.tokenizer, &none, 1000, 40), STATUS_BAD_DATA,
              "no record of records.json has a locality prompt");
    none.kind = GRAD_KNOWLEDGE;
    must_fail(corpus_from_source(&part, &r.tokenizer, &none, 1000, 40), STATUS_BAD_DATA,
              "no record of records.json has an old answer");
    dataset_free(&data);
    run_end(&r);
}

// grad G over texts of their own, in double.
static double *gradient_of(const struct ref_model *model, const struct corpus *c)
{
    const struct config *config = &model->config;
    double *g = ref_zeros(MATRIX), *logits = ref_zeros(config->vocab);
    double *back = ref_zeros(config->vocab);
    for (uint32_t i = 0; i < corpus_blocks(c); i++) {
        struct ref_pass pass;
        uint32_t begin, end;
        corpus_block(c, i, &begin, &end);
        ref_forward(&pass, model, c->tokens + begin, end - begin, 0, 0, NULL);
        double *stream = ref_zeros((uint64_t)(end - begin) * DIM);
        for (uint32_t t = 0; t + 1 < end - begin; t++) {
            ref_logits(&pass, t, logits);
            ref_cross_entropy_back(logits, config->vocab, c->tokens[begin + t + 1], 1, back);
            ref_logits_back(&pass, t, back, stream);
        }
        ref_backward(&pass, LAYER + 1, stream);
        for (uint32_t t = 0; t < end - begin; t++)
            for (uint32_t j = 0; j < MATRIX; j++)
                g[j] += stream[t * DIM + j / FFN] * pass.acts[LAYER].key[t * FFN + j % FFN];
        free(stream);
        ref_pass_free(&pass);
    }
    free(logits);
    free(back);
    return g;
}

static void test_gradient(void **state)
{
    struct run r;
    struct dataset data;
    struct ref_model ref;
    model_start(&r, *state);
    records_write(&data, records);
    ref_model_open(&ref, &r.weights);
    for (enum grad_source kind = GRAD_LOCALITY; kind < GRAD_SOURCES; kind++) {
        struct source s = {.kind = kind, .where = "records.json", .requests = data.requests,
                           .count = data.count, .seed = 5};
        struct corpus c;
        struct buffer *g = NULL;
        float got[MATRIX];
        double loss, size[MATRIX], length = 0;
        must(corpus_from_source(&c, &r.tokenizer, &s, 90, 40));
        must(stats_gradient(&r.model, &c, LAYER, &g, &loss));
        must(buffer_read(r.rig->dev, g, 0, got, sizeof got));
        double *want = gradient_of(&ref, &c);
        for (uint32_t i = 0; i < MATRIX; i++) length += want[i] * want[i];
        for (uint32_t i = 0; i < MATRIX; i++) size[i] = sqrt(length);
        rig_near_host(r.rig, "grad G of a source", got, want, size, MATRIX, 1e-5 / RIG_EPS);
        buffer_free(r.rig->dev, &g);
        corpus_free(&c);
        free(want);
    }
    ref_model_close(&ref);
    dataset_free(&data);
    run_end(&r);
}

// Printable characters only, by the seed.
static void test_ascii(void **state)
{
    struct run r;
    struct corpus c[3];
    model_start(&r, *state);
    for (uint32_t i = 0; i < 3; i++) {
        struct source s = {.kind = GRAD_ASCII, .seed = i / 2};
        must(corpus_from_source(&c[i], &r.tokenizer, &s, 100, 40));
        // The tiny vocabulary lacks most characters.
        assert_true(c[i].count > 10 && c[i].count <= 100);
        assert_int_equal(corpus_blocks(&c[i]), CEIL(c[i].count, 40));
    }
    assert_true(c[0].id == c[1].id && c[0].id != c[2].id);
    for (uint32_t i = 0; i < 3; i++) corpus_free(&c[i]);
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zero),     cmocka_unit_test(test_scale),
        cmocka_unit_test(test_random),   cmocka_unit_test(test_fewer_steps),
        cmocka_unit_test(test_ablated),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_statements), cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_ascii),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
