#include "io/dataset.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

// One record while it is read: what its error messages name.
struct record {
    const cJSON *object;
    const char *path;
    size_t number; // from 1
};

static bool text_copy(char **copy, const char *text)
{
    *copy = mem_text(text, strlen(text), "a request");
    return *copy != NULL;
}

// Only blanks, or nothing at all.
static bool text_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static void text_list_free(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (struct text_list){0};
}

void request_free(struct request *request)
{
    free(request->prompt);
    free(request->subject);
    free(request->target_new);
    free(request->target_true);
    text_list_free(&request->rephrases);
    text_list_free(&request->localities);
    text_list_free(&request->locality_truths);
    text_list_free(&request->generations);
    *request = (struct request){0};
}

static bool text_same(const char *left, const char *right)
{
    return left && right ? strcmp(left, right) == 0 : left == right;
}

static bool list_same(const struct text_list *left, const struct text_list *right)
{
    for (size_t i = 0; i < left->count && i < right->count; i++)
        if (!text_same(left->items[i], right->items[i])) return false;
    return left->count == right->count;
}

bool request_same(const struct request *a, const struct request *b)
{
    return a->id == b->id && text_same(a->prompt, b->prompt) && text_same(a->subject, b->subject) &&
           text_same(a->target_new, b->target_new) && text_same(a->target_true, b->target_true) &&
           list_same(&a->rephrases, &b->rephrases) && list_same(&a->localities, &b->localities) &&
           list_same(&a->locality_truths, &b->locality_truths) &&
           list_same(&a->generations, &b->generations);
}

void dataset_free(struct dataset *dataset)
{
    for (size_t i = 0; i < dataset->count; i++) request_free(&dataset->requests[i]);
    free(dataset->requests);
    *dataset = (struct dataset){0};
}

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(value) ? NULL : value;
}

// object[key] must be a text that is not blank.
static bool text_get(const struct record *record, const cJSON *object, const char *key, char **text)
{
    const cJSON *value = member(object, key);
    if (!value)
        return fail(STATUS_BAD_DATA, "%s, record %zu: key \"%s\" is missing", record->path,
                    record->number, key);
    if (!cJSON_IsString(value))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is no text", record->path,
                    record->number, key);
    if (text_blank(value->valuestring))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is empty", record->path,
                    record->number, key);
    return text_copy(text, value->valuestring);
}

// The same, but the key may be missing: *text stays NULL.
static bool text_maybe(const struct record *record, const cJSON *object, const char *key,
                       char **text)
{
    return !member(object, key) || text_get(record, object, key, text);
}

// A text, or an array of texts, or nothing.
static bool list_maybe(const struct record *record, const cJSON *object, const char *key,
                       struct text_list *list)
{
    const cJSON *value = member(object, key);
    if (!value) return true;
    size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 1;
    list->items = mem_new(count, sizeof *list->items, "a request");
    if (!list->items) return false;
    const cJSON *item = cJSON_IsArray(value) ? value->child : value;
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (!cJSON_IsString(item))
            return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is neither a text nor texts",
                        record->path, record->number, key);
        if (!text_copy(&list->items[i], item->valuestring)) return false;
        list->count++;
    }
    return true;
}

// A subject that stands in the prompt several times is taken where it stands first.
static bool subject_find(const struct record *record, struct request *request)
{
    const char *found = strstr(request->prompt, request->subject);
    if (!found)
        return fail(STATUS_BAD_DATA, "%s, record %zu: subject \"%s\" is not in the prompt \"%s\"",
                    record->path, record->number, request->subject, request->prompt);
    request->subject_at = (size_t)(found - request->prompt);
    return true;
}

// The prompt of ROME's form has "{}" where the subject goes.
static bool prompt_fill(const struct record *record, struct request *request)
{
    const char *hole = strstr(request->prompt, "{}");
    if (!hole)
        return fail(STATUS_BAD_DATA, "%s, record %zu: prompt \"%s\" has no {} for the subject",
                    record->path, record->number, request->prompt);
    size_t before = (size_t)(hole - request->prompt), subject = strlen(request->subject);
    size_t after = strlen(hole + 2);
    char *full = mem_new(before + subject + after + 1, 1, "a prompt");
    if (!full) return false;
    memcpy(full, request->prompt, before);
    memcpy(full + before, request->subject, subject);
    memcpy(full + before + subject, hole + 2, after);
    free(request->prompt);
    request->prompt = full;
    request->subject_at = before;
    return true;
}

// EasyEdit's CounterFact, and anybody's own {prompt, subject, target_new}.
static bool easyedit_read(const struct record *record, struct request *request)
{
    const cJSON *object = record->object;
    return text_get(record, object, "prompt", &request->prompt) &&
           text_get(record, object, "subject", &request->subject) &&
           text_get(record, object, "target_new", &request->target_new) &&
           text_maybe(record, object, "ground_truth", &request->target_true) &&
           list_maybe(record, object, "rephrase_prompt", &request->rephrases) &&
           list_maybe(record, object, "locality_prompt", &request->localities) &&
           list_maybe(record, object, "locality_ground_truth", &request->locality_truths) &&
           subject_find(record, request);
}

// The text of {"str": ...}.
static bool rome_target(const struct record *record, const cJSON *rewrite, const char *key,
                        char **text)
{
    const cJSON *target = member(rewrite, key);
    if (!target)
        return fail(STATUS_BAD_DATA, "%s, record %zu: key \"%s\" is missing", record->path,
                    record->number, key);
    const cJSON *value = member(target, "str");
    if (cJSON_IsString(value) && text_blank(value->valuestring))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is empty", record->path,
                    record->number, key);
    return text_get(record, target, "str", text);
}

// The neighbourhood of a fact shares its true object, so that is what each of them answers.
static bool rome_truths(struct request *request)
{
    size_t count = request->target_true ? request->localities.count : 0;
    struct text_list *truths = &request->locality_truths;
    truths->items = mem_new(count, sizeof *truths->items, "a request");
    if (!truths->items) return false;
    for (; truths->count < count; truths->count++)
        if (!text_copy(&truths->items[truths->count], request->target_true)) return false;
    return true;
}

static bool rome_read(const struct record *record, struct request *request)
{
    const cJSON *rewrite = member(record->object, "requested_rewrite");
    return text_get(record, rewrite, "prompt", &request->prompt) &&
           text_get(record, rewrite, "subject", &request->subject) &&
           rome_target(record, rewrite, "target_new", &request->target_new) &&
           (!member(rewrite, "target_true") ||
            rome_target(record, rewrite, "target_true", &request->target_true)) &&
           list_maybe(record, record->object, "paraphrase_prompts", &request->rephrases) &&
           list_maybe(record, record->object, "neighborhood_prompts", &request->localities) &&
           list_maybe(record, record->object, "generation_prompts", &request->generations) &&
           rome_truths(request) && prompt_fill(record, request);
}

// `loc` starts with "nq question: ", and EasyEdit asks it so, as it stands: no question mark is
// added (ROME's own reader adds one), nothing is capitalised.
static bool zsre_read(const struct record *record, struct request *request, enum zsre_target target)
{
    const cJSON *object = record->object, *answers = member(object, "answers");
    const cJSON *answer = cJSON_IsArray(answers) ? answers->child : NULL;
    bool has_answer = cJSON_IsString(answer) && !text_blank(answer->valuestring);
    if (target == ZSRE_ANSWERS && !has_answer)
        return fail(STATUS_BAD_DATA, "%s, record %zu: key \"answers\" is missing or has no text",
                    record->path, record->number);
    bool ok = text_get(record, object, "src", &request->prompt) &&
              text_get(record, object, "subject", &request->subject);
    if (target == ZSRE_ANSWERS)
        ok = ok && text_copy(&request->target_new, answer->valuestring);
    else
        ok = ok && text_get(record, object, "alt", &request->target_new) &&
             (!has_answer || text_copy(&request->target_true, answer->valuestring));
    return ok && list_maybe(record, object, "rephrase", &request->rephrases) &&
           list_maybe(record, object, "loc", &request->localities) &&
           list_maybe(record, object, "loc_ans", &request->locality_truths) &&
           subject_find(record, request);
}

static bool request_read(const struct record *record, struct request *request,
                         enum zsre_target target)
{
    const cJSON *object = record->object, *number = member(object, "case_id");
    if (!cJSON_IsObject(object))
        return fail(STATUS_BAD_DATA, "%s, record %zu: no object {...}", record->path,
                    record->number);
    request->id = cJSON_IsNumber(number) && number->valuedouble >= 0 && number->valuedouble < 1e15
                      ? (int64_t)number->valuedouble
                      : (int64_t)record->number - 1;
    bool ok;
    if (member(object, "requested_rewrite"))
        ok = rome_read(record, request);
    else if (member(object, "src"))
        ok = zsre_read(record, request, target);
    else
        ok = easyedit_read(record, request);
    size_t truths = request->locality_truths.count;
    if (ok && truths && truths != request->localities.count)
        ok = fail(STATUS_BAD_DATA, "%s, record %zu: %zu answers for %zu locality prompts",
                  record->path, record->number, truths, request->localities.count);
    return ok;
}

// On failure the half-read request is in the list, and freed with it.
static bool dataset_append(struct dataset *dataset, const struct record *record,
                           enum zsre_target target)
{
    if (!mem_grow(&dataset->requests, &dataset->capacity, dataset->count + 1,
                  sizeof *dataset->requests, "requests"))
        return false;
    struct request *request = &dataset->requests[dataset->count++];
    *request = (struct request){0};
    return request_read(record, request, target);
}

// A file under way: `number` records were seen, in values one after the other.
struct reader {
    const char *path, *text, *end;
    size_t number;
    struct dataset_options options;
    struct dataset *dataset;
};

static size_t line_of(const struct reader *reader, const char *at)
{
    size_t line = 1;
    for (const char *c = reader->text; c < at; c++) line += *c == '\n';
    return line;
}

static bool reader_done(const struct reader *reader)
{
    return reader->options.limit && reader->dataset->count >= reader->options.limit;
}

// One record, unless it is skipped or enough are there.
static bool reader_take(struct reader *reader, const cJSON *object)
{
    struct record record = {object, reader->path, ++reader->number};
    if (reader->number <= reader->options.skip || reader_done(reader)) return true;
    return dataset_append(reader->dataset, &record, reader->options.zsre_target);
}

// Reads one JSON value at *at: a record, or an array of records.
static bool reader_value(struct reader *reader, const char **at)
{
    const char *stop = *at;
    cJSON *value = cJSON_ParseWithLengthOpts(*at, (size_t)(reader->end - *at), &stop, false);
    if (!value)
        return fail(STATUS_BAD_DATA, "%s, line %zu: malformed JSON at byte %zu", reader->path,
                    line_of(reader, stop), (size_t)(stop - reader->text));
    bool ok = true;
    if (cJSON_IsArray(value)) {
        for (const cJSON *item = value->child; item && ok; item = item->next)
            ok = reader_take(reader, item);
    } else if (cJSON_IsObject(value)) {
        ok = reader_take(reader, value);
    } else {
        ok = fail(STATUS_BAD_DATA, "%s, line %zu: a JSON value that is no record {...}",
                  reader->path, line_of(reader, *at));
    }
    cJSON_Delete(value);
    *at = stop;
    return ok;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
    return at;
}

bool dataset_open(struct dataset *dataset, const char *path, struct dataset_options options)
{
    *dataset = (struct dataset){0};
    char *text = NULL;
    size_t size = 0;
    if (!file_read(path, &text, &size)) return false;
    struct reader reader = {
        .path = path, .text = text, .end = text + size, .options = options, .dataset = dataset};
    const char *at = text;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) at += 3; // byte order mark
    bool ok = true;
    at = skip_blanks(at, reader.end);
    while (ok && at < reader.end && !reader_done(&reader)) {
        ok = reader_value(&reader, &at);
        at = skip_blanks(at, reader.end);
    }
    if (ok && reader.number == 0) ok = fail(STATUS_BAD_DATA, "%s has no records", path);
    if (ok && dataset->count == 0)
        ok = fail(STATUS_BAD_DATA, "%s has %zu records, wanted some after the first %zu", path,
                  reader.number, options.skip);
    if (!ok) dataset_free(dataset);
    free(text);
    return ok;
}

bool dataset_from_strings(struct dataset *dataset, const char *prompt, const char *subject,
                          const char *target_new)
{
    *dataset = (struct dataset){0};
    cJSON *object = cJSON_CreateObject();
    struct record record = {object, "the command line", 1};
    bool ok = object && cJSON_AddStringToObject(object, "prompt", prompt) &&
              cJSON_AddStringToObject(object, "subject", subject) &&
              cJSON_AddStringToObject(object, "target_new", target_new);
    if (!ok) fail(STATUS_NO_MEMORY, "out of host memory for a request");
    ok = ok && dataset_append(dataset, &record, ZSRE_ALT);
    cJSON_Delete(object);
    if (!ok) dataset_free(dataset);
    return ok;
}
