// Whole sequences of edits of a tiny model twice, on the strict device and with every operator in
// plain C: every dispatch wrote the same bits, from the statistics to the edited model's losses.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "edit/sequence.h"
#include "eval/eval.h"
#include "io/dataset.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"
#include "twin_cmd.h"
#include "vk/trace.h"

enum { EDITS = 2, TOKENS = 300, LINE = 1000 };

static const char *const facts[EDITS][3] = {
    {"the cat lives in", "the cat", "paris"},
    {"born on the sea the old man plays", "old man", "red and blue"},
};

struct variant {
    const char *solver, *guard;
    enum optimizer optimizer;
    enum projector projector;
    enum dtype dtype;
    bool qwen2;
};

// What a sequence leaves behind.
struct outcome {
    float *weights; // the edited matrix
    uint64_t count;
    float *deltas; // of each edit [EDITS, dim]
    uint32_t dim, steps[EDITS];
    double realised[EDITS], perplexity;
};

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct outcome *out = user;
    uint32_t i = edit->number - 1;
    out->steps[i] = edit->steps;
    out->realised[i] = edit->realised;
    return buffer_read(e->model->dev, e->delta, 0, out->deltas + i * out->dim, 4ull * out->dim);
}

static void edit_all(struct device *dev, const struct variant *v, const char *text,
                     struct outcome *out)
{
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct dataset dataset[EDITS] = {0};
    struct request requests[EDITS];
    struct token_list list = {0};
    must(weights_open(&weights, tiny_path("twin.gguf")) && tokenizer_open(&tokenizer, &weights) &&
         model_open(&model, dev, &weights));
    for (uint32_t i = 0; i < EDITS; i++) {
        must(dataset_from_strings(&dataset[i], facts[i][0], facts[i][1], facts[i][2]));
        requests[i] = dataset[i].requests[0];
    }
    struct sequence_options options = {
        .solver = v->solver, .guard = v->guard, .text = tiny_path("text.txt"), .seed = 1,
        .hparams = {.layer = 1, .lambda = 15, .optimizer = v->optimizer, .rate = 0.3, .stop = 0.05,
                    .kl = 0.0625, .decay = 0.01, .clamp = 4, .steps = 8, .lambda1 = 2,
                    .lambda2 = 2, .lambda3 = 2, .q_max = UINT32_MAX, .projector = v->projector,
                    .ridge = 1e-4, .contexts = 6, .context_short = 3, .context_long = 5,
                    .block = 40, .stats_tokens = TOKENS, .grad_tokens = TOKENS}};
    out->dim = model.config.dim;
    out->count = (uint64_t)out->dim * model.config.ffn;
    out->deltas = rig_memory(EDITS * out->dim, sizeof *out->deltas);
    out->weights = rig_memory(out->count, sizeof *out->weights);
    must(editor_open(&editor, &model, &weights, &tokenizer, &options));
    must(sequence_run(&editor, requests, EDITS, on_edit, out));
    must(buffer_read(dev, model.layers[1].edited, 0, out->weights, 4 * out->count));
    editor_close(&editor);
    must(tokenizer_encode(&tokenizer, text, strlen(text), ENCODE_BOS, &list));
    must(eval_perplexity(&model, list.ids, 100, 40, &out->perplexity));
    token_list_free(&list);
    for (uint32_t i = 0; i < EDITS; i++) dataset_free(&dataset[i]);
    model_close(&model);
    tokenizer_free(&tokenizer);
    weights_close(&weights);
}

// In its own cache, so that neither takes the other's statistics.
static void run(const struct variant *v, bool twin, const char *text, struct outcome *out)
{
    struct device dev;
    static int number;
    char name[40];
    snprintf(name, sizeof name, "cache%d", number++);
    setenv("XDG_CACHE_HOME", tiny_path(name), 1);
    must(device_open(&dev, &(struct device_options){.strict = true}));
    must(trace_open(&dev, tiny_path(twin ? "twin.txt" : "device.txt")));
    twin_running = twin;
    edit_all(&dev, v, text, out);
    twin_running = false;
    device_close(&dev);
}

// Names the first dispatch that wrote something else.
static void traces_equal(void)
{
    FILE *device = fopen(tiny_path("device.txt"), "r"), *twin = fopen(tiny_path("twin.txt"), "r");
    char first[LINE] = "", second[LINE] = "";
    uint64_t lines = 0;
    assert_true(device && twin);
    for (;; lines++) {
        bool more = fgets(first, LINE, device), other = fgets(second, LINE, twin);
        if (more != other || (more && strcmp(first, second) != 0))
            fail_msg("the device: %sin C:       %s", more ? first : "the end\n",
                     other ? second : "the end\n");
        if (!more) break;
    }
    printf("%llu dispatches\n", (unsigned long long)lines);
    assert_int_equal(lines, twin_dispatches);
    fclose(device);
    fclose(twin);
}

static void compare(const struct variant *v)
{
    const struct tiny tiny = {.layers = 3, .dim = 64, .ffn = 96, .heads = 4, .kv_heads = 2,
                              .head_dim = 16, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 11,
                              .dtype = v->dtype, .qwen2 = v->qwen2, .own_head = v->qwen2};
    struct outcome device = {0}, twin = {0};
    char *text = tiny_text(2 * TOKENS, 5);
    FILE *file = fopen(tiny_path("text.txt"), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    tiny_write(&tiny, tiny_path("twin.gguf"));
    twin_dispatches = 0;
    run(v, false, text, &device);
    assert_int_equal(twin_dispatches, 0);
    run(v, true, text, &twin);
    traces_equal();
    assert_memory_equal(device.weights, twin.weights, device.count * sizeof(float));
    assert_memory_equal(device.deltas, twin.deltas, EDITS * device.dim * sizeof(float));
    assert_memory_equal(device.steps, twin.steps, sizeof twin.steps);
    assert_memory_equal(device.realised, twin.realised, sizeof twin.realised);
    assert_true(device.perplexity == twin.perplexity && twin.perplexity > 1);
    printf("%s %s: %u and %u looks, realised %.3f and %.3f, perplexity %.9g\n", v->solver,
           v->guard, twin.steps[0], twin.steps[1], twin.realised[0], twin.realised[1],
           twin.perplexity);
    free(device.weights);
    free(device.deltas);
    free(twin.weights);
    free(twin.deltas);
    free(text);
}

#define VARIANT(name, ...)                                                                         \
    static void test_##name(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        compare(&(struct variant){__VA_ARGS__});                                                   \
    }

VARIANT(memit, "memit", "none", OPTIMIZER_ADAM, PROJECTOR_PAPER, DTYPE_F32, false)
VARIANT(rome_gauss, "rome", "none", OPTIMIZER_GAUSS_NEWTON, PROJECTOR_PAPER, DTYPE_F32, false)
VARIANT(memit_oedit, "memit", "oedit", OPTIMIZER_GAUSS_NEWTON, PROJECTOR_PAPER, DTYPE_Q8_0, false)
VARIANT(rome_oedit, "rome", "oedit", OPTIMIZER_ADAM, PROJECTOR_PAPER, DTYPE_F16, true)
VARIANT(memit_plus, "memit", "oedit-plus", OPTIMIZER_GAUSS_NEWTON, PROJECTOR_EXACT, DTYPE_F32, true)
VARIANT(rome_plus, "rome", "oedit-plus", OPTIMIZER_ADAM, PROJECTOR_PAPER, DTYPE_F32, false)

static int folder_new(void **state)
{
    (void)state;
    tiny_folder_new();
    log_level_set(LOG_QUIET);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memit),       cmocka_unit_test(test_rome_gauss),
        cmocka_unit_test(test_memit_oedit), cmocka_unit_test(test_rome_oedit),
        cmocka_unit_test(test_memit_plus),  cmocka_unit_test(test_rome_plus),
    };
    return cmocka_run_group_tests(tests, folder_new, folder_remove);
}
