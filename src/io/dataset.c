#include "io/dataset.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/records.h"

static bool text_copy(char **copy, const char *text)
{
    *copy = mem_text(text, strlen(text), "a request");
    return *copy != NULL;
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

// A text that is not blank; the key may be missing: *text stays NULL.
static bool text_maybe(const struct record *record, const cJSON *object, const char *key,
                       char **text)
{
    return !record_member(object, key) || record_text(record, object, key, text);
}

// An answer may be blank: it is not known then. A prompt may not.
enum blank { BLANK_REFUSED, BLANK_TAKEN };

// A text, or an array of texts, or nothing.
static bool list_maybe(const struct record *record, const cJSON *object, const char *key,
                       enum blank blank, struct text_list *list)
{
    const cJSON *value = record_member(object, key);
    if (!value) return true;
    size_t count = cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : 1;
    list->items = mem_new(count, sizeof *list->items, "a request");
    if (!list->items) return false;
    const cJSON *item = cJSON_IsArray(value) ? value->child : value;
    for (size_t i = 0; i < count; i++, item = item->next) {
        if (!cJSON_IsString(item))
            return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is neither a text nor texts",
                        record->path, record->number, key);
        if (blank == BLANK_REFUSED && text_blank(item->valuestring))
            return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" has an empty text", record->path,
                        record->number, key);
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
    return record_text(record, object, "prompt", &request->prompt) &&
           record_text(record, object, "subject", &request->subject) &&
           record_text(record, object, "target_new", &request->target_new) &&
           text_maybe(record, object, "ground_truth", &request->target_true) &&
           list_maybe(record, object, "rephrase_prompt", BLANK_REFUSED, &request->rephrases) &&
           list_maybe(record, object, "locality_prompt", BLANK_REFUSED, &request->localities) &&
           list_maybe(record, object, "locality_ground_truth", BLANK_TAKEN,
                      &request->locality_truths) &&
           subject_find(record, request);
}

// The text of {"str": ...}.
static bool rome_target(const struct record *record, const cJSON *rewrite, const char *key,
                        char **text)
{
    const cJSON *target = record_member(rewrite, key);
    if (!target)
        return fail(STATUS_BAD_DATA, "%s, record %zu: key \"%s\" is missing", record->path,
                    record->number, key);
    const cJSON *value = record_member(target, "str");
    if (cJSON_IsString(value) && text_blank(value->valuestring))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is empty", record->path,
                    record->number, key);
    return record_text(record, target, "str", text);
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
    const cJSON *rewrite = record_member(record->object, "requested_rewrite");
    return record_text(record, rewrite, "prompt", &request->prompt) &&
           record_text(record, rewrite, "subject", &request->subject) &&
           rome_target(record, rewrite, "target_new", &request->target_new) &&
           (!record_member(rewrite, "target_true") ||
            rome_target(record, rewrite, "target_true", &request->target_true)) &&
           list_maybe(record, record->object, "paraphrase_prompts", BLANK_REFUSED,
                      &request->rephrases) &&
           list_maybe(record, record->object, "neighborhood_prompts", BLANK_REFUSED,
                      &request->localities) &&
           list_maybe(record, record->object, "generation_prompts", BLANK_REFUSED,
                      &request->generations) &&
           rome_truths(request) && prompt_fill(record, request);
}

// `loc` starts with "nq question: ", and EasyEdit asks it so, as it stands: no question mark is
// added (ROME's own reader adds one), nothing is capitalised.
static bool zsre_read(const struct record *record, struct request *request, enum zsre_target target)
{
    const cJSON *object = record->object, *answers = record_member(object, "answers");
    const cJSON *answer = cJSON_IsArray(answers) ? answers->child : NULL;
    bool has_answer = cJSON_IsString(answer) && !text_blank(answer->valuestring);
    if (target == ZSRE_ANSWERS && !has_answer)
        return fail(STATUS_BAD_DATA, "%s, record %zu: key \"answers\" is missing or has no text",
                    record->path, record->number);
    bool ok = record_text(record, object, "src", &request->prompt) &&
              record_text(record, object, "subject", &request->subject);
    if (target == ZSRE_ANSWERS)
        ok = ok && text_copy(&request->target_new, answer->valuestring);
    else
        ok = ok && record_text(record, object, "alt", &request->target_new) &&
             (!has_answer || text_copy(&request->target_true, answer->valuestring));
    return ok && list_maybe(record, object, "rephrase", BLANK_REFUSED, &request->rephrases) &&
           list_maybe(record, object, "loc", BLANK_REFUSED, &request->localities) &&
           list_maybe(record, object, "loc_ans", BLANK_TAKEN, &request->locality_truths) &&
           subject_find(record, request);
}

static bool request_read(const struct record *record, struct request *request,
                         enum zsre_target target)
{
    const cJSON *object = record->object, *number = record_member(object, "case_id");
    if (!cJSON_IsObject(object))
        return fail(STATUS_BAD_DATA, "%s, record %zu: no object {...}", record->path,
                    record->number);
    request->id = cJSON_IsNumber(number) && number->valuedouble >= 0 && number->valuedouble < 1e15
                      ? (int64_t)number->valuedouble
                      : (int64_t)record->number - 1;
    bool ok;
    if (record_member(object, "requested_rewrite"))
        ok = rome_read(record, request);
    else if (record_member(object, "src"))
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

// A dataset under way.
struct filling {
    struct dataset *dataset;
    enum zsre_target zsre_target;
};

static bool filling_take(void *user, const struct record *record)
{
    struct filling *filling = user;
    return dataset_append(filling->dataset, record, filling->zsre_target);
}

bool dataset_open(struct dataset *dataset, const char *path, struct dataset_options options)
{
    *dataset = (struct dataset){0};
    struct filling filling = {dataset, options.zsre_target};
    struct records_options which = {options.skip, options.limit};
    bool ok = records_read(path, which, filling_take, &filling);
    if (!ok) dataset_free(dataset);
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
