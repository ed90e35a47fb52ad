// Downstream tasks at the checkpoints of an experiment (O-Edit Fig. 3).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/experiment.h"
#include "cli/opened.h"

// A name that is none.
static bool task_unknown(const struct experiment *x, const char *said)
{
    const char *names[TASK_FORMS];
    for (int i = 0; i < TASK_FORMS; i++) names[i] = task_forms[i].name;
    const char *nearest = options_nearest(said, names, TASK_FORMS);
    return fail(STATUS_BAD_DATA, "%s: there is no task '%s'%s%s%s", x->where, said,
                nearest ? "; did you mean " : ", wanted siqa, lambada, csqa or gsm8k",
                nearest ? nearest : "", nearest ? "?" : "");
}

// The task's file in the folder of the requests.
static bool file_open(struct experiment_work *w, const struct task_form *form,
                      struct experiment_task *task)
{
    const char *slash = strrchr(w->data_path, '/');
    size_t folder = slash ? (size_t)(slash - w->data_path) + 1 : 0;
    size_t size = folder + strlen(form->file) + 1;
    task->path = mem_new(size, 1, "a path");
    if (!task->path) return false;
    snprintf(task->path, size, "%.*s%s", (int)folder, w->data_path, form->file);
    if (access(task->path, F_OK) != 0)
        return fail(STATUS_USAGE, "%s: task %s wants the file %s beside the requests",
                    w->file.where, form->name, task->path);
    return task_items_open(&task->items, task->path,
                           (struct task_file_options){.limit = w->args->limit});
}

bool tasks_open(struct experiment_work *w)
{
    const cJSON *list = cJSON_GetObjectItem(w->file.root, "tasks"), *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *said = cJSON_IsString(item) ? item->valuestring : "";
        const struct task_form *form = task_form_named(said);
        if (!form) return task_unknown(&w->file, said);
        if (w->task_count == TASK_FORMS)
            return fail(STATUS_BAD_DATA, "%s: more than %d 'tasks'", w->file.where, TASK_FORMS);
        if (!file_open(w, form, &w->tasks[w->task_count++])) return false;
    }
    return true;
}

void tasks_close(struct experiment_work *w)
{
    for (uint32_t i = 0; i < w->task_count; i++) {
        task_items_free(&w->tasks[i].items);
        free(w->tasks[i].path);
    }
    w->task_count = 0;
}

bool tasks_measure(struct experiment_work *w, cJSON *state)
{
    struct task_options how = {.choose = (enum task_choose)w->args->choose};
    bool ok = true;
    for (uint32_t i = 0; ok && i < w->task_count; i++) {
        struct task_result result = {0};
        struct task_items *items = &w->tasks[i].items;
        ok = task_run(items, &w->opened->model, &w->opened->tokenizer, &how, &result);
        if (ok) cJSON_AddNumberToObject(state, items->form->name, result.accuracy);
        task_result_free(&result);
    }
    return ok;
}
