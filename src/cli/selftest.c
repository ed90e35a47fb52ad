#define _GNU_SOURCE // fileno
#include "cli/selftest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"

enum { DEVICES_MAX = 32 };

const char *const verdict_words[3] = {"pass", "FAIL", "-"};

// ---- one device ----
static void case_why(struct tested_case *c, const char *what, const char *text)
{
    size_t used = strlen(c->why);
    if (used + 40 < sizeof c->why)
        snprintf(c->why + used, sizeof c->why - used, "%s%s%s", used ? "; " : "", what, text);
}

static bool case_fast(struct tested_case *c, uint32_t number, const struct made *made,
                      const struct outputs *got)
{
    struct outputs exact = {0};
    bool known, ok = trial_double(made, &exact, &known);
    c->fast = VERDICT_NONE;
    if (ok && known) {
        trial_compare(number, made, got, &exact, &c->error);
        c->fast = c->error.part > 1 ? VERDICT_WRONG : VERDICT_RIGHT;
        if (c->error.where[0]) case_why(c, "fast: ", c->error.where);
    }
    outputs_free(&exact);
    return ok;
}

static void case_strict(struct selftest *t, struct tested_case *c, const struct made *made,
                        const struct outputs *got)
{
    const struct digest *expected = digests_find(&t->digests, c->op, c->name);
    char text[80];
    c->digest = trial_digest(made, got);
    c->strict = VERDICT_NONE;
    if (!expected) return;
    c->expected = expected->value;
    c->strict = c->expected == c->digest ? VERDICT_RIGHT : VERDICT_WRONG;
    if (c->strict == VERDICT_RIGHT) return;
    snprintf(text, sizeof text, "digest %016llx, wanted %016llx", (unsigned long long)c->digest,
             (unsigned long long)c->expected);
    case_why(c, "strict: ", text);
}

static bool case_run(struct selftest *t, struct device *dev, uint32_t number)
{
    struct tested_case *c = &t->cases[number];
    struct made made = {0};
    struct outputs got = {0};
    char outside[TRIAL_TEXT] = "";
    c->op = op_names[case_op(number)];
    case_name(number, c->name);
    *(dev->strict ? &c->strict : &c->fast) = VERDICT_NONE;
    if (!case_fits(number, dev)) return true;
    bool ok = case_make(number, dev, &made) && trial_device(number, &made, &got, outside);
    if (ok && dev->strict) case_strict(t, c, &made, &got);
    if (ok && !dev->strict) ok = case_fast(c, number, &made, &got);
    if (outside[0]) {
        *(dev->strict ? &c->strict : &c->fast) = VERDICT_WRONG;
        case_why(c, dev->strict ? "strict: " : "fast: ", outside);
    }
    outputs_free(&got);
    made_free(&made);
    return ok;
}

static bool precision_run(struct selftest *t, const char *device, bool strict)
{
    struct device dev = {0};
    struct device_options options = {.name = device, .validate = t->args->validate,
                                     .strict = strict, .started = t->args->started};
    if (!device_open(&dev, &options)) return false;
    t->info = dev.info;
    if (!strict) log_say("device: %s (%s)", dev.info.name, dev.info.driver);
    struct progress bar;
    bool ok = true;
    progress_start(&bar, strict ? "strict" : "fast", "case", t->count);
    for (uint32_t i = 0; ok && i < t->count; i++) {
        ok = case_run(t, &dev, i);
        progress_step(&bar, 1);
    }
    progress_end(&bar);
    if (!t->args->verbose) log_level_set(LOG_QUIET); // edits tell what they take from which text
    ok = ok && selftest_edits(t, &dev);
    if (!t->args->verbose && !t->args->quiet) log_level_set(LOG_NORMAL);
    uint32_t errors = dev.validation_errors;
    device_close(&dev);
    return ok && (!errors || fail(STATUS_FAILED, "--validate: %u validation errors", errors));
}

static void selftest_free(struct selftest *t)
{
    for (uint32_t i = 0; i < EDIT_RUNS; i++) {
        free(t->edits[i].trace);
        free(t->fast[i]);
    }
    free(t->cases);
    digests_free(&t->digests);
    *t = (struct selftest){0};
}

// All cases and edits in both precisions. `device` as in --device.
static bool device_test(struct selftest *t, const struct args *args, const char *device)
{
    double started = log_clock();
    *t = (struct selftest){.args = args, .count = case_count(), .right = true};
    t->cases = mem_new(t->count, sizeof *t->cases, "the table");
    bool ok = t->cases && digests_open(&t->digests, args->digests) &&
              precision_run(t, device, false) && precision_run(t, device, true);
    for (uint32_t i = 0; ok && i < t->count; i++)
        if (t->cases[i].fast == VERDICT_WRONG || t->cases[i].strict == VERDICT_WRONG)
            t->right = false;
    for (uint32_t i = 0; i < EDIT_RUNS; i++)
        if (t->edits[i].fast == VERDICT_WRONG || t->edits[i].strict == VERDICT_WRONG)
            t->right = false;
    t->seconds = log_clock() - started;
    return ok;
}

// ---- the command ----
// The device's report, or why there is none. Failures of one device are kept from the others.
static bool one(const struct args *args, const char *device, const char *name, FILE *to,
                cJSON *reports, bool *right)
{
    struct selftest t;
    bool ok = device_test(&t, args, device);
    *right = ok && t.right;
    if (ok && args->json)
        json_append(reports, selftest_json(&t));
    else if (ok)
        selftest_table(&t, to);
    if (!ok && args->all) {
        log_warn("%s: not tested: %s", name, status_message());
        if (!args->json) fprintf(to, "%s: FAIL, not tested: %s\n\n", name, status_message());
        cJSON *report = args->json ? cJSON_CreateObject() : NULL;
        if (report) cJSON_AddStringToObject(report, "device", name);
        if (report) cJSON_AddStringToObject(report, "failure", status_message());
        if (report) json_append(reports, report);
        status_clear();
        ok = true;
    }
    selftest_free(&t);
    return ok;
}

static bool all(const struct args *args, FILE *to, cJSON *reports, uint32_t *wrong)
{
    struct device_info infos[DEVICES_MAX];
    uint32_t count = 0;
    if (!device_list(infos, DEVICES_MAX, &count)) return false;
    if (count == 0) return fail(STATUS_NO_DEVICE, "no Vulkan device: the loader found no driver");
    for (uint32_t i = 0; i < count; i++) {
        char number[16];
        bool right;
        snprintf(number, sizeof number, "%u", i);
        if (!one(args, number, infos[i].name, to, reports, &right)) return false;
        *wrong += !right;
    }
    return true;
}

static bool report(const struct args *args, FILE *to)
{
    cJSON *root = args->json ? cJSON_CreateObject() : NULL;
    cJSON *reports = args->json ? cJSON_AddArrayToObject(root, "reports") : NULL;
    uint32_t wrong = 0;
    bool right = true, ok;
    ok = args->all ? all(args, to, reports, &wrong)
                   : one(args, args->device, "the device", to, reports, &right);
    wrong += !right;
    if (ok && args->json) {
        char *text = json_text(root, false, "the report");
        ok = text != NULL;
        if (ok) fprintf(to, "%s\n", text);
        cJSON_free(text);
    }
    cJSON_Delete(root);
    return ok && (!wrong || fail(STATUS_FAILED, "selftest: %u device%s failed", wrong,
                                 wrong == 1 ? "" : "s"));
}

// From the operators in C; the edits from a device that has just those digests.
static bool digests_make(const struct args *args)
{
    struct file_out out;
    struct selftest t = {0};
    struct args against = *args;
    if (!file_out_open(&out, args->write_digests)) return false;
    char written[64]; // the file has no name yet
    snprintf(written, sizeof written, "/proc/self/fd/%d", fileno(out.stream));
    against.digests = written;
    bool ok = digests_write(out.stream) && fflush(out.stream) == 0 &&
              device_test(&t, &against, args->device);
    if (ok && !t.right) {
        selftest_table(&t, stderr);
        ok = fail(STATUS_FAILED, "--write-digests: %s does not compute what the operators in C do",
                  t.info.name);
    }
    for (uint32_t i = 0; ok && i < EDIT_RUNS; i++)
        fprintf(out.stream, "edit\t%s\t%016llx\n", t.edits[i].name,
                (unsigned long long)t.edits[i].digest);
    selftest_free(&t);
    return file_out_close(&out, ok) && ok;
}

bool command_selftest(const struct args *args)
{
    struct file_out out;
    if (args->compare) {
        if (args->word_count != 2)
            return fail(STATUS_USAGE, "--compare: got %d words, wanted two reports",
                        args->word_count);
        return selftest_compare(args->words);
    }
    if (args->word_count)
        return fail(STATUS_USAGE, "selftest takes options only, got '%s'", args->words[0]);
    if (args->all && args->device)
        return fail(STATUS_USAGE, "selftest: got --all and --device, wanted one");
    if (args->write_digests) return digests_make(args);
    if (!args->out) return report(args, stdout);
    if (!file_out_open(&out, args->out)) return false;
    bool ok = report(args, out.stream);
    // A report of failures is one, too; where there is none, no file is left.
    return file_out_close(&out, ftell(out.stream) > 0) && ok;
}
