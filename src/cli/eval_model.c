#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/measured.h"

enum { BLOCK = 512 };

static bool read_requests(struct dataset *data, const struct args *args)
{
    return dataset_open(data, args->requests,
                        (struct dataset_options){
                            .skip = (size_t)args->skip, .limit = args->n,
                            .zsre_target = args->zsre_target ? ZSRE_ANSWERS : ZSRE_ALT});
}

// The exam, with the unedited model's answers for Loc; that model is opened and closed again.
static bool exam_start(struct opened *o, const struct args *args, const struct dataset *data,
                       const struct measures *measures, struct exam *exam)
{
    bool ok = opened_model(o, args->base ? args->base : args->model) &&
              exam_new(exam, &o->tokenizer, data->requests, (uint32_t)data->count);
    if (!args->base) return ok;
    ok = ok && measures_unedited(measures, exam, &o->model);
    uint32_t vocab = ok ? o->model.config.vocab : 0;
    opened_model_close(o);
    ok = ok && opened_model(o, args->model);
    if (ok && o->model.config.vocab != vocab)
        ok = fail(STATUS_BAD_DATA, "%s has a vocabulary of %u tokens, %s one of %u: they cannot be "
                                   "compared", args->model, o->model.config.vocab, args->base,
                  vocab);
    return ok;
}

static bool asked(const struct measures *m, unsigned measure)
{
    return m->which >> measure & 1;
}

static void report(cJSON *root, const struct measures *measures, const struct marks *marks,
                   const struct dataset *data)
{
    uint32_t n = marks->requests;
    cJSON_AddNumberToObject(root, "n", n);
    for (unsigned m = 0; m < MEASURE_EACH; m++) {
        if (asked(measures, m)) json_number(root, measure_names[m], marks_mean(marks, m, 0, n));
        if (m == MEASURE_LOC) json_number(root, "avg", marks_average(marks, 0, n));
    }
    cJSON *list = cJSON_AddArrayToObject(root, "records");
    for (uint32_t i = 0; i < n; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", (double)data->requests[i].id);
        for (unsigned m = 0; m < MEASURE_EACH; m++)
            if (asked(measures, m)) json_number(row, measure_names[m], marks->scores[m][i]);
        json_append(list, row);
    }
}

static void share_print(const char *gap, const char *title, double share)
{
    if (isfinite(share)) printf("%s%s %.3f", gap, title, share);
    else printf("%s%s -", gap, title); // not measured
}

static void report_line(const struct measures *measures, const struct marks *marks)
{
    const char *gap = "";
    for (unsigned m = 0; m < MEASURE_EACH; m++) {
        if (asked(measures, m)) {
            share_print(gap, measure_titles[m], marks_mean(marks, m, 0, marks->requests));
            gap = "  ";
        }
        if (m == MEASURE_LOC && (measures->which & MEASURES_DEFAULT) == MEASURES_DEFAULT)
            share_print(gap, "Avg", marks_average(marks, 0, marks->requests));
    }
    putchar('\n');
}

// Perplexity is another's work (perplexity()), with or without requests.
static bool score(struct opened *o, const struct args *args, cJSON *root, bool *measured)
{
    struct dataset data = {0};
    struct exam exam = {0};
    struct marks marks = {0};
    struct measures m = {.which = MEASURES_DEFAULT, .tokenizer = &o->tokenizer};
    if (args->measures && !measures_parse(args->measures, &m.which)) return false;
    if (asked(&m, MEASURE_PPL) && !args->text)
        return fail(STATUS_USAGE, "--measures: ppl wants a text (--text FILE)");
    m.which &= ~(1u << MEASURE_PPL);
    *measured = m.which != 0;
    if (!*measured) return true;
    bool ok = read_requests(&data, args) && exam_start(o, args, &data, &m, &exam) &&
              marks_new(&marks, (uint32_t)data.count);
    struct measures without = m;
    if (!args->base) without.which &= ~(1u << MEASURE_LOC);
    ok = ok && measures_take(&without, &exam, &o->model, 0, marks.requests, &marks);
    if (ok) {
        report(root, &m, &marks, &data);
        if (without.which != m.which) log_say("no --base MODEL: Loc is not measured");
        if (!args->json) report_line(&m, &marks);
    }
    marks_free(&marks);
    exam_free(&exam);
    dataset_free(&data);
    return ok;
}

static bool perplexity(struct opened *o, const struct args *args, cJSON *root, double *value)
{
    char *text = NULL;
    size_t size = 0;
    struct token_list list = {0};
    bool ok = (o->model.dev || opened_model(o, args->model)) &&
              file_read(args->text, &text, &size) &&
              tokenizer_encode(&o->tokenizer, text, size, ENCODE_PLAIN, &list);
    uint32_t count = (uint32_t)list.count;
    if (args->tokens && args->tokens < count) count = args->tokens;
    ok = ok && eval_perplexity(&o->model, list.ids, count, BLOCK, value);
    if (ok) {
        cJSON_AddNumberToObject(root, "perplexity", *value);
        cJSON_AddNumberToObject(root, "perplexity_tokens", count);
    }
    free(text);
    token_list_free(&list);
    return ok;
}

// What the options do not allow together.
static bool check(const struct args *args)
{
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    if (args->journal && (args->requests || args->base))
        return fail(STATUS_USAGE, "eval --journal: got %s, wanted --model to be the original model "
                                  "and nothing else; the requests are the journal's",
                    args->requests ? "--requests" : "--base");
    if (args->checkpoints && !args->journal)
        return fail(STATUS_USAGE, "eval --checkpoints: wanted --journal FILE, whose edits make the "
                                  "states");
    if (!args->journal && !args->requests && !args->text)
        return fail(STATUS_USAGE, "eval: wanted --requests FILE, --text FILE, or both");
    return true;
}

bool command_eval(const struct args *args)
{
    struct opened o = {0};
    bool measured = false;
    double ppl = (double)NAN;
    if (!check(args)) return false;
    interrupt_watch();
    if (args->journal)
        return opened_end(&o, args, opened_device(&o, args) && eval_journal(&o, args));
    cJSON *root = cJSON_CreateObject();
    bool ok = opened_device(&o, args) &&
              (!args->requests || score(&o, args, root, &measured)) &&
              (!args->text || perplexity(&o, args, root, &ppl));
    if (ok && args->json) ok = json_put(root, true);
    else if (ok && args->text) printf("perplexity %.4f\n", ppl);
    cJSON_Delete(root);
    return opened_end(&o, args, ok);
}
