#define _POSIX_C_SOURCE 200809L
// `oedit selftest`: that the expected digests are those of the operators in C, that it sees what is
// wrong, and what the command refuses.
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "check/digests.h"
#include "check/trial.h"
#include "cli/selftest.h"
#include "ref_must.h"
#include "ref_tiny.h"
#include "twin_cmd.h"

#define ok(what) do { if (!(what)) fail_msg("%s: %s", #what, status_message()); } while (0)

static uint32_t number_of(enum op op)
{
    uint32_t number = 0;
    while (case_op(number) != op) number++;
    return number;
}

static void text_of(const char *path, char **text)
{
    size_t size;
    ok(file_read(path, text, &size));
}

// assets/digests.tsv is what selftest --write-digests would write, and all the operators are in it.
static void test_digests(void **state)
{
    struct digests d;
    uint32_t known_count = 0;
    bool seen[OP_COUNT] = {false};
    (void)state;
    ok(digests_open(&d, NULL));
    for (uint32_t i = 0; i < case_count(); i++) {
        struct made made = {0};
        struct outputs outputs = {0};
        char name[CASE_NAME];
        bool known;
        const char *op = op_names[case_op(i)];
        case_name(i, name);
        ok(case_make(i, NULL, &made) && trial_float(&made, &outputs, &known));
        const struct digest *row = digests_find(&d, op, name);
        if (known != (row != NULL))
            fail_msg("%s %s: %s; run oedit selftest --write-digests assets/digests.tsv", op, name,
                     row ? "a digest of nothing" : "no digest");
        if (known && row->value != trial_digest(&made, &outputs))
            fail_msg("%s %s: the digest is out of date; run oedit selftest --write-digests "
                     "assets/digests.tsv", op, name);
        if (known) seen[case_op(i)] = true;
        known_count += known;
        outputs_free(&outputs);
        made_free(&made);
    }
    for (int op = 0; op < OP_COUNT; op++)
        if (!seen[op] && op != OP_gemm_coop && op != OP_probe_fma && op != OP_probe_memory)
            fail_msg("%s has no digest", op_names[op]);
    assert_int_equal(d.count, known_count + 2); // and the edits
    digests_free(&d);
}

// Buffers differ from each other and from case to case; tiles make no other inputs.
static void test_inputs(void **state)
{
    struct made a = {0}, b = {0};
    uint32_t number = number_of(OP_gemm_nt);
    (void)state;
    ok(case_make(number, NULL, &a) && case_make(number + 1, NULL, &b));
    assert_memory_not_equal(a.buffers[0].data, b.buffers[0].data, 64);
    assert_memory_not_equal(a.buffers[0].data, a.buffers[1].data, 64);
    for (uint32_t i = 0; i < a.buffers[0].words; i++) {
        float x;
        memcpy(&x, &a.buffers[0].data[i], sizeof x);
        assert_true(x >= -1 && x < 1);
    }
    made_free(&a);
    made_free(&b);
}

// A case whose outputs are the exact ones, rounded, is right; each way of spoiling one is seen.
static void spoil_case(enum op op)
{
    struct made made = {0};
    struct outputs exact = {0}, got = {0};
    struct trial_error error;
    bool known;
    uint32_t number = number_of(op) + 1, at = CMD_POINTERS_MAX;
    ok(case_make(number, NULL, &made) && trial_double(&made, &exact, &known) && known);
    ok(trial_float(&made, &got, &known) && known);
    for (uint32_t i = 0; i < made.count; i++)
        if (got.words[i]) at = i;
    trial_compare(number, &made, &got, &exact, &error);
    if (error.part > 1) fail_msg("%s: %s", op_names[op], error.where);
    uint64_t digest = trial_digest(&made, &got);
    uint32_t *word = &got.words[at][made.buffers[at].words / 2], was = *word;
    const uint32_t spoiled[] = {0x7fc00000u, 0x7f800000u, 0x7fc0dead, was ^ 0x00800000u,
                                was + (1u << 20)};
    for (size_t i = 0; i < COUNT(spoiled); i++) {
        *word = spoiled[i];
        trial_compare(number, &made, &got, &exact, &error);
        if (error.part <= 1 || !error.where[0])
            fail_msg("%s: %08x for %08x is not seen", op_names[op], spoiled[i], was);
        assert_true(trial_digest(&made, &got) != digest);
    }
    *word = was ^ 1; // one bit: strict numbers see it
    assert_true(trial_digest(&made, &got) != digest);
    *word = was;
    assert_true(trial_digest(&made, &got) == digest);
    outputs_free(&exact);
    outputs_free(&got);
    made_free(&made);
}

static void test_spoiled(void **state)
{
    (void)state;
    spoil_case(OP_rmsnorm);
    spoil_case(OP_gather_rows);
    spoil_case(OP_sort_index);
    spoil_case(OP_dot_rows);
    spoil_case(OP_cross_entropy);
}

// ---- whole edits in C ----
// The edits with every operator in plain C on the host: their digests are those of the file, and
// every dispatch writes what it writes on the device.
static void test_edits_in_c(void **state)
{
    struct selftest device = {0}, host = {0};
    struct device fast = {0}, strict = {0};
    (void)state;
    ok(digests_open(&host.digests, NULL));
    ok(device_open(&fast, &(struct device_options){0}) && selftest_edits(&host, &fast));
    device_close(&fast);
    for (uint32_t i = 0; i < EDIT_RUNS; i++) device.fast[i] = host.fast[i];
    ok(device_open(&strict, &(struct device_options){.strict = true}));
    ok(selftest_edits(&device, &strict));
    twin_running = true;
    ok(selftest_edits(&host, &strict));
    twin_running = false;
    device_close(&strict);
    uint32_t dispatches = 0;
    for (uint32_t i = 0; i < EDIT_RUNS; i++) {
        if (host.edits[i].strict != VERDICT_RIGHT) fail_msg("%s", host.edits[i].why);
        if (strcmp(host.edits[i].trace, device.edits[i].trace) != 0)
            fail_msg("%s: the device's dispatches write something else", host.edits[i].name);
        dispatches += host.edits[i].dispatches;
        free(host.edits[i].trace);
        free(device.edits[i].trace);
        free(host.fast[i]);
    }
    assert_int_equal(dispatches, twin_dispatches);
    printf("%u dispatches of the edits, in C and on the device\n", dispatches);
    digests_free(&host.digests);
}

// ---- the command ----
// The exit code of `oedit selftest ARGUMENTS`, what it printed in `said` (both streams).
static int selftest(const char *arguments, char **said)
{
    char command[2000];
    const char *program = getenv("OEDIT_BIN");
    snprintf(command, sizeof command, "'%s' selftest %s > '%s' 2>&1",
             program ? program : "build/oedit", arguments, tiny_path("said"));
    int status = system(command);
    text_of(tiny_path("said"), said);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void refused(int code, const char *words, const char *arguments)
{
    char *said;
    int got = selftest(arguments, &said);
    if (got != code || !strstr(said, words))
        fail_msg("selftest %s: exit code %d, wanted %d and '%s'; it said: %s", arguments, got, code,
                 words, said);
    free(said);
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(tiny_path(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void test_refused(void **state)
{
    char arguments[1000];
    (void)state;
    refused(2, "wanted two reports", "--compare x.json");
    refused(2, "wanted two reports", "--compare");
    refused(2, "takes options only", "x.json");
    refused(2, "got --all and --device", "--all --device 0");
    refused(2, "did you mean --compare?", "--compar a b");
    refused(2, "unknown option", "-m model.gguf");
    refused(3, "no such device", "--device 'no such device'");
    refused(1, "cannot write no/such/folder/x", "-o no/such/folder/x");
    refused(1, "no/such/folder/x", "--write-digests no/such/folder/x");
    refused(5, "cannot open none.tsv", "--digests none.tsv");
    refused(5, "cannot open none.json", "--compare none.json none.json");
    write_text("bad.tsv", "# a comment\nrmsnorm\t1x4\t0123\n");
    snprintf(arguments, sizeof arguments, "--digests '%s'", tiny_path("bad.tsv"));
    refused(5, "line 2: got '0123', wanted 16 hexadecimal digits", arguments);
    write_text("bad.tsv", "rmsnorm 1x4\n");
    refused(5, "line 1: wanted operator, case and digest", arguments);
    const char *const bad[][2] = {
        {"{", "not JSON"},
        {"[]", "no reports"},
        {"{\"reports\": []}", "reports of 0 devices"},
        {"{\"reports\": [{}, {}]}", "reports of 2 devices"},
        {"{\"reports\": [{}]}", "no device, driver or build"},
        {"{\"reports\": [{\"device\": \"x\", \"failure\": \"it broke\"}]}", "it broke"},
        {"{\"reports\": [{\"device\": \"x\", \"driver\": \"y\", \"build\": \"z\"}]}", "no cases"},
        {"{\"reports\": [{\"device\": \"x\", \"driver\": \"y\", \"build\": \"z\", \"cases\": [3], "
         "\"edits\": []}]}", "a case without a name"},
        {"{\"reports\": [{\"device\": \"x\", \"driver\": \"y\", \"build\": \"z\", \"cases\": [], "
         "\"edits\": [{\"name\": \"a\", \"digest\": \"b\", \"trace\": [1]}]}]}",
         "a trace that is"}};
    for (size_t i = 0; i < COUNT(bad); i++) {
        write_text("bad.json", bad[i][0]);
        snprintf(arguments, sizeof arguments, "--compare '%s' '%s'", tiny_path("bad.json"),
                 tiny_path("bad.json"));
        refused(5, bad[i][1], arguments);
    }
}

// A device that cannot be opened, here for want of a layer, is said; the others have their turn.
static void test_unopened(void **state)
{
    (void)state;
    char *path = getenv("VK_LAYER_PATH"), *said;
    path = path ? strdup(path) : NULL;
    setenv("VK_LAYER_PATH", "/no/such/folder", 1);
    refused(1, ": FAIL, not tested: --validate: the layer", "--all --validate");
    char arguments[1000];
    snprintf(arguments, sizeof arguments, "--validate -o '%s'", tiny_path("none"));
    refused(2, "--validate: the layer", arguments);
    int code = selftest("--all --validate --json -q", &said);
    path ? setenv("VK_LAYER_PATH", path, 1) : unsetenv("VK_LAYER_PATH");
    free(path);
    assert_int_equal(code, 1);
    assert_int_equal(access(tiny_path("none"), F_OK), -1); // no report, no file
    assert_non_null(strstr(said, "{\"reports\":[{\"device\":"));
    assert_non_null(strstr(said, "\"failure\":\"--validate: the layer"));
    free(said);
}

static cJSON *report_read(const char *name)
{
    char *text;
    text_of(tiny_path(name), &text);
    cJSON *root = cJSON_Parse(text);
    free(text);
    assert_non_null(root);
    return root;
}

static cJSON *part_of(cJSON *root, const char *name)
{
    return cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(root, "reports"), 0), name);
}

static void report_write(cJSON *root, const char *name)
{
    char *text = cJSON_PrintUnformatted(root);
    write_text(name, text);
    cJSON_free(text);
}

static bool is_true(const cJSON *o, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(o, name));
}

// The device of this run is right; its report can be compared, and a spoiled one parts there.
static void test_report(void **state)
{
    char arguments[2000], words[200];
    (void)state;
    snprintf(arguments, sizeof arguments, "--json -o '%s'", tiny_path("a.json"));
    refused(0, "", arguments);
    cJSON *root = report_read("a.json"), *cases = part_of(root, "cases"), *c;
    assert_true(cJSON_IsTrue(part_of(root, "right")));
    assert_int_equal(cJSON_GetArraySize(cases), case_count());
    cJSON_ArrayForEach(c, cases)
    {
        bool coop = strcmp(cJSON_GetObjectItem(c, "op")->valuestring, "gemm_coop") == 0;
        if (!coop && (!is_true(c, "fast") || !is_true(c, "strict")))
            fail_msg("%s", cJSON_PrintUnformatted(c));
    }
    cJSON_ArrayForEach(c, part_of(root, "edits"))
    {
        if (!is_true(c, "fast") || !is_true(c, "strict")) fail_msg("%s", cJSON_Print(c));
        assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(c, "trace")) > 500);
        assert_true(cJSON_GetObjectItem(c, "dw")->valuedouble > 0);
    }
    snprintf(arguments, sizeof arguments, "--compare '%s' '%s'", tiny_path("a.json"),
             tiny_path("a.json"));
    refused(0, "equal: the strict numbers of", arguments);

    // One digest of a case, then one line of a trace, then a case less.
    snprintf(arguments, sizeof arguments, "--compare '%s' '%s'", tiny_path("a.json"),
             tiny_path("b.json"));
    c = cJSON_GetArrayItem(cases, (int)number_of(OP_kl_back));
    cJSON_SetValuestring(cJSON_GetObjectItem(c, "digest"), "0000000000000001");
    report_write(root, "b.json");
    refused(1, "kl_back 1x31: strict digests", arguments);
    cJSON_Delete(root);

    root = report_read("a.json");
    c = cJSON_GetArrayItem(part_of(root, "edits"), 1);
    cJSON *line = cJSON_GetArrayItem(cJSON_GetObjectItem(c, "trace"), 299);
    size_t length = strlen(line->valuestring);
    snprintf(words, sizeof words, "edits rome part at dispatch 300:\n  A %s", line->valuestring);
    line->valuestring[length - 1] ^= 1;
    report_write(root, "b.json");
    refused(1, words, arguments);
    cJSON_DeleteItemFromArray(part_of(root, "cases"), 0);
    report_write(root, "b.json");
    refused(1, "1 only in one", arguments);
    cJSON_Delete(root);
}

// A digest that is not the device's: said, and exit code 1; the table names the operator.
static void test_wrong(void **state)
{
    char *text, arguments[1000], *said;
    (void)state;
    text_of("assets/digests.tsv", &text);
    char *at = strstr(text, "rmsnorm\t3x64\t");
    assert_non_null(at);
    at[strlen("rmsnorm\t3x64\t")] ^= 1;
    write_text("wrong.tsv", text);
    snprintf(arguments, sizeof arguments, "--digests '%s'", tiny_path("wrong.tsv"));
    assert_int_equal(selftest(arguments, &said), 1);
    assert_non_null(strstr(said, "FAIL rmsnorm 3x64: strict: digest"));
    assert_non_null(strstr(said, "strict: "));
    assert_non_null(strstr(said, ": FAIL, "));
    assert_non_null(strstr(said, "error: selftest: 1 device failed"));
    assert_null(strstr(said, "FAIL rmsnorm 1x4"));
    free(said);
    free(text);
}

static int folder_new(void **state)
{
    (void)state;
    tiny_folder_new();
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
        cmocka_unit_test(test_digests), cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_spoiled), cmocka_unit_test(test_edits_in_c),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_unopened),
        cmocka_unit_test(test_report),  cmocka_unit_test(test_wrong)};
    return cmocka_run_group_tests(tests, folder_new, folder_remove);
}
