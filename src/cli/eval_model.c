#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "eval/eval.h"

enum { BLOCK = 512 };

struct scores {
    double rel, gen, loc, avg; // NAN: nothing to measure it by
};

static bool read_requests(struct dataset *data, const struct args *args)
{
    return dataset_open(data, args->requests,
                        (struct dataset_options){
                            .skip = (size_t)args->skip, .limit = args->n,
                            .zsre_target = args->zsre_target ? ZSRE_ANSWERS : ZSRE_ALT});
}

static double mean(const struct exam *exam, enum question_kind kind, const struct exam *base)
{
    double sum = 0;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < exam->requests; i++) {
        double score = exam_score(exam, kind, i, base);
        if (isnan(score)) continue;
        sum += score;
        seen++;
    }
    return seen ? sum / seen : NAN;
}

// The unedited model's answers to the locality questions; its own model is opened and closed.
static bool ask_base(struct opened *o, const struct args *args, const struct dataset *data,
                     struct exam *base)
{
    bool ok = opened_model(o, args->base) &&
              exam_new(base, &o->tokenizer, data->requests, (uint32_t)data->count) &&
              exam_ask(base, &o->model, ASK_LOC);
    opened_model_close(o);
    return ok;
}

static void add(cJSON *to, const char *name, double value)
{
    if (isnan(value))
        cJSON_AddNullToObject(to, name);
    else
        cJSON_AddNumberToObject(to, name, value);
}

static void records_json(cJSON *root, const struct exam *exam, const struct exam *base,
                         const struct dataset *data)
{
    cJSON *list = cJSON_AddArrayToObject(root, "records");
    for (uint32_t i = 0; i < exam->requests; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", (double)data->requests[i].id);
        add(row, "rel", exam_score(exam, ASK_REL, i, NULL));
        add(row, "gen", exam_score(exam, ASK_GEN, i, NULL));
        add(row, "loc", exam_score(exam, ASK_LOC, i, base));
        cJSON_AddItemToArray(list, row);
    }
}

static bool score(struct opened *o, const struct args *args, cJSON *root, struct scores *s)
{
    struct dataset data = {0};
    struct exam exam = {0}, base = {0};
    bool ok = read_requests(&data, args) && (!args->base || ask_base(o, args, &data, &base)) &&
              opened_model(o, args->model) &&
              exam_new(&exam, &o->tokenizer, data.requests, (uint32_t)data.count);
    for (int kind = 0; ok && kind < ASK_KINDS; kind++)
        if (kind != ASK_LOC || args->base) ok = exam_ask(&exam, &o->model, (enum question_kind)kind);
    if (ok) {
        const struct exam *unedited = args->base ? &base : NULL;
        s->rel = mean(&exam, ASK_REL, NULL);
        s->gen = mean(&exam, ASK_GEN, NULL);
        s->loc = mean(&exam, ASK_LOC, unedited);
        s->avg = (s->rel + s->gen + s->loc) / 3;
        cJSON_AddNumberToObject(root, "n", (double)data.count);
        add(root, "rel", s->rel);
        add(root, "gen", s->gen);
        add(root, "loc", s->loc);
        add(root, "avg", s->avg);
        records_json(root, &exam, unedited, &data);
        if (!args->base) log_say("no --base MODEL: Loc is not measured");
    }
    exam_free(&exam);
    exam_free(&base);
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

bool command_eval(const struct args *args)
{
    struct opened o = {0};
    struct scores s = {NAN, NAN, NAN, NAN};
    double ppl = NAN;
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    if (!args->requests && !args->text)
        return fail(STATUS_USAGE, "eval: wanted --requests FILE, --text FILE, or both");
    cJSON *root = cJSON_CreateObject();
    bool ok = opened_device(&o, args) && (!args->requests || score(&o, args, root, &s)) &&
              (!args->text || perplexity(&o, args, root, &ppl));
    if (ok && args->json) {
        ok = json_put(root, true);
    } else if (ok) {
        if (args->requests)
            printf("Rel %.3f  Gen %.3f  Loc %.3f  Avg %.3f\n", s.rel, s.gen, s.loc, s.avg);
        if (args->text) printf("perplexity %.4f\n", ppl);
    }
    cJSON_Delete(root);
    return opened_end(&o, args, ok);
}
