#define _POSIX_C_SOURCE 200809L
// The same program under every driver of tools/drivers.sh that is ready: in strict numbers selftest
// and ten edits give the same bytes; in fast ones the same Rel, Gen and Loc.
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ref_must.h"
#include "ref_tiny.h"

static const char *const drivers[] = {"lavapipe-backports", "lavapipe-bookworm", "swiftshader"};
enum { DRIVERS = COUNT(drivers), EDITS = 10 };

static const char *ready[DRIVERS];
static uint32_t ready_count;

// Runs the command under a driver, with a cache of its own; its output goes to the file `name`.
static void under(const char *driver, const char *name, const char *arguments)
{
    char command[3000], said[400];
    const char *program = getenv("OEDIT_BIN");
    snprintf(said, sizeof said, "%s", tiny_path(name));
    snprintf(command, sizeof command,
             "XDG_CACHE_HOME='%s/%s' tools/run_with.sh %s '%s' %s > '%s'", tiny_path(""), driver,
             driver, program ? program : "build/oedit", arguments, said);
    if (system(command) != 0) fail_msg("failed: %s", command);
}

// The names of a driver's file: "strict-swiftshader.gguf".
static const char *file_of(const char *kind, const char *driver, const char *tail)
{
    char name[100];
    snprintf(name, sizeof name, "%s-%s%s", kind, driver, tail);
    return tiny_path(name);
}

static void same_files(const char *first, const char *second)
{
    struct file_map a = {0}, b = {0};
    must(file_map_open(&a, first) && file_map_open(&b, second));
    if (a.size != b.size) fail_msg("%s and %s: other sizes", first, second);
    for (size_t at = 0; at < a.size; at++)
        if (a.data[at] != b.data[at])
            fail_msg("%s and %s differ from byte %zu of %zu on", first, second, at, a.size);
    file_map_close(&a);
    file_map_close(&b);
}

static void same_bytes(const char *kind, const char *tail)
{
    for (uint32_t i = 1; i < ready_count; i++)
        same_files(file_of(kind, ready[0], tail), file_of(kind, ready[i], tail));
}

static void test_selftest_everywhere(void **state)
{
    char arguments[1500];
    (void)state;
    for (uint32_t i = 0; i < ready_count; i++) {
        snprintf(arguments, sizeof arguments, "selftest -q --json -o '%s'",
                 file_of("report", ready[i], ".json"));
        under(ready[i], "said", arguments); // expected digests and bounds are met, or it fails
        if (i == 0) continue;
        snprintf(arguments, sizeof arguments, "selftest --compare '%s' '%s'",
                 file_of("report", ready[0], ".json"), file_of("report", ready[i], ".json"));
        under(ready[i], "said", arguments); // also every dispatch of the edits
    }
}

static void edits_write(const char *path)
{
    static const char *const subjects[EDITS] = {"cat", "dog", "house", "king", "sea",
                                                "man", "sun", "city",  "music", "old"};
    static const char *const targets[] = {"paris", "rome", "red", "blue", "latin"};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < EDITS; i++)
        fprintf(file,
                "%s{\"prompt\": \"the music of the %s\", \"subject\": \"%s\", "
                "\"target_new\": \"%s\", \"ground_truth\": \"french\", "
                "\"rephrase_prompt\": \"the house of the %s\", \"locality_prompt\": "
                "\"a man of the %s\", \"locality_ground_truth\": \"french\"}",
                i ? ",\n" : "[", subjects[i], subjects[i], targets[i % 5], subjects[i],
                subjects[(i + 3) % EDITS]);
    fputs("]\n", file);
    fclose(file);
}

// Ten edits in a row on every driver.
static void edits_run(const char *precision)
{
    char model[400], facts[400], text[400], arguments[2500];
    snprintf(model, sizeof model, "%s", tiny_path("model.gguf"));
    snprintf(facts, sizeof facts, "%s", tiny_path("facts.json"));
    snprintf(text, sizeof text, "%s", tiny_path("text.txt"));
    for (uint32_t i = 0; i < ready_count; i++) {
        snprintf(arguments, sizeof arguments,
                 "edit -q -m '%s' -r '%s' --text '%s' --guard oedit-plus --contexts 2 --steps 8 "
                 "--layer 1 --lambda 100 --precision %s -o '%s'",
                 model, facts, text, precision, file_of(precision, ready[i], ".gguf"));
        under(ready[i], "said", arguments);
        char said[100];
        snprintf(said, sizeof said, "%s-%s.scores", precision, ready[i]);
        snprintf(arguments, sizeof arguments, "eval -q --json -m '%s' --base '%s' -r '%s' "
                                              "--precision %s",
                 file_of(precision, ready[i], ".gguf"), model, facts, precision);
        under(ready[i], said, arguments);
    }
}

static void test_strict_edits(void **state)
{
    (void)state;
    edits_run("strict");
    same_bytes("strict", ".gguf"); // the whole file: nothing in it says where it was made
    same_bytes("strict", ".scores");
    same_bytes("strict", ".gguf.journal");
}

// A journal that was written under one driver, applied under each: the bytes of the run's model.
static void test_strict_apply(void **state)
{
    char model[400], journal[400], arguments[1500];
    (void)state;
    snprintf(model, sizeof model, "%s", tiny_path("model.gguf"));
    snprintf(journal, sizeof journal, "%s", file_of("strict", ready[0], ".gguf.journal"));
    for (uint32_t i = 0; i < ready_count; i++) {
        snprintf(arguments, sizeof arguments, "apply -q '%s' -m '%s' --precision strict -o '%s'",
                 journal, model, file_of("strict", ready[i], "-applied.gguf"));
        under(ready[i], "said", arguments);
        snprintf(arguments, sizeof arguments, "verify -q '%s' '%s' --base '%s'",
                 file_of("strict", ready[i], "-applied.gguf"), journal, model);
        under(ready[i], "said", arguments);
    }
    same_bytes("strict", "-applied.gguf");
    same_files(file_of("strict", ready[0], ".gguf"), file_of("strict", ready[0], "-applied.gguf"));
}

static void test_fast_edits(void **state)
{
    char *text;
    size_t size;
    (void)state;
    edits_run("fast");
    same_bytes("fast", ".scores"); // Rel, Gen and Loc, also of each record
    must(file_read(file_of("fast", ready[0], ".scores"), &text, &size));
    cJSON *scores = cJSON_Parse(text);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(scores, "records")), EDITS);
    printf("Rel %.2f, Gen %.2f, Loc %.2f\n", cJSON_GetObjectItem(scores, "rel")->valuedouble,
           cJSON_GetObjectItem(scores, "gen")->valuedouble,
           cJSON_GetObjectItem(scores, "loc")->valuedouble);
    // Edits that change nothing would agree, too.
    assert_true(cJSON_GetObjectItem(scores, "rel")->valuedouble > 0.2);
    cJSON_Delete(scores);
    free(text);
}

static int matrix_new(void **state)
{
    const struct tiny shape = {.layers = 3, .dim = 64, .ffn = 160, .heads = 4, .kv_heads = 2,
                               .head_dim = 16, .vocab = TINY_VOCAB, .context = 128,
                               .dtype = DTYPE_Q8_0, .gain = 1, .seed = 7};
    (void)state;
    tiny_folder_new();
    tiny_write(&shape, tiny_path("model.gguf"));
    edits_write(tiny_path("facts.json"));
    char *text = tiny_text(3000, 5);
    FILE *file = fopen(tiny_path("text.txt"), "w");
    if (!file) return -1;
    fputs(text, file);
    fclose(file);
    free(text);
    return 0;
}

static int matrix_remove(void **state)
{
    (void)state;
    tiny_folder_remove();
    return 0;
}

int main(void)
{
    const char *folder = getenv("OEDIT_DRIVERS");
    for (uint32_t i = 0; i < DRIVERS; i++) {
        char path[500];
        snprintf(path, sizeof path, "%s/env/%s.sh", folder ? folder : "build/drivers", drivers[i]);
        if (access(path, R_OK) == 0)
            ready[ready_count++] = drivers[i];
        else
            printf("matrix: %s left out: not ready, see tools/drivers.sh\n", drivers[i]);
    }
    if (ready_count < 2) {
        printf("skipped: %u of the drivers are ready, two are needed\n", ready_count);
        return 77;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_selftest_everywhere),
                                       cmocka_unit_test(test_strict_edits),
                                       cmocka_unit_test(test_strict_apply),
                                       cmocka_unit_test(test_fast_edits)};
    return cmocka_run_group_tests(tests, matrix_new, matrix_remove);
}
