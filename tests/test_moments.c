// C of several layers in one pass over the text: the bits of each by itself, in the cache under the
// same name, whichever of them was there before; how many are taken at once.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "edit/stats.h"
#include "edit/store.h"
#include "ref_must.h"
#include "ref_rig.h"
#include "ref_tiny.h"

enum { FFN = 96, SQUARE = FFN * FFN, MOST = 4 };

struct opened {
    struct device *dev;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
};

static void cached(struct opened *o, const struct corpus *c, uint32_t layer, float *values)
{
    struct buffer *m = NULL;
    must(stats_moment(&o->model, &o->weights, c, layer, &m));
    must(buffer_read(o->dev, m, 0, values, SQUARE * sizeof *values));
    buffer_free(o->dev, &m);
}

static uint32_t files(void) // how many the cache has
{
    char line[16] = "", command[512];
    snprintf(command, sizeof command, "ls '%s' 2> /dev/null | grep -c '^c-.*f32$'",
             tiny_path("cache/oedit"));
    FILE *out = popen(command, "r");
    assert_non_null(out);
    assert_non_null(fgets(line, sizeof line, out));
    pclose(out);
    return (uint32_t)strtoul(line, NULL, 10);
}

static void together_case(struct opened *o, struct corpus *c, uint32_t count,
                          const uint32_t *layers, uint32_t before)
{
    float *alone = rig_memory(MOST * SQUARE, sizeof *alone);
    float *got = rig_memory(SQUARE, sizeof *got);
    c->id++; // a text that the cache does not know
    for (uint32_t i = 0; i < count; i++) cached(o, c, layers[i], alone + i * SQUARE);
    c->id++;
    for (uint32_t i = 0; i < before; i++) cached(o, c, layers[i], got);
    const uint32_t there = files();
    must(stats_moments(&o->model, &o->weights, c, layers, count));
    assert_int_equal(files(), there + count - before);
    for (uint32_t i = 0; i < count; i++) {
        cached(o, c, layers[i], got);
        assert_memory_equal(got, alone + i * SQUARE, SQUARE * sizeof *got);
        assert_true(got[0] > 0 && (i == 0 || got[0] != alone[0]));
    }
    assert_int_equal(files(), there + count - before);
    free(alone);
    free(got);
}

static void test_moments(void **state)
{
    const struct rig *rig = *state;
    struct opened o = {.dev = rig->dev};
    struct corpus c;
    const struct tiny tiny = {.layers = MOST, .dim = 64, .ffn = FFN, .heads = 4, .kv_heads = 2,
                              .head_dim = 16, .vocab = TINY_VOCAB + 5, .context = 128, .seed = 3};
    tiny_open(&tiny, rig->dev, &o.weights, &o.tokenizer, &o.model);
    must(corpus_from_file(&c, &o.tokenizer, tiny_path("text.txt"), 1300, 40));
    assert_true(c.count == 1300); // three batches
    together_case(&o, &c, 4, (const uint32_t[]){0, 1, 2, 3}, 0);
    together_case(&o, &c, 2, (const uint32_t[]){1, 3}, 0);
    together_case(&o, &c, 3, (const uint32_t[]){0, 2, 3}, 1);
    together_case(&o, &c, 3, (const uint32_t[]){1, 2, 3}, 2);
    together_case(&o, &c, 2, (const uint32_t[]){0, 3}, 2);
    const uint32_t there = files();
    c.unkept = true;
    c.id++;
    must(stats_moments(&o.model, &o.weights, &c, (const uint32_t[]){0, 1}, 2));
    assert_int_equal(files(), there);
    corpus_free(&c);
    tiny_close(&o.weights, &o.tokenizer, &o.model);
}

static void test_together(void **state)
{
    (void)state;
    const uint64_t sum = 8192ull * 8193 / 2 * 4;
    assert_int_equal(stats_together(1536, 6, 6), 6);
    assert_int_equal(stats_together(8192, 6, 32), STATS_WAITING / (6 * sum));
    assert_int_equal(stats_together(28672, 7, 6), 1);
    assert_int_equal(stats_together(28672, 0, 6), 6); // one batch of text: none waits
}

// The program's cache goes into the test's own folder.
static int open_all(void **state)
{
    tiny_folder_new();
    setenv("XDG_CACHE_HOME", tiny_path("cache"), 1);
    char *text = tiny_text(1500, 5);
    FILE *f = fopen(tiny_path("text.txt"), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(text);
    log_level_set(LOG_QUIET);
    return rig_open(state);
}

static int close_all(void **state)
{
    tiny_folder_remove();
    return rig_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),
        cmocka_unit_test(test_together),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
