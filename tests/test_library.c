#define _POSIX_C_SOURCE 200809L
// liboedit as a program of somebody else's uses it: open, edit, save, open again.
#include "oedit.h"
#include "ref_tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct oedit_settings settings;

static int start(void **state)
{
    (void)state;
    static const struct tiny tiny = {.layers = 3, .dim = 16, .ffn = 24, .heads = 2, .kv_heads = 1,
                                     .head_dim = 8, .vocab = TINY_VOCAB + 5, .context = 256,
                                     .seed = 3};
    tiny_folder_new();
    setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
    tiny_write(&tiny, tiny_path("base.gguf"));
    char *text = tiny_text(600, 7);
    FILE *file = fopen(tiny_path("text.txt"), "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) return -1;
    free(text);
    settings = (struct oedit_settings){.guard = "oedit-plus", .text = strdup(tiny_path("text.txt")),
                                       .tokens = 400, .ridge = 0.01};
    return 0;
}

static int end(void **state)
{
    (void)state;
    free((void *)(uintptr_t)settings.text);
    tiny_folder_remove();
    return 0;
}

static void test_round(void **state)
{
    (void)state;
    struct oedit *o = oedit_open(tiny_path("base.gguf"), &settings);
    if (!o) fprintf(stderr, "%s\n", oedit_error());
    assert_non_null(o);
    char prompt[64];
    snprintf(prompt, sizeof prompt, "%s %s", tiny_words[0], tiny_words[1]);
    bool ok = oedit_edit(o, prompt, tiny_words[0], tiny_words[2]) &&
              oedit_save(o, tiny_path("edited.gguf"));
    if (!ok) fprintf(stderr, "%s\n", oedit_error());
    assert_true(ok);
    // What cannot be edited or saved says so, and the handle goes on working.
    assert_false(oedit_edit(o, prompt, "nowhere", tiny_words[2]));
    assert_int_equal(oedit_status(), 5);
    oedit_clear();
    assert_false(oedit_save(o, tiny_path("base.gguf")));
    assert_non_null(strstr(oedit_error(), "base.gguf"));
    oedit_clear();
    assert_true(oedit_save(o, tiny_path("again.gguf")));
    oedit_close(o);
    o = oedit_open(tiny_path("edited.gguf"), &settings);
    assert_non_null(o);
    oedit_close(o);
}

// One handle for each list of layers: the edit goes where it says, and nowhere it does not.
static void test_layers(void **state)
{
    (void)state;
    char prompt[64];
    snprintf(prompt, sizeof prompt, "%s %s", tiny_words[0], tiny_words[1]);
    struct oedit_settings with = settings;
    const char *const good[] = {"0", "0-2"};
    for (int i = 0; i < 2; i++) {
        with.layers = good[i];
        with.guard = i ? "wilke" : "none";
        struct oedit *o = oedit_open(tiny_path("base.gguf"), &with);
        bool ok = o && oedit_edit(o, prompt, tiny_words[0], tiny_words[2]) &&
                  oedit_save(o, tiny_path(good[i]));
        if (!ok) fprintf(stderr, "%s\n", oedit_error());
        assert_true(ok);
        oedit_close(o);
    }
    const char *const bad[] = {"0-3", "2-1", "zero"};
    for (int i = 0; i < 3; i++) {
        with.layers = bad[i];
        struct oedit *o = oedit_open(tiny_path("base.gguf"), &with);
        assert_non_null(o);
        assert_false(oedit_edit(o, prompt, tiny_words[0], tiny_words[2]));
        assert_non_null(strstr(oedit_error(), "--layers: got"));
        oedit_clear();
        oedit_close(o);
    }
}

static void test_refused(void **state)
{
    (void)state;
    assert_null(oedit_open(tiny_path("none.gguf"), NULL));
    assert_int_equal(oedit_status(), 5);
    oedit_clear();
    oedit_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round), cmocka_unit_test(test_layers),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, start, end);
}
