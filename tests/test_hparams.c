// Hyper-parameters: the embedded files by the model's shape, sections of solvers and guards, a file
// of the user's on top, and what is refused.
#include <stdio.h>
#include <string.h>

#include "edit/layers.h"
#include "ref_must.h"
#include "ref_tiny.h"

static const struct config llama = {.layers = 32, .dim = 4096, .ffn = 14336, .vocab = 128256,
                                    .context = 8192};
static const struct config other = {.layers = 7, .dim = 48, .ffn = 96, .context = 64};
static const struct config demo = {.layers = 5, .dim = 192, .ffn = 512, .context = 256};

static void layers_are(const struct hparams *h, const char *words)
{
    char text[LAYERS_TEXT];
    layers_text(h, text);
    assert_string_equal(text, words);
}

// AlphaEdit's published settings are its own, those of MEMIT stay.
static void test_solver(void **state)
{
    (void)state;
    struct hparams memit, alpha;
    must(hparams_open(&memit, &llama, "memit", "none", NULL));
    must(hparams_open(&alpha, &llama, "alphaedit", "none", NULL));
    assert_string_equal(memit.model, "Llama3-8B");
    assert_int_equal(alpha.layer, 8);
    assert_true(memit.rate == 0.5 && memit.decay == 0.001 && memit.clamp == 4);
    assert_true(alpha.rate == 0.1 && alpha.decay == 0.5 && alpha.clamp == 0.75);
    assert_true(alpha.null_threshold == 0.02 && alpha.l2 == 10 && memit.l2 == 0);
    layers_are(&alpha, "");
    hparams_free(&memit);
    hparams_free(&alpha);
}

// WilKE has its layers to choose from; where the file names none, there are none.
static void test_guard(void **state)
{
    (void)state;
    struct hparams h;
    must(hparams_open(&h, &llama, "rome", "wilke", NULL));
    layers_are(&h, "5,6,7,8,9,10");
    hparams_free(&h);
    must(hparams_open(&h, &llama, "rome", "prune", NULL));
    layers_are(&h, "");
    hparams_free(&h);
    must(hparams_open(&h, &llama, "rome", NULL, NULL));
    layers_are(&h, "");
    hparams_free(&h);
    must(hparams_open(&h, &other, "memit", "wilke", NULL));
    layers_are(&h, "");
    hparams_free(&h);
    // What a model's own file leaves out is as for any model.
    must(hparams_open(&h, &demo, "memit", "sphere", NULL));
    assert_string_equal(h.model, "demo");
    assert_true(h.lambda == 100 && h.sphere_alpha == 0.5);
    hparams_free(&h);
}

static const char *file_with(const char *text)
{
    FILE *file = fopen(tiny_path("h.json"), "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
    return tiny_path("h.json");
}

// The guard's section comes last, and a user's file after the embedded one.
static void test_file(void **state)
{
    (void)state;
    struct hparams h;
    const char *path = file_with("{\"values\": {\"layers\": \"1-3\", \"clamp\": 1, \"decay\": 2},"
                                 " \"alphaedit\": {\"clamp\": {\"value\": 3, \"cite\": \"me\"}},"
                                 " \"prune\": {\"layers\": \"2,4\", \"decay\": 5},"
                                 " \"zero\": {\"layers\": 6}}");
    must(hparams_open(&h, &other, "alphaedit", "prune", path));
    layers_are(&h, "2,4");
    assert_true(h.layer == 2 && h.clamp == 3 && h.decay == 5 && h.l2 == 10);
    hparams_free(&h);
    must(hparams_open(&h, &other, "memit", "none", path));
    layers_are(&h, "1,2,3");
    assert_true(h.clamp == 1 && h.decay == 2);
    hparams_free(&h);
    must(hparams_open(&h, &other, "memit", "zero", path));
    layers_are(&h, "");
    assert_int_equal(h.layer, 6);
    hparams_free(&h);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{\"values\": {\"layers\": \"5-10\"}}", "the model has layers 0 to 6"},
        {"{\"values\": {\"layers\": \"x\"}}", "wanted numbers and ranges"},
        {"{\"values\": {\"layers\": [1, 2]}}", "'layers' wants text"},
        {"{\"values\": {\"layers\": -1}}", "wanted numbers and ranges"},
        {"{\"values\": {\"layers\": 1.5e99}}", "layers"},
        {"{\"memit\": {\"lair\": 1}}", "unknown hyper-parameter 'lair'"},
        {"{\"wilke\": {\"clamp\": \"big\"}}", "'clamp' wants a number"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct hparams h;
        bool read = hparams_open(&h, &other, "memit", "wilke", file_with(bad[i][0]));
        if (!strstr(status_message(), "h.json")) fail_msg("no file: %s", status_message());
        must_fail(read, STATUS_BAD_DATA, bad[i][1]);
    }
}

static int start(void **state)
{
    (void)state;
    tiny_folder_new();
    return 0;
}

static int end(void **state)
{
    (void)state;
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_solver),
        cmocka_unit_test(test_guard),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, start, end);
}
