#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/chosen.h"
#include "cli/commands.h"
#include "cli/experiment.h"
#include "cli/plan.h"
#include "cli/report.h"
#include "cli/settings.h"

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

// --data FILE, or the experiment's own file in the folder --data or here.
static bool data_open(struct experiment_work *w)
{
    const char *given = w->args->data, *own = w->file.data;
    const struct args *a = w->args;
    uint32_t limit = a->n ? a->n : w->file.count;
    if (!own && (!given || is_folder(given)))
        return fail(STATUS_USAGE, "--data: %s names no data, wanted a file of requests",
                    w->file.where);
    bool folder = given && is_folder(given);
    size_t size = strlen(given ? given : "") + strlen(own ? own : "") + 2;
    w->data_path = mem_new(size, 1, "a path");
    if (!w->data_path) return false;
    if (folder) snprintf(w->data_path, size, "%s/%s", given, own);
    else snprintf(w->data_path, size, "%s", given ? given : own);
    if (!file_there(w->data_path))
        return fail(STATUS_USAGE, "%s wants the requests of %s: --data FILE, or --data FOLDER that "
                                  "has it (%s is not there)", w->file.where, own ? own : given,
                    w->data_path);
    return dataset_open(&w->data, w->data_path,
                        (struct dataset_options){
                            .skip = (size_t)a->skip, .limit = limit,
                            .zsre_target = a->zsre_target ? ZSRE_ANSWERS : ZSRE_ALT}) &&
           (w->data.count || fail(STATUS_BAD_DATA, "%s: no requests", w->data_path));
}

// The file's list of numbers or words as the command line has it; NULL: none. The pool keeps it.
static bool list_text(const struct experiment *x, const char *name, cJSON *pool, const char **text)
{
    const cJSON *list = cJSON_GetObjectItem(x->root, name), *item;
    char joined[1024] = "";
    size_t length = 0;
    cJSON_ArrayForEach(item, list)
    {
        char word[64];
        if (cJSON_IsNumber(item)) snprintf(word, sizeof word, "%.15g", item->valuedouble);
        else if (cJSON_IsString(item)) snprintf(word, sizeof word, "%.60s", item->valuestring);
        else return fail(STATUS_BAD_DATA, "%s: '%s' wants a list", x->where, name);
        if (length + strlen(word) + 2 > sizeof joined)
            return fail(STATUS_BAD_DATA, "%s: '%s' is too long", x->where, name);
        length += (size_t)snprintf(joined + length, sizeof joined - length, "%s%s",
                                   length ? "," : "", word);
    }
    if (!length) return true;
    cJSON *copy = cJSON_CreateString(joined);
    if (!copy) return fail(STATUS_NO_MEMORY, "out of host memory for %s", x->where);
    json_append(pool, copy);
    *text = copy->valuestring;
    return true;
}

// Checkpoints, ascending, up to the last request; a file's that lie behind it are left out.
static bool checkpoints_read(struct experiment_work *w)
{
    const char *list = w->args->checkpoints;
    uint32_t *found = NULL, count = 0, last = (uint32_t)w->data.count, kept = 0;
    bool ok = (list || list_text(&w->file, "checkpoints", w->pool, &list)) &&
              checkpoints_parse(list, &found, &count) &&
              (w->checkpoints = mem_new(count + 1, sizeof *found, "checkpoints"));
    for (uint32_t i = 0; ok && i < count; i++) {
        if (found[i] > last && w->args->checkpoints)
            ok = fail(STATUS_USAGE, "--checkpoints: got %u, there are %u requests", found[i], last);
        if (found[i] > 0 && found[i] < last) w->checkpoints[kept++] = found[i];
    }
    if (ok) w->checkpoints[kept++] = last;
    w->checkpoint_count = kept;
    free(found);
    return ok;
}

static bool measures_read(struct experiment_work *w)
{
    struct args args = *w->args;
    enum { PPL_TOKENS = 4096 };
    return (args.measures || list_text(&w->file, "measures", w->pool, &args.measures)) &&
           measured_open(&w->measured, &args, &w->opened->tokenizer, args.ppl_text,
                         args.ppl_tokens ? args.ppl_tokens : PPL_TOKENS);
}

// What the model knew before any edit: asked once, kept for all runs.
static bool unedited(struct experiment_work *w)
{
    const struct measures *m = &w->measured.measures;
    uint32_t count = (uint32_t)w->data.count;
    struct history h = {.measures = *m};
    char *path = experiment_path(w->args, "unedited", ".json"), *text = NULL;
    cJSON *list = cJSON_CreateArray(), *tasks = cJSON_CreateObject();
    const cJSON *task;
    struct file_out out;
    bool ok = path && exam_new(&w->exam, &w->opened->tokenizer, w->data.requests, count) &&
              marks_new(&w->marks, count) && measures_unedited(m, &w->exam, &w->opened->model);
    if (ok && access(path, F_OK) != 0) {
        ok = measures_take(m, &w->exam, &w->opened->model, 0, count, &w->marks) &&
             tasks_measure(w, tasks);
        for (uint32_t i = 0; ok && i < w->checkpoint_count; i++) {
            w->marks.edits = 0;
            w->marks.first = 0;
            w->marks.count = w->checkpoints[i];
            cJSON *state = marks_json(&h, &w->marks, NULL);
            cJSON_ReplaceItemInObject(state, "edits", cJSON_CreateNumber(w->checkpoints[i]));
            cJSON_ArrayForEach(task, tasks)
                cJSON_AddNumberToObject(state, task->string, task->valuedouble);
            json_append(list, state);
        }
        ok = ok && (text = json_text(list, true, path)) && file_out_open(&out, path);
        if (ok) {
            ok = file_out_write(&out, text, strlen(text)) && file_out_write(&out, "\n", 1);
            ok = file_out_close(&out, ok) && ok;
        }
    }
    cJSON_free(text);
    cJSON_Delete(list);
    cJSON_Delete(tasks);
    free(path);
    return ok;
}

// What it answers to each prompt: answers.json.
static bool unedited_answers(struct experiment_work *w)
{
    struct opened *o = w->opened;
    if (!w->args->answers) return true;
    char *path = experiment_path(w->args, "answers", ".json"), *text = NULL;
    if (!path) return false;
    if (access(path, F_OK) == 0) {
        free(path);
        return answers_prompts(&w->answers, &o->tokenizer, &w->data);
    }
    cJSON *root = cJSON_CreateObject();
    struct file_out out;
    bool ok = answers_before(&w->answers, &o->model, &o->tokenizer, &w->data);
    if (ok)
        json_member(root, "before",
                              cJSON_CreateStringArray((const char **)w->answers.before,
                                                      (int)w->answers.count));
    ok = ok && (text = json_text(root, true, path)) && file_out_open(&out, path);
    if (ok) {
        ok = file_out_write(&out, text, strlen(text)) && file_out_write(&out, "\n", 1);
        ok = file_out_close(&out, ok) && ok;
    }
    cJSON_free(text);
    cJSON_Delete(root);
    free(path);
    return ok;
}

static bool out_open(const struct args *args)
{
    size_t size = strlen(args->out) + 2;
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s/", args->out);
    bool ok = path && file_make_folders(path);
    free(path);
    return ok;
}

bool experiment_after(const struct experiment *x, const struct args *args, const cJSON *manifest)
{
    struct outcomes outcomes = {0};
    bool ok = outcomes_read(&outcomes, args, manifest) && tables_write(&outcomes, args) &&
              charts_write(&outcomes, x, args) && (!args->report || report_of_folder(args->out));
    if (ok && args->json) ok = json_put(manifest, true);
    outcomes_free(&outcomes);
    return ok;
}

bool experiment_runs(struct experiment_work *w)
{
    const int stage = w->args->stage;
    cJSON *manifest = NULL;
    bool ok = out_open(w->args) && manifest_write(w, &manifest) && unedited(w) &&
              unedited_answers(w);
    for (uint32_t i = 0; ok && stage != STAGE_BEFORE && i < w->job_count; i++) {
        log_say("run %u of %u: %s", i + 1, w->job_count, w->jobs[i].id);
        ok = interrupt_check() && experiment_job(w, &w->jobs[i]);
    }
    if (ok && stage == STAGE_ALL) ok = experiment_after(&w->file, w->args, manifest);
    cJSON_Delete(manifest);
    return ok;
}

void experiment_end(struct experiment_work *w)
{
    for (uint32_t i = 0; i < w->job_count; i++) cJSON_Delete(w->jobs[i].settings);
    for (uint32_t i = 0; i < w->contexts.count; i++) free(w->contexts.texts[i]);
    free(w->contexts.texts);
    free(w->jobs);
    free(w->checkpoints);
    shelf_free(&w->shelf);
    tasks_close(w);
    free(w->data_path);
    marks_free(&w->marks);
    exam_free(&w->exam);
    answers_free(&w->answers);
    measured_free(&w->measured);
    dataset_free(&w->data);
    experiment_free(&w->file);
    cJSON_Delete(w->pool);
}

bool experiment_start(struct experiment_work *w, struct opened *o, const struct args *args,
                      const char *name)
{
    enum { SHELF_BYTES = 1 << 30 };
    *w = (struct experiment_work){.args = args, .opened = o, .pool = cJSON_CreateArray(),
                                  .shelf.limit = SHELF_BYTES};
    interrupt_watch();
    return experiment_open(&w->file, name) &&
           charts_check(cJSON_GetObjectItem(w->file.root, "charts"), w->file.where, &w->keys) &&
           data_open(w) && tasks_open(w) && checkpoints_read(w) && plan_start(o, args) &&
           measures_read(w) && experiment_plan(w);
}

// --stage after: of what the folder has, without a device.
static bool finish(const struct args *args, const char *name)
{
    struct experiment file;
    cJSON *manifest = NULL;
    bool ok = experiment_open(&file, name) && manifest_read(args, &manifest) &&
              experiment_after(&file, args, manifest);
    cJSON_Delete(manifest);
    experiment_free(&file);
    return ok;
}

bool command_experiment(const struct args *args)
{
    struct opened o = {0};
    struct experiment_work w = {0};
    struct chosen devices;
    const char *name = args->word_count ? args->words[0] : NULL;
    if (args->list) return experiment_list(name, args->json);
    if (args->word_count != 1)
        return fail(STATUS_USAGE, "experiment: wanted a name or a file (oedit experiment --list)");
    if (!args->out) return fail(STATUS_USAGE, "--out: wanted a folder for the results (-o FOLDER)");
    if (args->stage == STAGE_AFTER) return finish(args, name);
    if (!chosen_read(&devices, args)) return false;
    if (devices.count) return experiment_devices(args, &devices);
    bool ok = experiment_start(&w, &o, args, name) && experiment_runs(&w);
    experiment_end(&w);
    return opened_end(&o, args, ok);
}
