#include "io/task_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/records.h"

// Table 8's "{question}" of SIQA has the context in it: without, nothing could be answered.
const struct task_form task_forms[TASK_FORMS] = {
    {"siqa", "siqa_dev.jsonl", "SIQA", "options", "{context} {question} {choices} Answer:",
     TASK_CHOICE, 8},
    {"lambada", "lambada_test.jsonl", "LAMBADA", "text",
     "Please complete the following sentence: {sentence}", TASK_WORD, 8},
    {"csqa", "csqa_dev.jsonl", "CommonsenseQA", "choices", "{question} {choices} Answer:",
     TASK_CHOICE, 8},
    {"gsm8k", "gsm8k_test.jsonl", "GSM8K", "answer",
     "Question: {question} Let's think step by step. Answer:", TASK_NUMBER, 256},
};

const struct task_form *task_form_named(const char *name)
{
    for (size_t i = 0; i < TASK_FORMS; i++)
        if (strcmp(task_forms[i].name, name) == 0) return &task_forms[i];
    return NULL;
}

// What a prompt is made from.
struct fields {
    const char *question, *context, *sentence; // NULL: the form has none
    const char *choices[TASK_CHOICES_MAX];
    uint32_t count;
};

// A text that grows.
struct line {
    char *text;
    size_t size, capacity;
};

static bool line_add(struct line *line, const char *text, size_t size)
{
    if (!mem_grow(&line->text, &line->capacity, line->size + size + 1, 1, "a prompt")) return false;
    memcpy(line->text + line->size, text, size);
    line->size += size;
    line->text[line->size] = '\0';
    return true;
}

static bool add_choices(struct line *line, const struct fields *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        const char letter[] = {' ', (char)('A' + i), '.', ' '};
        size_t skip = i ? 0 : 1; // no blank before the first
        if (!line_add(line, letter + skip, sizeof letter - skip) ||
            !line_add(line, f->choices[i], strlen(f->choices[i])))
            return false;
    }
    return true;
}

// What stands for the name of `size` bytes between braces; NULL: nothing of this record.
static const char *field(const struct fields *f, const char *name, size_t size)
{
    const struct {
        const char *name, *value;
    } texts[] = {{"question", f->question}, {"context", f->context}, {"sentence", f->sentence}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strlen(texts[i].name) == size && memcmp(texts[i].name, name, size) == 0)
            return texts[i].value;
    unsigned letter = (unsigned)(name[0] - 'A');
    return size == 1 && letter < f->count ? f->choices[letter] : NULL;
}

// The template with the record's fields in it.
static bool prompt_make(const struct record *record, const char *from, const struct fields *f,
                        char **prompt)
{
    struct line line = {0};
    bool ok = line_add(&line, "", 0);
    while (ok && *from) {
        size_t plain = strcspn(from, "{"), size = from[plain] ? strcspn(from + plain, "}") : 0;
        const char *name = from + plain + 1;
        ok = line_add(&line, from, plain);
        if (!ok || !from[plain]) break;
        if (!from[plain + size])
            ok = fail(STATUS_USAGE, "--prompt: a { without its } in '%s'", from);
        else if (size == 8 && memcmp(name, "choices", 7) == 0 && f->count)
            ok = add_choices(&line, f);
        else if (field(f, name, size - 1))
            ok = line_add(&line, field(f, name, size - 1), strlen(field(f, name, size - 1)));
        else
            ok = fail(STATUS_USAGE, "%s, record %zu: the prompt wants {%.*s}, which it has not",
                      record->path, record->number, (int)(size - 1), name);
        from += plain + size + 1;
    }
    if (ok) *prompt = line.text;
    else free(line.text);
    return ok;
}

// object[key]: 2 to 26 texts.
static bool choices_read(const struct record *record, const cJSON *list, const char *key,
                         struct fields *f)
{
    int count = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
    if (count < 2 || count > TASK_CHOICES_MAX)
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" has %d texts, wanted 2 to %d",
                    record->path, record->number, key, count, TASK_CHOICES_MAX);
    for (const cJSON *item = list->child; item; item = item->next) {
        if (!cJSON_IsString(item) || text_blank(item->valuestring))
            return fail(STATUS_BAD_DATA, "%s, record %zu: choice %u of \"%s\" is no text",
                        record->path, record->number, f->count + 1, key);
        f->choices[f->count++] = item->valuestring;
    }
    return true;
}

static bool letter_set(struct task_item *item)
{
    unsigned letter = 0;
    while (!(item->right >> letter & 1)) letter++;
    item->wanted = mem_text(&(char){(char)('A' + letter)}, 1, "a record");
    return item->wanted != NULL;
}

// {context, question, options: [...], answer: one of them}
static bool siqa_read(const struct record *record, struct task_item *item, struct fields *f)
{
    const cJSON *options = record_member(record->object, "options");
    char *answer = NULL;
    bool ok = choices_read(record, options, "options", f) &&
              record_text(record, record->object, "answer", &answer);
    for (uint32_t i = 0; ok && i < f->count; i++)
        if (strcmp(f->choices[i], answer) == 0) item->right |= 1u << i;
    item->choices = f->count;
    if (ok && !item->right)
        ok = fail(STATUS_BAD_DATA, "%s, record %zu: \"answer\" is none of \"options\": '%s'",
                  record->path, record->number, answer);
    free(answer);
    return ok && letter_set(item);
}

// {question, choices: {label: [...], text: [...]}, answerKey}
static bool csqa_read(const struct record *record, struct task_item *item, struct fields *f)
{
    const cJSON *choices = record_member(record->object, "choices");
    const cJSON *labels = record_member(choices, "label");
    char *answer = NULL;
    bool ok = choices_read(record, record_member(choices, "text"), "text", f);
    if (ok && (!cJSON_IsArray(labels) || cJSON_GetArraySize(labels) != (int)f->count))
        ok = fail(STATUS_BAD_DATA, "%s, record %zu: \"label\" has not %u letters, as \"text\" has",
                  record->path, record->number, f->count);
    ok = ok && record_text(record, record->object, "answerKey", &answer);
    const cJSON *label = ok ? labels->child : NULL;
    for (uint32_t i = 0; label; i++, label = label->next)
        if (cJSON_IsString(label) && strcmp(label->valuestring, answer) == 0)
            item->right |= 1u << i;
    item->choices = f->count;
    if (ok && !item->right)
        ok = fail(STATUS_BAD_DATA, "%s, record %zu: \"answerKey\" is none of \"label\": '%s'",
                  record->path, record->number, answer);
    free(answer);
    return ok && letter_set(item);
}

// {text}: its last word is wanted. *sentence: what stands before, to be freed.
static bool lambada_read(const struct record *record, struct task_item *item, char **sentence)
{
    if (!record_text(record, record->object, "text", sentence)) return false;
    char *text = *sentence;
    size_t end = strlen(text), start;
    while (end && isspace((unsigned char)text[end - 1])) end--;
    for (start = end; start && !isspace((unsigned char)text[start - 1]);) start--;
    size_t before = start;
    while (before && isspace((unsigned char)text[before - 1])) before--;
    if (before == 0)
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"text\" is one word, wanted some before it",
                    record->path, record->number);
    item->wanted = mem_text(text + start, end - start, "a record");
    text[before] = '\0';
    return item->wanted != NULL;
}

// {question, answer: "... #### 42"}
static bool gsm8k_read(const struct record *record, struct task_item *item)
{
    if (!record_text(record, record->object, "answer", &item->wanted)) return false;
    char *mark = strstr(item->wanted, "####"), *number = mark ? mark + 4 : item->wanted;
    number += strspn(number, " \t\r\n");
    memmove(item->wanted, number, strlen(number) + 1);
    if (!number_last(item->wanted, strlen(item->wanted), &item->number))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"answer\" has no number behind ####: "
                                     "'%.80s'", record->path, record->number, item->wanted);
    return true;
}

static const struct task_form *form_of(const struct record *record)
{
    for (size_t i = 0; i < TASK_FORMS; i++)
        if (record_member(record->object, task_forms[i].key)) return &task_forms[i];
    fail(STATUS_BAD_DATA, "%s, record %zu: no task's record: none of the keys \"options\", "
                          "\"text\", \"choices\", \"answer\"", record->path, record->number);
    return NULL;
}

// A file under way.
struct reading {
    struct task_items *items;
    const char *prompt;
};

static bool item_read(const struct record *record, const struct task_form *form,
                      const char *prompt, struct task_item *item)
{
    struct fields f = {0};
    char *question = NULL, *context = NULL, *sentence = NULL;
    bool asks = form->kind != TASK_WORD, siqa = strcmp(form->name, "siqa") == 0;
    bool ok = (!asks || record_text(record, record->object, "question", &question)) &&
              (!siqa || record_text(record, record->object, "context", &context));
    if (ok && form->kind == TASK_CHOICE)
        ok = siqa ? siqa_read(record, item, &f) : csqa_read(record, item, &f);
    else if (ok)
        ok = asks ? gsm8k_read(record, item) : lambada_read(record, item, &sentence);
    f.question = question;
    f.context = context;
    f.sentence = sentence;
    ok = ok && prompt_make(record, prompt ? prompt : form->prompt, &f, &item->prompt);
    free(question);
    free(context);
    free(sentence);
    return ok;
}

static bool reading_take(void *user, const struct record *record)
{
    struct reading *r = user;
    struct task_items *t = r->items;
    if (!cJSON_IsObject(record->object))
        return fail(STATUS_BAD_DATA, "%s, record %zu: no object {...}", record->path,
                    record->number);
    if (!t->form && !(t->form = form_of(record))) return false;
    if (!mem_grow(&t->items, &t->capacity, t->count + 1, sizeof *t->items, "items")) return false;
    struct task_item *item = &t->items[t->count++];
    *item = (struct task_item){0};
    return item_read(record, t->form, r->prompt, item);
}

bool task_items_open(struct task_items *items, const char *path, struct task_file_options options)
{
    *items = (struct task_items){0};
    struct reading reading = {items, options.prompt};
    bool ok = records_read(path, (struct records_options){options.skip, options.limit},
                           reading_take, &reading);
    if (!ok) task_items_free(items);
    return ok;
}

void task_items_free(struct task_items *items)
{
    for (size_t i = 0; i < items->count; i++) {
        free(items->items[i].prompt);
        free(items->items[i].wanted);
    }
    free(items->items);
    *items = (struct task_items){0};
}
