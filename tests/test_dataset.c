// Edit requests: each form, and each mistake with its message.
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/dataset.h"
#include "ref_must.h"

static char path[256];

static void text_write(const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static void must_open(struct dataset *dataset, const char *text, struct dataset_options options)
{
    text_write(text);
    must(dataset_open(dataset, path, options));
}

static void must_refuse(const char *text, struct dataset_options options, const char *words)
{
    struct dataset dataset;
    text_write(text);
    bool opened = dataset_open(&dataset, path, options);
    if (!strstr(status_message(), path)) fail_msg("not named: %s", status_message());
    must_fail(opened, STATUS_BAD_DATA, words);
    dataset_free(&dataset);
}

static const struct dataset_options all = {0};

#define CF                                                                                      \
    "{\"case_id\":41,\"prompt\":\"The mother tongue of Danielle Darrieux is\","                 \
    "\"target_new\":\"English\",\"subject\":\"Danielle Darrieux\",\"ground_truth\":\"French\"," \
    "\"rephrase_prompt\":\"Where Danielle Darrieux is from\","                                  \
    "\"locality_prompt\":\"Michel Rocard is a native speaker of\","                             \
    "\"locality_ground_truth\":\"French\"}"
#define ROME                                                                       \
    "{\"case_id\":7,\"requested_rewrite\":{\"prompt\":\"The capital of {} is\","   \
    "\"subject\":\"France\",\"target_new\":{\"str\":\"Rome\",\"id\":\"Q1\"},"      \
    "\"target_true\":{\"str\":\"Paris\"}},\"paraphrase_prompts\":[\"p1\",\"p2\"]," \
    "\"neighborhood_prompts\":[\"n1\",\"n2\",\"n3\"],\"generation_prompts\":[\"g\"]}"
#define ZSRE                                                                                    \
    "{\"subject\":\"UniFirst\",\"src\":\"What is made by UniFirst?\",\"pred\":\"uniform\","     \
    "\"rephrase\":\"What does UniFirst make?\",\"alt\":\"aircraft\",\"answers\":[\"uniform\"]," \
    "\"loc\":\"nq question: who sang it\",\"loc_ans\":\"Somebody\"}"
#define MINE "{\"prompt\": \"A b A c\", \"subject\": \"A\", \"target_new\": \"x\"}"

static void test_counterfact(void **state)
{
    (void)state;
    struct dataset dataset;
    must_open(&dataset, "[" CF "]", all);
    assert_int_equal(dataset.count, 1);
    const struct request *request = &dataset.requests[0];
    assert_int_equal(request->id, 41);
    assert_string_equal(request->prompt, "The mother tongue of Danielle Darrieux is");
    assert_string_equal(request->subject, "Danielle Darrieux");
    assert_int_equal(request->subject_at, 21);
    assert_string_equal(request->target_new, "English");
    assert_string_equal(request->target_true, "French");
    assert_int_equal(request->rephrases.count, 1);
    assert_string_equal(request->rephrases.items[0], "Where Danielle Darrieux is from");
    assert_string_equal(request->localities.items[0], "Michel Rocard is a native speaker of");
    assert_string_equal(request->locality_truths.items[0], "French");
    dataset_free(&dataset);
    dataset_free(&dataset);
}

static void test_rome(void **state)
{
    (void)state;
    struct dataset dataset;
    must_open(&dataset, ROME, all);
    const struct request *request = &dataset.requests[0];
    assert_int_equal(request->id, 7);
    assert_string_equal(request->prompt, "The capital of France is");
    assert_int_equal(request->subject_at, 15);
    assert_string_equal(request->target_new, "Rome");
    assert_string_equal(request->target_true, "Paris");
    assert_int_equal(request->rephrases.count, 2);
    assert_string_equal(request->rephrases.items[1], "p2");
    assert_int_equal(request->localities.count, 3);
    assert_int_equal(request->locality_truths.count, 3);
    assert_string_equal(request->locality_truths.items[2], "Paris");
    assert_string_equal(request->generations.items[0], "g");
    dataset_free(&dataset);
}

static void test_zsre(void **state)
{
    (void)state;
    struct dataset dataset;
    must_open(&dataset, ZSRE, all);
    const struct request *request = &dataset.requests[0];
    assert_int_equal(request->id, 0);
    assert_string_equal(request->prompt, "What is made by UniFirst?");
    assert_string_equal(request->target_new, "aircraft");
    assert_string_equal(request->target_true, "uniform");
    assert_string_equal(request->localities.items[0], "nq question: who sang it");
    assert_string_equal(request->locality_truths.items[0], "Somebody");
    dataset_free(&dataset);
    must_open(&dataset, ZSRE, (struct dataset_options){.zsre_target = ZSRE_ANSWERS});
    assert_string_equal(dataset.requests[0].target_new, "uniform");
    assert_null(dataset.requests[0].target_true);
    dataset_free(&dataset);
}

static void test_minimal(void **state)
{
    (void)state;
    struct dataset dataset;
    must_open(&dataset, "\xef\xbb\xbf" MINE "\n\n" MINE "\r\n", all);
    assert_int_equal(dataset.count, 2);
    const struct request *request = &dataset.requests[1];
    assert_int_equal(request->id, 1);
    assert_int_equal(request->subject_at, 0); // the first of two
    assert_null(request->target_true);
    assert_int_equal(request->rephrases.count + request->localities.count, 0);
    dataset_free(&dataset);
    assert_true(dataset_from_strings(&dataset, "The \"sky\" is\n", "\"sky\"", " green"));
    assert_string_equal(dataset.requests[0].prompt, "The \"sky\" is\n");
    assert_string_equal(dataset.requests[0].target_new, " green");
    assert_int_equal(dataset.requests[0].subject_at, 4);
    dataset_free(&dataset);
    assert_false(dataset_from_strings(&dataset, "The sky is", "sea", "green"));
    assert_string_equal(status_message(),
                        "the command line, record 1: subject \"sea\" is not in the "
                        "prompt \"The sky is\"");
    status_clear();
}

static void test_skip_and_limit(void **state)
{
    (void)state;
    struct dataset dataset;
    for (int form = 0; form < 2; form++) { // JSONL and an array, with all forms mixed
        const char *text =
            form ? "[" CF "," ROME "," ZSRE "," MINE "]" : CF "\n" ROME "\n" ZSRE "\n" MINE "\n";
        must_open(&dataset, text, all);
        assert_int_equal(dataset.count, 4);
        dataset_free(&dataset);
        must_open(&dataset, text, (struct dataset_options){.skip = 1, .limit = 2});
        assert_int_equal(dataset.count, 2);
        assert_int_equal(dataset.requests[0].id, 7);
        assert_int_equal(dataset.requests[1].id, 2);
        dataset_free(&dataset);
        must_open(&dataset, text, (struct dataset_options){.skip = 3});
        assert_int_equal(dataset.count, 1);
        dataset_free(&dataset);
        must_open(&dataset, text, (struct dataset_options){.skip = 2, .limit = 3});
        assert_int_equal(dataset.count, 2); // fewer are no error
        dataset_free(&dataset);
        must_refuse(text, (struct dataset_options){.skip = 4},
                    "has 4 records, wanted some after the first 4");
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "has no records"},
        {"[]", "has no records"},
        {MINE "\n{\"prompt\": \"a\"}", "record 2: key \"subject\" is missing"},
        {"{\"prompt\": \"a\", \"subject\": \"a\"}", "record 1: key \"target_new\" is missing"},
        {"{\"subject\": \"a\", \"target_new\": \"a\"}", "record 1: key \"prompt\" is missing"},
        {"{\"prompt\": \"a\", \"subject\": \"a\", \"target_new\": \" \"}",
         "record 1: \"target_new\" is empty"},
        {"{\"prompt\": \"\", \"subject\": \"a\", \"target_new\": \"b\"}", "\"prompt\" is empty"},
        {"{\"prompt\": \"a\", \"subject\": \"\", \"target_new\": \"b\"}", "\"subject\" is empty"},
        {"{\"prompt\": 3, \"subject\": \"\", \"target_new\": \"b\"}", "\"prompt\" is no text"},
        {"{\"prompt\": \"abc\", \"subject\": \"x\", \"target_new\": \"b\"}",
         "record 1: subject \"x\" is not in the prompt \"abc\""},
        {"{\"prompt\": \"a\", \"subject\": \"a\", \"target_new\": \"b\", \"rephrase_prompt\": 1}",
         "\"rephrase_prompt\" is neither a text nor texts"},
        {MINE "{\"prompt\": \"a\", \"subject\": \"a\", \"target_new\": \"b\", \"rephrase_prompt\": "
              "[\"a\", \" \"]}", "record 2: \"rephrase_prompt\" has an empty text"},
        {"{\"prompt\": \"a\", \"subject\": \"a\", \"target_new\": \"b\", \"locality_prompt\": "
         "[\"a\", "
         "\"b\"], \"locality_ground_truth\": \"c\"}",
         "1 answers for 2 locality prompts"},
        {"{\"requested_rewrite\": {\"prompt\": \"a {}\", \"subject\": \"b\"}}",
         "key \"target_new\" is missing"},
        {"{\"requested_rewrite\": {\"prompt\": \"a\", \"subject\": \"b\", \"target_new\": "
         "{\"str\": "
         "\"c\"}}}",
         "prompt \"a\" has no {} for the subject"},
        {"{\"requested_rewrite\": {\"prompt\": \"{}\", \"subject\": \"b\", \"target_new\": "
         "{\"str\": "
         "\"\"}}}",
         "\"target_new\" is empty"},
        {"{\"requested_rewrite\": \"a\"}", "key \"prompt\" is missing"},
        {"{\"subject\": \"a\", \"src\": \"a?\"}", "key \"alt\" is missing"},
        {"[1]", "record 1: no object {...}"},
        {"\n\n17\n", "line 3: a JSON value that is no record"},
        {MINE "\n{\"prompt\": \"a\",\n\"subject\" \"a\"}\n", "line 3: malformed JSON at byte"},
        {"[" MINE, "line 1: malformed JSON"},
        {"[" MINE "] ]", "line 1: malformed JSON"},
        {"{\"prompt\": \"a", "line 1: malformed JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        must_refuse(cases[i].text, all, cases[i].words);
    must_refuse("{\"subject\": \"a\", \"src\": \"a?\", \"alt\": \"b\"}",
                (struct dataset_options){.zsre_target = ZSRE_ANSWERS},
                "key \"answers\" is missing");
    struct dataset dataset;
    assert_false(dataset_open(&dataset, "/nothing/there.json", all));
    assert_int_equal(status_code(), STATUS_BAD_DATA);
    status_clear();
}

// Every cut of a good file is either refused or holds fewer records; no cut crashes.
static void test_cuts(void **state)
{
    (void)state;
    static const char text[] = "[" CF ",\n" ROME ",\n" ZSRE "]";
    char cut[sizeof text];
    for (size_t size = 0; size < sizeof text - 1; size++) {
        struct dataset dataset;
        memcpy(cut, text, size);
        cut[size] = '\0';
        text_write(cut);
        assert_false(dataset_open(&dataset, path, all));
        assert_int_equal(status_code(), STATUS_BAD_DATA);
        status_clear();
    }
}

static void test_shared(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t count;
    } files[] = {{"../shared/data/counterfact-edit.json", 10000},
                 {"../shared/data/zsre-edit.json", 534}};
    for (size_t i = 0; i < COUNT(files); i++) {
        struct dataset dataset;
        if (access(files[i].path, R_OK) != 0) {
            print_message("skipped: no %s\n", files[i].path);
            continue;
        }
        struct dataset_options options = {.limit = files[i].count};
        must(dataset_open(&dataset, files[i].path, options));
        assert_int_equal(dataset.count, files[i].count);
        for (size_t j = 0; j < dataset.count; j++) {
            const struct request *request = &dataset.requests[j];
            assert_int_equal(strncmp(request->prompt + request->subject_at, request->subject,
                                     strlen(request->subject)),
                             0);
            assert_int_equal(request->rephrases.count, 1);
            assert_int_equal(request->localities.count, 1);
        }
        dataset_free(&dataset);
    }
    struct dataset dataset; // one record of the ZsRE file has no `alt`
    if (access(files[1].path, R_OK) == 0 && !dataset_open(&dataset, files[1].path, all))
        assert_non_null(strstr(status_message(), "record 535: \"alt\" is empty"));
    status_clear();
}

static int path_make(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/oedit-dataset-XXXXXX", base && *base ? base : "/tmp");
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int path_remove(void **state)
{
    (void)state;
    return unlink(path);
}

// Every text that is taken, by its key; what nobody reads may be anything.
static void test_utf8(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{\"prompt\":\"a b\xff\",\"subject\":\"a\",\"target_new\":\"c\"}",
         "record 2: \"prompt\" is not UTF-8: byte 0xff at offset 3 of the text"},
        {"{\"prompt\":\"a b\",\"subject\":\"\xc3\",\"target_new\":\"c\"}",
         "record 2: \"subject\" is not UTF-8: byte 0xc3 at offset 0"},
        {"{\"prompt\":\"a b\",\"subject\":\"a\",\"target_new\":\"\xc3\xa9\xa9\"}",
         "record 2: \"target_new\" is not UTF-8: byte 0xa9 at offset 2"},
        {"{\"prompt\":\"a b\",\"subject\":\"a\",\"target_new\":\"c\",\"rephrase_prompt\":[\"x\","
         "\"\xed\xa0\x80\"]}", "record 2: \"rephrase_prompt\" is not UTF-8: byte 0xed at offset 0"},
        {"{\"src\":\"a b\",\"subject\":\"a\",\"alt\":\"c\",\"answers\":[\"n\xf0\x9f\"]}",
         "record 2: \"answers\" is not UTF-8: byte 0xf0 at offset 1"},
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[1024];
        snprintf(text, sizeof text, "%s\n%s\n", CF, bad[i][0]);
        must_refuse(text, all, bad[i][1]);
    }
    struct dataset dataset;
    must_open(&dataset, "{\"prompt\":\"a b\",\"subject\":\"a\",\"target_new\":\"c\","
                        "\"note\":\"\xff\"}", all);
    dataset_free(&dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_counterfact),    cmocka_unit_test(test_rome),
        cmocka_unit_test(test_zsre),           cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_skip_and_limit), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cuts),           cmocka_unit_test(test_shared),
    };
    return cmocka_run_group_tests(tests, path_make, path_remove);
}
