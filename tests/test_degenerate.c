// Edits that have little or nothing to do: the same request twice, the same subject with another
// target, answers that are there already, losses without a gradient, keys of zero (METHOD 1, 2).
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "edit/sequence.h"
#include "edit/stats.h"
#include "io/dataset.h"
#include "ref_linalg.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { TOKENS = 700, DIM = 16, FFN = 24, LAYER = 1, MOST = 8 };

struct seen { // of each edit
    struct edit edit;
    float first, last; // NLL of the target at the first look and at the delta that was taken
    float u[DIM], w[FFN], key[FFN];
};

struct run {
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct seen seen[MOST];
    uint32_t done;
};

struct setting {
    const char *solver, *guard;
    enum projector projector;
    enum optimizer optimizer;
    double stop;
};

static struct hparams hparams_of(const struct setting *s)
{
    struct hparams h = {.layer = LAYER, .lambda = 0.5, .optimizer = s->optimizer, .rate = 0.3,
                        .stop = s->stop, .kl = 0.0625, .decay = 0.01, .clamp = 20, .steps = 25,
                        .lambda1 = 2, .lambda2 = 2, .lambda3 = 1, .q_max = UINT32_MAX,
                        .projector = s->projector, .ridge = 1e-4, .block = 40,
                        .stats_tokens = TOKENS, .grad_tokens = TOKENS};
    h.context_texts = rig_memory(1, sizeof *h.context_texts);
    h.context_texts[h.context_text_count++] = strcpy(rig_memory(40, 1), "the sea is blue");
    return h;
}

static void run_start(struct run *r, struct rig *rig)
{
    const struct tiny tiny = {.layers = 3, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 17,
                              .own_head = true};
    *r = (struct run){.rig = rig};
    tiny_open(&tiny, rig->dev, &r->weights, &r->tokenizer, &r->model);
}

static void editor_start(struct run *r, const struct setting *s)
{
    struct sequence_options options = {.solver = s->solver, .guard = s->guard,
                                       .text = tiny_path("text.txt"), .seed = 1,
                                       .hparams = hparams_of(s)};
    must(editor_open(&r->editor, &r->model, &r->weights, &r->tokenizer, &options));
}

static void run_end(struct run *r)
{
    editor_close(&r->editor);
    tiny_close(&r->weights, &r->tokenizer, &r->model);
}

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct run *r = user;
    struct seen *s = &r->seen[r->done++];
    s->edit = *edit;
    s->first = edit->trace[0].nll;
    s->last = edit->trace[edit->chosen].nll;
    must(buffer_read(r->rig->dev, e->u, 0, s->u, sizeof s->u));
    must(buffer_read(r->rig->dev, e->w, 0, s->w, sizeof s->w));
    must(buffer_read(r->rig->dev, e->right_key, 0, s->key, sizeof s->key));
    return true;
}

static bool edit(struct run *r, const char *prompt, const char *subject, const char *target)
{
    struct dataset data = {0};
    must(dataset_from_strings(&data, prompt, subject, target));
    bool ok = sequence_run(&r->editor, data.requests, 1, on_edit, r);
    dataset_free(&data);
    return ok;
}

static void w_read(struct run *r, float w[DIM * FFN])
{
    must(buffer_read(r->rig->dev, r->model.layers[LAYER].edited, 0, w, DIM * FFN * sizeof *w));
}

static double dot(const float *x, const float *y, uint32_t n)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (double)x[i] * (double)y[i];
    return sum;
}

// W finite and V orthonormal, of as many rows as there were edits with something new in u.
static void sound(struct run *r)
{
    float w[DIM * FFN];
    w_read(r, w);
    for (uint32_t i = 0; i < DIM * FFN; i++) assert_true(isfinite(w[i]));
    struct basis *basis = &r->editor.site->basis;
    if (!basis->rows) return;
    float *v = rig_memory((uint64_t)basis->rows * DIM, sizeof *v);
    must(buffer_read(r->rig->dev, basis->vectors, 0, v, 4ull * basis->rows * DIM));
    assert_true(ref_orthonormality(v, basis->rows, DIM) <= 1e-5);
    free(v);
}

static const struct setting settings[] = {
    {"memit", "none", PROJECTOR_PAPER, OPTIMIZER_ADAM, 0.05},
    {"rome", "none", PROJECTOR_PAPER, OPTIMIZER_GAUSS_NEWTON, 0.05},
    {"rome", "r-edit", PROJECTOR_PAPER, OPTIMIZER_ADAM, 0.05},
    {"memit", "oedit", PROJECTOR_PAPER, OPTIMIZER_ADAM, 0.05},
    {"memit", "oedit", PROJECTOR_PAPER, OPTIMIZER_GAUSS_NEWTON, 0.05},
    {"rome", "oedit-plus", PROJECTOR_PAPER, OPTIMIZER_ADAM, 0.05},
    {"memit", "oedit-plus", PROJECTOR_EXACT, OPTIMIZER_GAUSS_NEWTON, 0.05},
};

// The same request again and again: the key stays, the loss to begin with falls, what the guard
// lets through is orthogonal to what was written, and V never holds a direction twice.
static void test_same_request(void **state)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct run r;
        const bool plus = strcmp(settings[i].guard, "oedit-plus") == 0;
        run_start(&r, *state);
        editor_start(&r, &settings[i]);
        for (int k = 0; k < 4; k++) must(edit(&r, "the cat lives in", "the cat", "paris"));
        uint32_t written = 0;
        for (uint32_t k = 0; k < r.done; k++) {
            const struct seen *s = &r.seen[k];
            print_message("  %s %s: NLL %.3g to %.3g, kept %.2g%s\n", settings[i].solver,
                          settings[i].guard, (double)s->first, (double)s->last, s->edit.kept,
                          s->edit.noop ? ", nothing written" : "");
            assert_memory_equal(s->key, r.seen[0].key, sizeof s->key);
            written += !s->edit.noop;
            for (uint32_t j = 0; plus && j < k; j++) {
                const float *u = r.seen[j].u;
                if (s->edit.noop || r.seen[j].edit.noop) continue;
                assert_true(fabs(dot(s->u, u, DIM)) <=
                            1e-4 * s->edit.u_norm * r.seen[j].edit.u_norm);
            }
        }
        assert_true(r.seen[1].first < r.seen[0].first);
        if (plus) assert_int_equal(r.editor.site->basis.rows, written);
        assert_true(r.editor.site->basis.rows <= written);
        assert_int_equal(r.editor.edits, 4);
        sound(&r);
        run_end(&r);
    }
}

// The later target wins: with ROME W' k* = W k* + R exactly, whatever stood there before.
static void test_other_target(void **state)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct run r;
        float before[DIM * FFN], after[DIM * FFN];
        run_start(&r, *state);
        editor_start(&r, &settings[i]);
        must(edit(&r, "the cat lives in", "the cat", "paris"));
        w_read(&r, before);
        must(edit(&r, "the cat lives in", "the cat", "rome"));
        w_read(&r, after);
        const struct seen *s = &r.seen[1];
        assert_memory_equal(s->key, r.seen[0].key, sizeof s->key);
        assert_false(s->edit.noop);
        assert_true(s->last < s->first);
        for (uint32_t j = 0; j < DIM; j++) {
            double moved = dot(after + j * FFN, s->key, FFN) - dot(before + j * FFN, s->key, FFN);
            double wanted = s->edit.realised * (double)s->u[j];
            assert_true(fabs(moved - wanted) <= 1e-4 * s->edit.u_norm);
        }
        sound(&r);
        run_end(&r);
    }
}

// u in the span of what was written: nothing is left of it, so nothing is written, and V stays.
static void test_parallel(void **state)
{
    for (int projector = 0; projector < 2; projector++) {
        struct run r;
        struct setting s = {"rome", "oedit-plus", (enum projector)projector, OPTIMIZER_ADAM, 0.05};
        struct edit again = {.number = 3, .kept = 1};
        run_start(&r, *state);
        editor_start(&r, &s);
        r.editor.hparams.lambda3 = 0;
        must(edit(&r, "the cat lives in", "the cat", "paris"));
        must(edit(&r, "the king of rome speaks", "king of rome", "latin"));
        assert_int_equal(r.editor.site->basis.rows, 2);
        float u[DIM];
        for (uint32_t j = 0; j < DIM; j++) u[j] = 2 * r.seen[0].u[j] - 0.5f * r.seen[1].u[j];
        must(buffer_write(r.rig->dev, r.editor.u, 0, u, sizeof u));
        must(r.editor.guard->project(&r.editor, &again));
        assert_true(again.noop && again.kept < 1e-6);
        // And zero, of which nothing can be lost.
        memset(u, 0, sizeof u);
        again = (struct edit){.number = 3, .kept = 1};
        must(buffer_write(r.rig->dev, r.editor.u, 0, u, sizeof u));
        must(r.editor.guard->project(&r.editor, &again));
        assert_true(!again.noop && again.kept == 1);
        must(r.editor.guard->commit(&r.editor, &again));
        assert_int_equal(r.editor.site->basis.rows, 2);
        sound(&r);
        run_end(&r);
    }
}

// The answer is there at the first look: W stays to the bit, and R-Edit still brings W k* of the
// averaged key to W k of the plain one, as its R says.
static void test_known(void **state)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct run r;
        struct setting s = settings[i];
        float before[DIM * FFN], after[DIM * FFN];
        bool own = strcmp(s.guard, "r-edit") == 0;
        s.stop = 100;
        run_start(&r, *state);
        editor_start(&r, &s);
        w_read(&r, before);
        must(edit(&r, "the cat lives in", "the cat", "paris"));
        w_read(&r, after);
        assert_int_equal(r.seen[0].edit.steps, 1);
        assert_true(r.seen[0].edit.length == 0);
        assert_true(r.seen[0].edit.noop == !own);
        assert_true((memcmp(before, after, sizeof after) == 0) == !own);
        assert_int_equal(r.editor.site->basis.rows, 0);
        sound(&r);
        run_end(&r);
    }
}

// A head of zeros: every token has the same loss, and no value changes it. grad G is zero, too, so
// it has no directions.
static void test_no_gradient(void **state)
{
    for (size_t i = 0; i < COUNT(settings); i++) {
        struct run r;
        float before[DIM * FFN], after[DIM * FFN];
        bool own = strcmp(settings[i].guard, "r-edit") == 0;
        run_start(&r, *state);
        struct weight head = r.model.head;
        struct buffer *buffer = buffer_at(r.rig->dev, head.data);
        float *zeros = rig_memory((uint64_t)head.rows * DIM, sizeof *zeros);
        must(buffer_write(r.rig->dev, buffer, 0, zeros, 4ull * head.rows * DIM));
        setenv("XDG_CACHE_HOME", tiny_path("cache-zero"), 1); // grad G of this head
        editor_start(&r, &settings[i]);
        setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
        assert_int_equal(r.editor.site->direction_count, 0);
        w_read(&r, before);
        must(edit(&r, "the cat lives in", "the cat", "paris"));
        w_read(&r, after);
        assert_true(r.seen[0].edit.length == 0 && r.seen[0].edit.q == 0);
        assert_true(fabs((double)r.seen[0].first - log(r.model.config.vocab)) < 1e-5);
        assert_true(r.seen[0].edit.noop == !own);
        assert_true((memcmp(before, after, sizeof after) == 0) == !own);
        sound(&r);
        free(zeros);
        run_end(&r);
    }
}

// A gate of zeros makes k* zero: there is nothing to hang a fact on.
static void test_zero_key(void **state)
{
    struct run r;
    float before[DIM * FFN], after[DIM * FFN], *zeros = rig_memory(DIM * FFN, sizeof *zeros);
    run_start(&r, *state);
    editor_start(&r, &settings[0]);
    struct buffer *gate = buffer_at(r.rig->dev, r.model.layers[LAYER].gate.data);
    must(buffer_write(r.rig->dev, gate, 0, zeros, DIM * FFN * sizeof *zeros));
    w_read(&r, before);
    assert_false(edit(&r, "the cat lives in", "the cat", "paris"));
    print_message("  %s\n", status_message());
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    assert_string_equal(status_message(), "edit 1 (\"the cat lives in\"): |k*| of layer 1 is 0, "
                                          "wanted more than 0");
    status_clear();
    w_read(&r, after);
    assert_memory_equal(before, after, sizeof after);
    // C of such a layer is zero, too.
    struct sequence_options options = {.solver = "memit", .guard = "none",
                                       .text = tiny_path("text.txt"), .seed = 1,
                                       .hparams = hparams_of(&settings[0])};
    editor_close(&r.editor);
    setenv("XDG_CACHE_HOME", tiny_path("cache-none"), 1);
    assert_false(editor_open(&r.editor, &r.model, &r.weights, &r.tokenizer, &options));
    setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
    print_message("  %s\n", status_message());
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    assert_non_null(strstr(status_message(), "it is zero"));
    status_clear();
    free(zeros);
    run_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_request), cmocka_unit_test(test_other_target),
        cmocka_unit_test(test_parallel),     cmocka_unit_test(test_known),
        cmocka_unit_test(test_no_gradient),  cmocka_unit_test(test_zero_key),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
