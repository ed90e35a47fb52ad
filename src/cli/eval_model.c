#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/evaluation.h"
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
    bool ok = (o->model.dev || opened_model(o, args->base ? args->base : args->model)) &&
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

static bool measures_said(const struct args *args, struct measures *m)
{
    if (args->measures && !measures_parse(args->measures, &m->which)) return false;
    if ((m->which >> MEASURE_PPL & 1) && !args->text)
        return fail(STATUS_USAGE, "--measures: ppl wants a text (--text FILE)");
    m->which &= ~(1u << MEASURE_PPL); // another's work, with or without requests
    if (!args->requests) m->which = 0;
    return true;
}

// Scores of the requests [first, end), the others' are not known.
static bool score(struct opened *o, const struct args *args, const struct dataset *data,
                  struct evaluation *e, uint32_t first, uint32_t end)
{
    const struct dataset some = {.requests = data->requests + first, .count = end - first};
    struct exam exam = {0};
    struct marks marks = {0};
    struct measures m = {.which = e->which, .tokenizer = &o->tokenizer};
    if (first == end) return true;
    bool ok = exam_start(o, args, &some, &m, &exam) && marks_new(&marks, end - first);
    if (!args->base) m.which &= ~(1u << MEASURE_LOC);
    ok = ok && measures_take(&m, &exam, &o->model, 0, marks.requests, &marks);
    for (int each = 0; ok && each < MEASURE_EACH; each++)
        memcpy(e->marks.scores[each] + first, marks.scores[each],
               (end - first) * sizeof *marks.scores[each]);
    marks_free(&marks);
    exam_free(&exam);
    return ok;
}

static bool text_read(struct opened *o, const struct args *args, struct token_list *list)
{
    char *text = NULL;
    size_t size = 0;
    bool ok = file_read(args->text, &text, &size) &&
              tokenizer_encode(&o->tokenizer, text, size, ENCODE_PLAIN, list);
    if (ok && args->tokens && args->tokens < list->count) list->count = args->tokens;
    free(text);
    return ok;
}

// The shard, or all of it, measured. How many blocks the text has is the model's to say, and the
// base is loaded before it.
static bool evaluate(struct opened *o, const struct args *args, struct shard shard,
                     const struct dataset *data, struct evaluation *e, struct token_list *text)
{
    bool ok = opened_files(o, args->model);
    if (ok && args->text)
        ok = text_read(o, args, text) &&
             losses_new(&e->losses, model_positions(&o->weights.config), (uint32_t)text->count,
                        BLOCK);
    if (!ok) return false;
    const uint32_t whole = e->requests + e->losses.blocks;
    uint32_t first = 0, end = whole;
    if (shard.n) shard_range(shard, whole, &first, &end);
    const struct evaluation_span span = evaluation_span(e, first, end);
    if (args->base && span.request < span.requests_end) opened_model_close(o);
    else if (first < end) ok = opened_load(o);
    return ok && score(o, args, data, e, span.request, span.requests_end) &&
           (span.block == span.blocks_end ||
            losses_take(&e->losses, &o->model, text->ids, span.block, span.blocks_end));
}

static bool hash_of(const char *path, char hash[static 33])
{
    struct weights weights = {0};
    const char *got = weights_open(&weights, path) ? weights_hash(&weights) : NULL;
    if (got) snprintf(hash, 33, "%s", got);
    weights_close(&weights);
    return got != NULL;
}

// What the evaluation is of, by content; NULL on failure.
static cJSON *evaluation_origin(struct opened *o, const struct args *args,
                                const struct dataset *data, const struct evaluation *e,
                                const struct token_list *text)
{
    const char *model = weights_hash(&o->weights);
    char base[33] = "", hash[24];
    if (!model || (args->base && args->requests && !hash_of(args->base, base))) return NULL;
    cJSON *of = cJSON_CreateObject();
    cJSON_AddStringToObject(of, "model", model);
    cJSON_AddStringToObject(of, "base", base);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)dataset_hash(data));
    cJSON_AddStringToObject(of, "records", hash);
    snprintf(hash, sizeof hash, "%016llx",
             (unsigned long long)XXH3_64bits(text->ids, text->count * sizeof *text->ids));
    cJSON_AddStringToObject(of, "text", hash);
    evaluation_of(e, of);
    return of;
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
    if (args->journal && (args->shard || args->out))
        return fail(STATUS_USAGE, "eval --journal: got --%s, which is for a model's evaluation",
                    args->shard ? "shard" : "out");
    if (!args->journal && !args->requests && !args->text)
        return fail(STATUS_USAGE, "eval: wanted --requests FILE, --text FILE, or both");
    return true;
}

static bool run(struct opened *o, const struct args *args, struct shard shard)
{
    struct dataset data = {0};
    struct evaluation e = {0};
    struct token_list text = {0};
    struct measures m = {.which = MEASURES_DEFAULT};
    bool ok = measures_said(args, &m) && (!m.which || read_requests(&data, args)) &&
              evaluation_new(&e, m.which, (uint32_t)data.count);
    for (uint32_t i = 0; ok && i < e.requests; i++) e.ids[i] = data.requests[i].id;
    e.base = args->base != NULL;
    ok = ok && opened_device(o, args) && evaluate(o, args, shard, &data, &e, &text);
    if (ok && shard.n) {
        cJSON *of = evaluation_origin(o, args, &data, &e, &text);
        ok = of && evaluation_shard(o, &e, args, shard, of);
    } else if (ok)
        ok = evaluation_print(&e, args);
    token_list_free(&text);
    evaluation_free(&e);
    dataset_free(&data);
    return ok;
}

bool command_eval(const struct args *args)
{
    struct opened o = {0};
    struct shard shard;
    if (!check(args) || !shard_parse(args, &shard)) return false;
    interrupt_watch();
    if (args->journal)
        return opened_end(&o, args, opened_device(&o, args) && eval_journal(&o, args));
    return opened_end(&o, args, run(&o, args, shard));
}
