// Causal tracing against the same in double precision, with the device's own noise.
#define _GNU_SOURCE
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/cause.h"
#include "io/tokenizer.h"
#include "ref.h"
#include "ref_model.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { LAYERS = 4, DIM = 16, FFN = 24, COUNT = 9, FIRST = 2, LAST = 4, WINDOW = 3 };

static const uint32_t text[COUNT] = {0, 5, 9, 12, 7, 30, 21, 17, 40};

struct opened {
    struct weights weights;
    struct model model;
    struct ref_model ref;
};

static void start(struct opened *o, struct rig *rig)
{
    const struct tiny tiny = {.layers = LAYERS, .dim = DIM, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 4, .vocab = TINY_VOCAB, .context = 64,
                              .dtype = DTYPE_F32, .gain = 2, .seed = 11};
    tiny_write(&tiny, tiny_path("cause.gguf"));
    must(weights_open(&o->weights, tiny_path("cause.gguf")));
    must(model_open(&o->model, rig->dev, &o->weights));
    ref_model_open(&o->ref, &o->weights);
}

static void end(struct opened *o)
{
    ref_model_close(&o->ref);
    model_close(&o->model);
    weights_close(&o->weights);
}

static const struct cause_prompt prompt = {.tokens = text, .count = COUNT, .first = FIRST,
                                           .last = LAST, .answer = 33};

static double likelihood(const struct ref_pass *pass)
{
    double logits[TINY_VOCAB], sum = 0;
    ref_logits(pass, COUNT - 1, logits);
    for (uint32_t i = 0; i < TINY_VOCAB; i++) sum += exp(logits[i] - logits[prompt.answer]);
    return 1 / sum;
}

// The noise of a seed, as the device makes it.
static void noise_read(struct rig *rig, uint32_t seed, float *noise, uint32_t n)
{
    struct buffer *y = NULL, *scratch = NULL;
    struct cmd cmd;
    must(buffer_new(rig->dev, 4ull * n, "noise", &y) &&
         buffer_new(rig->dev, 4ull * n, "noise", &scratch));
    cmd_start(&cmd, rig->dev, false);
    cause_noise(&cmd, y->address, scratch->address, n, seed);
    must(cmd_run_once(&cmd) && buffer_read(rig->dev, y, 0, noise, 4ull * n));
    cmd_free(&cmd);
    buffer_free(rig->dev, &y);
    buffer_free(rig->dev, &scratch);
}

static void noise_add(struct ref_pass *pass, const float *noise, double deviation)
{
    for (uint32_t i = 0; i < (LAST - FIRST + 1) * DIM; i++)
        pass->stream[0][FIRST * DIM + i] += deviation * (double)noise[i];
}

// The reference's layers one by one: those that are restored get the clean text's part.
static double restored(const struct ref_model *ref, const struct ref_pass *clean,
                       const float *noise, double deviation, int kind, uint32_t layer, uint32_t at)
{
    struct ref_pass pass;
    uint32_t from = layer, to = layer + 1;
    ref_forward(&pass, ref, text, COUNT, 0, 0, NULL);
    noise_add(&pass, noise, deviation);
    if (kind != CAUSE_HIDDEN) cause_window(layer, WINDOW, LAYERS, &from, &to);
    ref_forward_from(&pass, 0);
    for (uint32_t l = from; l < to; l++) {
        double *out = pass.stream[l + 1] + at * DIM, *mid = pass.acts[l].mid + at * DIM;
        const double *now = clean->stream[l + 1] + at * DIM, *half = clean->acts[l].mid + at * DIM;
        const double *in = clean->stream[l] + at * DIM, *own = pass.stream[l] + at * DIM;
        for (uint32_t i = 0; i < DIM; i++) {
            if (kind == CAUSE_HIDDEN) out[i] = now[i];
            if (kind == CAUSE_MLP) out[i] = mid[i] + now[i] - half[i];
            if (kind == CAUSE_ATTN) mid[i] = own[i] + half[i] - in[i];
        }
        if (kind == CAUSE_ATTN) { // the MLP of this position sees the attention that was restored
            struct ref_layer *w = &ref->layers[l];
            double normed[DIM], key[FFN];
            ref_rmsnorm(mid, w->ffn_norm, normed, 1, DIM, (double)ref->config.norm_eps);
            for (uint32_t j = 0; j < FFN; j++) {
                double gate = w->gate_bias[j], up = w->up_bias[j];
                for (uint32_t i = 0; i < DIM; i++) {
                    gate += normed[i] * w->gate[j * DIM + i];
                    up += normed[i] * w->up[j * DIM + i];
                }
                key[j] = ref_silu(gate) * up;
            }
            for (uint32_t i = 0; i < DIM; i++) {
                out[i] = mid[i] + w->down_bias[i];
                for (uint32_t j = 0; j < FFN; j++) out[i] += key[j] * w->down[i * FFN + j];
            }
        }
        if (l + 1 < LAYERS) ref_forward_from(&pass, l + 1);
    }
    double p = likelihood(&pass);
    ref_pass_free(&pass);
    return p;
}

static void test_reference(void **state)
{
    struct rig *rig = *state;
    struct opened o = {0};
    struct cause cause;
    struct ref_pass clean, corrupted;
    const struct cause_options options = {.deviation = 1.5f, .window = WINDOW, .seed = 3};
    float noise[(LAST - FIRST + 1) * DIM];
    double widest = 0;
    start(&o, rig);
    noise_read(rig, options.seed, noise, COUNT(noise));
    must(cause_trace(&cause, &o.model, &prompt, &options));
    ref_forward(&clean, &o.ref, text, COUNT, 0, 0, NULL);
    ref_forward(&corrupted, &o.ref, text, COUNT, 0, 0, NULL);
    noise_add(&corrupted, noise, (double)options.deviation);
    ref_forward_from(&corrupted, 0);
    assert_true(fabs(cause.clean - likelihood(&clean)) < 1e-5);
    assert_true(fabs(cause.corrupted - likelihood(&corrupted)) < 1e-5);
    assert_true(fabs(cause.clean - cause.corrupted) > 1e-3);
    assert_int_equal(cause.positions, COUNT - FIRST);
    for (int k = 0; k < CAUSE_KINDS; k++)
        for (uint32_t l = 0; l < LAYERS; l++)
            for (uint32_t i = 0; i < COUNT - FIRST; i++) {
                double want = restored(&o.ref, &clean, noise, (double)options.deviation, k, l,
                                       FIRST + i);
                double got = cause.p[k][l * (COUNT - FIRST) + i];
                if (fabs(got - want) > 1e-5)
                    fail_msg("%s, layer %u, position %u: %.7f, wanted %.7f", cause_names[k], l,
                             FIRST + i, got, want);
                widest = fmax(widest, fabs(want - cause.corrupted));
            }
    assert_true(widest > 1e-3); // restoring does something
    for (uint32_t l = 0; l < LAYERS; l++)
        for (uint32_t i = 0; i < COUNT; i++) {
            double key = 0;
            for (uint32_t j = 0; j < FFN; j++)
                key += clean.acts[l].key[i * FFN + j] * clean.acts[l].key[i * FFN + j];
            assert_true(fabs((double)cause.key_norms[l * COUNT + i] - sqrt(key)) <
                        1e-4 * (1 + sqrt(key)));
        }
    ref_pass_free(&clean);
    ref_pass_free(&corrupted);
    cause_free(&cause);
    end(&o);
}

// All that the answer depends on: the last state of the last layer. Nothing: a state that the noise
// has not reached, or no noise.
static void test_ends(void **state)
{
    struct rig *rig = *state;
    struct opened o = {0};
    struct cause cause;
    struct cause_options options = {.deviation = 1.5f, .window = 1, .seed = 4};
    const uint32_t n = COUNT - FIRST;
    start(&o, rig);
    must(cause_trace(&cause, &o.model, &prompt, &options));
    const double *top = cause.p[CAUSE_HIDDEN] + (LAYERS - 1) * n;
    assert_true(fabs(top[n - 1] - cause.clean) < 1e-6);
    for (uint32_t i = 0; i + 1 < n; i++) assert_true(fabs(top[i] - cause.corrupted) < 1e-6);
    cause_free(&cause);
    options.deviation = 0;
    must(cause_trace(&cause, &o.model, &prompt, &options));
    for (int k = 0; k < CAUSE_KINDS; k++)
        for (uint32_t i = 0; i < LAYERS * n; i++)
            assert_true(fabs(cause.p[k][i] - cause.clean) < 1e-6);
    cause_free(&cause);
    end(&o);
}

static void test_noise(void **state)
{
    enum { N = 20000 };
    struct rig *rig = *state;
    float *x = rig_memory(N, sizeof *x), *y = rig_memory(N, sizeof *y);
    double sum = 0, square = 0, both = 0;
    noise_read(rig, 1, x, N);
    noise_read(rig, 2, y, N);
    for (uint32_t i = 0; i < N; i++) {
        sum += (double)x[i];
        square += (double)x[i] * (double)x[i];
        both += (double)x[i] * (double)y[i];
    }
    assert_true(fabs(sum / N) < 5 / sqrt(N));
    assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(both / N) < 5 / sqrt(N));
    free(x);
    free(y);
}

static void test_deviation(void **state)
{
    struct rig *rig = *state;
    struct opened o = {0};
    double got, sum = 0, square = 0;
    start(&o, rig);
    must(cause_deviation(&o.model, text, COUNT, &got));
    for (uint32_t i = 0; i < COUNT * DIM; i++) {
        double x = o.ref.embed[text[i / DIM] * DIM + i % DIM];
        sum += x / (COUNT * DIM);
        square += x * x / (COUNT * DIM);
    }
    assert_true(fabs(got - sqrt(square - sum * sum)) < 1e-5 * got);
    end(&o);
}

static void test_window(void **state)
{
    uint32_t from, to;
    (void)state;
    cause_window(5, 1, 30, &from, &to);
    assert_true(from == 5 && to == 6);
    cause_window(5, 10, 48, &from, &to);
    assert_true(from == 0 && to == 10);
    cause_window(1, 10, 48, &from, &to);
    assert_true(from == 0 && to == 6);
    cause_window(47, 10, 48, &from, &to);
    assert_true(from == 42 && to == 48);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference), cmocka_unit_test(test_ends),
        cmocka_unit_test(test_noise),     cmocka_unit_test(test_deviation),
        cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests(tests, rig_open_in_folder, rig_close_in_folder);
}
