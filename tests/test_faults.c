// Numbers that are not finite, planted at one place of a tiny model: what is said, that the edit is
// refused, and that the edits before it stay.
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "edit/sequence.h"
#include "edit/stats.h"
#include "eval/eval.h"
#include "io/dataset.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { TOKENS = 700, DIM = 16, FFN = 24, LAYER = 1 };

struct opened { // a model and what edits it
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct dataset facts[2];
};

static struct hparams hparams_of(enum optimizer optimizer, double rate)
{
    struct hparams h = {.layer = LAYER, .lambda = 15, .optimizer = optimizer, .rate = rate,
                        .stop = 0.05, .kl = 0.0625, .decay = 0.01, .clamp = 4, .steps = 12,
                        .lambda1 = 2, .lambda2 = 2, .lambda3 = 2, .q_max = UINT32_MAX,
                        .ridge = 1e-4, .block = 40, .stats_tokens = TOKENS,
                        .grad_tokens = TOKENS};
    h.context_texts = rig_memory(1, sizeof *h.context_texts);
    h.context_texts[h.context_text_count++] = strcpy(rig_memory(40, 1), "the sea is blue");
    return h;
}

static void model_start(struct opened *o, struct rig *rig)
{
    const struct tiny tiny = {.layers = 4, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 11};
    *o = (struct opened){.rig = rig};
    tiny_open(&tiny, rig->dev, &o->weights, &o->tokenizer, &o->model);
    must(dataset_from_strings(&o->facts[0], "the cat lives in", "the cat", "paris"));
    must(dataset_from_strings(&o->facts[1], "born on the sea the old man plays music of the king",
                              "old man", "red and blue"));
}

static void editor_start(struct opened *o, enum optimizer optimizer, double rate,
                         const char *guard)
{
    struct sequence_options options = {.solver = "memit", .guard = guard,
                                       .text = tiny_path("text.txt"), .seed = 1,
                                       .hparams = hparams_of(optimizer, rate)};
    must(editor_open(&o->editor, &o->model, &o->weights, &o->tokenizer, &options));
}

static void end(struct opened *o)
{
    editor_close(&o->editor);
    for (size_t i = 0; i < COUNT(o->facts); i++) dataset_free(&o->facts[i]);
    tiny_close(&o->weights, &o->tokenizer, &o->model);
}

// A weight is loaded finite and goes bad afterwards, as memory does; or is finite and too large.
static void plant(struct opened *o, uint64_t address, uint32_t at, float value)
{
    struct buffer *buffer = buffer_at(o->rig->dev, address);
    must(buffer_write(o->rig->dev, buffer, address - buffer->address + 4ull * at, &value, 4));
}

static void said(const char *const *words, enum status code)
{
    print_message("  %s\n", status_message());
    assert_int_equal(status_code(), code);
    for (; *words; words++)
        if (!strstr(status_message(), *words))
            fail_msg("'%s' is not in '%s'", *words, status_message());
    status_clear();
}

static bool edit(struct opened *o, uint32_t i)
{
    return sequence_run(&o->editor, o->facts[i].requests, 1, NULL, NULL);
}

struct planted {
    const char *said[4];
    float value;
    uint32_t layer, at;
    size_t weight; // of struct layer
};

#define WEIGHT(name) offsetof(struct layer, name.data)

// The second edit meets the fault; the first one stays as it is, and so does W.
static void plant_case(struct rig *rig, const struct planted *p, enum optimizer optimizer)
{
    struct opened o;
    float before[DIM * FFN], after[DIM * FFN];
    uint64_t address;
    model_start(&o, rig);
    editor_start(&o, optimizer, 0.1, "oedit-plus");
    must(edit(&o, 0));
    must(buffer_read(rig->dev, o.model.layers[LAYER].edited, 0, before, sizeof before));
    memcpy(&address, (char *)&o.model.layers[p->layer] + p->weight, sizeof address);
    plant(&o, address, p->at, p->value);
    assert_false(edit(&o, 1));
    said(p->said, STATUS_BAD_DATA);
    must(buffer_read(rig->dev, o.model.layers[LAYER].edited, 0, after, sizeof after));
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(o.editor.edits, 1);
    assert_int_equal(o.editor.site->basis.rows, 1);
    assert_null(rig->dev->recorded);
    // A fault that went away is no reason to refuse more.
    plant(&o, address, p->at, 0.01f);
    must(edit(&o, 1));
    end(&o);
}

#define WHO "edit 2 (\"born on the sea the old man plays music ...\"): "

static void test_weights(void **state)
{
    static const struct planted all[] = {
        {{WHO "layer 0, gemm_nt to 'queries': "}, NAN, 0, 5, WEIGHT(q)},
        {{WHO "layer 1, gemm_nt to 'gates': "}, NAN, 1, 7, WEIGHT(gate)}, // below v*
        {{WHO "layer 2, gemm_nt to 'keys': "}, -NAN, 2, 9, WEIGHT(k)},
        {{WHO "layer 2, rmsnorm to 'normed rows': ", "values are NaN"}, INFINITY, 2, 3,
         offsetof(struct layer, ffn_norm)},
        {{WHO "layer 3, gemm_nt to 'residuals': "}, INFINITY, 3, 11, WEIGHT(down)},
        // Finite weights whose values overflow, or would when squared.
        {{WHO "layer 3, gemm_nt to 'ups': "}, 3e38f, 3, 2, WEIGHT(up)},
        {{WHO "layer 2, gemm_nt to 'residuals': "}, 1e25f, 2, 1, WEIGHT(attn_output)},
    };
    for (size_t i = 0; i < COUNT(all); i++) {
        plant_case(*state, &all[i], OPTIMIZER_ADAM);
        plant_case(*state, &all[i], OPTIMIZER_GAUSS_NEWTON);
    }
}

// W itself, of the edited layer, and Adam on its way to infinity.
static void test_edited(void **state)
{
    struct opened o;
    float one = 0;
    model_start(&o, *state);
    editor_start(&o, OPTIMIZER_ADAM, 0.1, "none");
    must(buffer_read(o.rig->dev, o.model.layers[LAYER].edited, 4 * 17, &one, 4));
    plant(&o, o.model.layers[LAYER].edited->address, 17, NAN);
    assert_false(edit(&o, 0));
    said((const char *[]){"edit 1 (\"the cat lives in\"): layer 1, gemm_nt to 'residuals'", NULL},
         STATUS_BAD_DATA);
    plant(&o, o.model.layers[LAYER].edited->address, 17, one);
    must(edit(&o, 0));
    end(&o);
}

static void test_diverged(void **state)
{
    static const double rates[] = {3e18, 1e25};
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct opened o;
        model_start(&o, *state);
        editor_start(&o, OPTIMIZER_ADAM, rates[i], "none");
        o.editor.hparams.clamp = 1e35;
        assert_false(edit(&o, 0));
        said((const char *[]){i ? "edit 1 (\"the cat lives in\"), step 1: step, adam"
                                : "edit 1 (\"the cat lives in\"), step 2: ",
                              "values are NaN",
                              "take a smaller --rate than ", NULL},
             STATUS_BAD_DATA);
        o.editor.hparams.rate = 0.1;
        o.editor.hparams.clamp = 4;
        must(edit(&o, 0));
        end(&o);
    }
}

// C, grad G and the evaluation name the tokens they were at.
static void test_statistics(void **state)
{
    struct opened o;
    struct corpus corpus;
    struct buffer *c = NULL, *g = NULL;
    double number = 0;
    model_start(&o, *state);
    must(corpus_from_file(&corpus, &o.tokenizer, tiny_path("text.txt"), TOKENS, 40));
    float one = 0;
    struct buffer *up = buffer_at(o.rig->dev, o.model.layers[0].up.data);
    must(buffer_read(o.rig->dev, up, 12, &one, 4));
    plant(&o, o.model.layers[0].up.data, 3, INFINITY);
    corpus.id++; // not from the cache of other tests
    assert_false(stats_moment(&o.model, &o.weights, &corpus, LAYER, &c));
    said((const char *[]){"C of layer 1, tokens 0 to 4", "layer 0, gemm_nt to 'ups'", NULL},
         STATUS_BAD_DATA);
    assert_null(c);
    assert_false(stats_gradient(&o.model, &corpus, LAYER, &g, &number));
    said((const char *[]){"grad G of layer 1, tokens 0 to ", "layer 0, gemm_nt to 'ups'", NULL},
         STATUS_BAD_DATA);
    buffer_free(o.rig->dev, &g);
    assert_false(eval_perplexity(&o.model, corpus.tokens, 60, 30, &number));
    said((const char *[]){"the text's loss: layer 0, gemm_nt to 'ups'", NULL}, STATUS_BAD_DATA);
    plant(&o, o.model.layers[0].up.data, 3, one);
    must(stats_moment(&o.model, &o.weights, &corpus, LAYER, &c));
    buffer_free(o.rig->dev, &c);
    // Of several layers the one that is at fault.
    corpus.id++;
    up = buffer_at(o.rig->dev, o.model.layers[LAYER].up.data);
    must(buffer_read(o.rig->dev, up, 12, &one, 4));
    plant(&o, o.model.layers[LAYER].up.data, 3, INFINITY);
    assert_false(stats_moments(&o.model, &o.weights, &corpus, (uint32_t[]){0, LAYER, LAYER + 1}, 3));
    said((const char *[]){"C of layer 1, tokens 0 to 4", "layer 1, gemm_nt to 'ups'", NULL},
         STATUS_BAD_DATA);
    plant(&o, o.model.layers[LAYER].up.data, 3, one);
    // Only one token has the bad row: the batch that meets it is named, not the first one.
    uint32_t rare = TINY_VOCAB + 4; // in no text
    corpus.tokens[600] = rare;
    plant(&o, o.model.embed.data, rare * DIM + 2, NAN);
    corpus.id++;
    assert_false(stats_moment(&o.model, &o.weights, &corpus, LAYER, &c));
    said((const char *[]){"C of layer 1, tokens 480 to ", "embedding, embed to 'residuals'", NULL},
         STATUS_BAD_DATA);
    assert_false(stats_gradient(&o.model, &corpus, LAYER, &g, &number));
    // The head is the same table: its row makes a logit of every token.
    said((const char *[]){"grad G of layer 1, tokens 0 to ", "head, gemm_nt to 'logits'", NULL},
         STATUS_BAD_DATA);
    buffer_free(o.rig->dev, &g);
    corpus_free(&corpus);
    end(&o);
}

// The contexts are sampled first: there the fault shows.
static void test_generate(void **state)
{
    struct opened o;
    struct sequence_options options = {.solver = "memit", .guard = "none",
                                       .text = tiny_path("text.txt"), .seed = 1,
                                       .hparams = hparams_of(OPTIMIZER_ADAM, 0.1)};
    model_start(&o, *state);
    free(options.hparams.context_texts[0]);
    options.hparams.context_text_count = 0;
    options.hparams.contexts = 2;
    options.hparams.context_short = options.hparams.context_long = 3;
    plant(&o, o.model.layers[2].v.data, 3, NAN);
    assert_false(editor_open(&o.editor, &o.model, &o.weights, &o.tokenizer, &options));
    said((const char *[]){"generating text, position ", "layer 2, gemm_nt to 'values'", NULL},
         STATUS_BAD_DATA);
    hparams_free(&options.hparams);
    end(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),    cmocka_unit_test(test_edited),
        cmocka_unit_test(test_diverged),   cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_generate),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
