#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/opened.h"
#include "eval/task.h"

// A task's name means its file in --data; to be freed.
static char *path_of(const char *word, const char *folder)
{
    const struct task_form *form = task_form_named(word);
    if (!form) {
        if (access(word, F_OK) == 0) return mem_text(word, strlen(word), "a path");
        const char *names[TASK_FORMS];
        for (int i = 0; i < TASK_FORMS; i++) names[i] = task_forms[i].name;
        const char *nearest = options_nearest(word, names, TASK_FORMS);
        fail(STATUS_USAGE, "task: got '%s', wanted siqa, lambada, csqa, gsm8k or a file%s%s%s",
             word, nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
        return NULL;
    }
    size_t size = strlen(folder) + strlen(form->file) + 2;
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s/%s", folder, form->file);
    return path;
}

static void add_answer(cJSON *list, const struct task_item *item, const struct task_answer *a)
{
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "prompt", item->prompt);
    cJSON_AddStringToObject(row, "wanted", item->wanted);
    if (a->chosen >= 0)
        cJSON_AddStringToObject(row, "chosen", (const char[]){(char)('A' + a->chosen), '\0'});
    if (a->said) cJSON_AddStringToObject(row, "said", a->said);
    if (a->likelihoods) {
        cJSON *of = cJSON_AddArrayToObject(row, "likelihoods");
        for (uint32_t i = 0; i < (item->choices ? item->choices : 1); i++)
            json_push(of, a->likelihoods[i]);
    }
    cJSON_AddBoolToObject(row, "right", a->right);
    json_append(list, row);
}

static bool print(const struct task_items *items, const struct task_result *r,
                  const struct args *args, const char *path)
{
    const struct task_form *form = items->form;
    bool written = args->choose == CHOOSE_GENERATE || form->kind == TASK_NUMBER;
    if (!args->json) {
        printf("%s  %.2f%% +- %.2f  (%u of %u right", form->title, 100 * r->accuracy,
               100 * r->error, r->right, r->count);
        if (r->none) printf(", %u without an answer", r->none);
        printf(")\n");
        return true;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "task", form->name);
    cJSON_AddStringToObject(root, "file", path);
    cJSON_AddStringToObject(root, "choose", written ? "generate" : "likelihood");
    cJSON_AddNumberToObject(root, "n", r->count);
    cJSON_AddNumberToObject(root, "right", r->right);
    cJSON_AddNumberToObject(root, "none", r->none);
    cJSON_AddNumberToObject(root, "accuracy", r->accuracy);
    cJSON_AddNumberToObject(root, "error", r->error);
    cJSON *list = cJSON_AddArrayToObject(root, "items");
    for (uint32_t i = 0; i < r->count; i++) add_answer(list, &items->items[i], &r->answers[i]);
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

bool command_task(const struct args *args)
{
    struct opened o = {0};
    struct task_items items = {0};
    struct task_result result = {0};
    if (args->word_count != 1)
        return fail(STATUS_USAGE, "task: wanted one of siqa, lambada, csqa, gsm8k, or a file");
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    interrupt_watch();
    char *path = path_of(args->words[0], args->data ? args->data : ".");
    struct task_file_options which = {.skip = (size_t)args->skip, .limit = args->limit,
                                      .prompt = args->prompt};
    struct task_options how = {.choose = (enum task_choose)args->choose, .tokens = args->n};
    bool ok = path && task_items_open(&items, path, which) && opened_start(&o, args);
    double started = log_clock();
    ok = ok && task_run(&items, &o.model, &o.tokenizer, &how, &result);
    if (ok) log_detail("%.2f items/s", result.count / (log_clock() - started));
    ok = ok && print(&items, &result, args, path);
    task_result_free(&result);
    task_items_free(&items);
    free(path);
    return opened_end(&o, args, ok);
}
