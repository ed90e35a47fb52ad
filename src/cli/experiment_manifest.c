// manifest.json: what the folder's results come from. Runs can be added to it, later or by another
// process' --only; all else must agree.
#define XXH_INLINE_ALL
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/experiment.h"

// A file's name without folders, and its bytes' hash.
static bool file_json(cJSON *root, const char *name, const char *path)
{
    struct file_map map;
    char hash[33];
    if (!path) {
        cJSON_AddNullToObject(root, name);
        return true;
    }
    if (!file_map_open(&map, path)) return false;
    XXH128_hash_t h = XXH3_128bits(map.data, map.size);
    file_map_close(&map);
    snprintf(hash, sizeof hash, "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    const char *base = strrchr(path, '/');
    cJSON *file = cJSON_AddObjectToObject(root, name);
    cJSON_AddStringToObject(file, "file", base ? base + 1 : path);
    cJSON_AddStringToObject(file, "hash", hash);
    return true;
}

static cJSON *run_entry(const struct job *job)
{
    cJSON *run = cJSON_CreateObject();
    cJSON_AddStringToObject(run, "id", job->id);
    cJSON_AddStringToObject(run, "name", job->run->name);
    cJSON_AddStringToObject(run, "label", job->run->label);
    if (job->run->group) cJSON_AddStringToObject(run, "group", job->run->group);
    json_member(run, "settings", cJSON_Duplicate(job->settings, true));
    return run;
}

static bool tasks_json(struct experiment_work *w, cJSON *root)
{
    cJSON *list = cJSON_AddArrayToObject(root, "tasks");
    for (uint32_t i = 0; i < w->task_count; i++) {
        cJSON *task = cJSON_CreateObject();
        json_append(list, task);
        cJSON_AddStringToObject(task, "name", w->tasks[i].items.form->name);
        cJSON_AddNumberToObject(task, "items", (double)w->tasks[i].items.count);
        cJSON_AddStringToObject(task, "choose", w->args->choose ? "generate" : "likelihood");
        if (!file_json(task, "file", w->tasks[i].path)) return false;
    }
    return true;
}

// What the experiment's file has under that name, for readers and reports.
static void copy(cJSON *root, const char *name, const cJSON *file)
{
    const cJSON *item = cJSON_GetObjectItem(file, name);
    if (item) json_member(root, name, cJSON_Duplicate(item, true));
}

static bool shared_json(struct experiment_work *w, cJSON *root)
{
    struct opened *o = w->opened;
    const char *base = strrchr(w->args->model, '/'), *hash = weights_hash(&o->weights);
    cJSON *model, *numbers, *measures;
    if (!hash) return false;
    cJSON_AddStringToObject(root, "experiment", w->file.name);
    cJSON_AddStringToObject(root, "title", w->file.title);
    copy(root, "about", w->file.root);
    copy(root, "charts", w->file.root);
    cJSON_AddStringToObject(root, "version", OEDIT_VERSION);
    cJSON_AddStringToObject(root, "device", o->dev.info.name);
    cJSON_AddStringToObject(root, "driver", o->dev.info.driver);
    cJSON_AddStringToObject(root, "precision", o->dev.strict ? "strict" : "fast");
    model = cJSON_AddObjectToObject(root, "model");
    cJSON_AddStringToObject(model, "file", base ? base + 1 : w->args->model);
    cJSON_AddStringToObject(model, "hash", hash);
    if (!file_json(root, "data", w->data_path) || !file_json(root, "text", w->args->text) ||
        !file_json(root, "ppl_text", w->args->ppl_text))
        return false;
    cJSON_AddNumberToObject(root, "tokens", w->args->tokens);
    cJSON_AddNumberToObject(root, "ppl_tokens", w->measured.measures.text_count);
    cJSON_AddNumberToObject(root, "skip", (double)w->args->skip);
    cJSON_AddStringToObject(root, "zsre_target", w->args->zsre_target ? "answers" : "alt");
    cJSON_AddNumberToObject(root, "count", (double)w->data.count);
    numbers = cJSON_AddArrayToObject(root, "checkpoints");
    for (uint32_t i = 0; i < w->checkpoint_count; i++)
        json_push(numbers, w->checkpoints[i]);
    measures = cJSON_AddArrayToObject(root, "measures");
    for (unsigned m = 0; m < MEASURES; m++)
        if (w->measured.measures.which >> m & 1)
            json_append(measures, cJSON_CreateString(measure_names[m]));
    if (w->args->answers) cJSON_AddTrueToObject(root, "answers");
    return tasks_json(w, root);
}

static bool differs(const char *path, const char *what, const cJSON *old, const cJSON *now)
{
    char *before = old ? cJSON_PrintUnformatted(old) : NULL,
         *after = now ? cJSON_PrintUnformatted(now) : NULL;
    fail(STATUS_USAGE, "%s: '%s' is %.120s there and %.120s here: another experiment, wanted "
                       "another folder", path, what, before ? before : "missing",
         after ? after : "missing");
    cJSON_free(before);
    cJSON_free(after);
    return false;
}

// What is only shown: other words or charts are no other experiment.
static bool words_only(const char *name)
{
    return !strcmp(name, "title") || !strcmp(name, "about") || !strcmp(name, "charts");
}

// Version and device may be others: journals warn of what follows from them.
static bool agrees(const char *path, const cJSON *old, const cJSON *now, bool strict)
{
    const cJSON *item, *answers = cJSON_GetObjectItem(old, "answers");
    if (answers && !cJSON_GetObjectItem(now, "answers"))
        return differs(path, "answers", answers, NULL);
    cJSON_ArrayForEach(item, now)
    {
        const char *name = item->string;
        const cJSON *before = cJSON_GetObjectItem(old, name);
        if (words_only(name) || strcmp(name, "runs") == 0) continue;
        if (cJSON_Compare(before, item, true)) continue;
        const bool device = !strcmp(name, "device") || !strcmp(name, "driver");
        if (!device && strcmp(name, "version")) return differs(path, name, before, item);
        if (device && strict) continue; // the same bits on each
        log_warn("%s: %s was '%s', is '%s': results may differ in their last bits", path, name,
                 cJSON_IsString(before) ? before->valuestring : "", item->valuestring);
    }
    return true;
}

static const cJSON *run_of(const cJSON *manifest, const char *id)
{
    const cJSON *run;
    cJSON_ArrayForEach(run, cJSON_GetObjectItem(manifest, "runs"))
    {
        const cJSON *name = cJSON_GetObjectItem(run, "id");
        if (cJSON_IsString(name) && strcmp(name->valuestring, id) == 0) return run;
    }
    return NULL;
}

static bool run_agrees(const char *path, const cJSON *old, const struct job *job)
{
    const cJSON *settings = cJSON_GetObjectItem(old, "settings"), *item;
    cJSON_ArrayForEach(item, job->settings)
    {
        const cJSON *before = cJSON_GetObjectItem(settings, item->string);
        char what[128];
        snprintf(what, sizeof what, "%.60s: %.60s", job->id, item->string);
        if (!cJSON_Compare(before, item, true)) return differs(path, what, before, item);
    }
    return true;
}

static const char *text_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static uint32_t place_of(const struct experiment *x, const cJSON *run)
{
    uint32_t i = 0;
    while (i < x->run_count && strcmp(x->runs[i].name, text_at(run, "name")) != 0) i++;
    return i;
}

// By the file's runs, then by seeds, whatever the order they were asked for in.
static bool behind(const struct experiment *x, const cJSON *a, const cJSON *b)
{
    uint32_t left = place_of(x, a), right = place_of(x, b);
    if (left != right) return left > right;
    int names = strcmp(text_at(a, "name"), text_at(b, "name"));
    if (names) return names > 0;
    return measure_of(cJSON_GetObjectItem(a, "settings"), "seed") >
           measure_of(cJSON_GetObjectItem(b, "settings"), "seed");
}

// Into its place among `count` entries. (cJSON 1.7.15 loses what it inserts amid an array.)
static void entry_add(const struct experiment *x, cJSON **entries, uint32_t *count, cJSON *run)
{
    uint32_t at = (*count)++;
    for (; at > 0 && behind(x, entries[at - 1], run); at--) entries[at] = entries[at - 1];
    entries[at] = run;
}

// Runs that are not asked for now, but were, keep their entries.
static bool runs_json(struct experiment_work *w, const char *path, const cJSON *old, cJSON *list)
{
    const cJSON *before = cJSON_GetObjectItem(old, "runs"), *run;
    uint32_t count = 0;
    cJSON **entries = mem_new(w->job_count + (size_t)cJSON_GetArraySize(before), sizeof *entries,
                              "a manifest");
    bool ok = entries != NULL;
    for (uint32_t i = 0; ok && i < w->job_count; i++) {
        const cJSON *same = run_of(old, w->jobs[i].id);
        ok = !same || run_agrees(path, same, &w->jobs[i]);
        if (ok) entry_add(&w->file, entries, &count, run_entry(&w->jobs[i]));
    }
    cJSON_ArrayForEach(run, before)
    {
        bool mine = !ok;
        for (uint32_t i = 0; !mine && i < w->job_count; i++)
            mine = strcmp(w->jobs[i].id, text_at(run, "id")) == 0;
        if (!mine) entry_add(&w->file, entries, &count, cJSON_Duplicate(run, true));
    }
    for (uint32_t i = 0; i < count; i++) json_append(list, entries[i]);
    free(entries);
    return ok;
}

static bool old_read(const char *path, cJSON **old)
{
    char *text = NULL;
    size_t size = 0;
    *old = NULL;
    if (access(path, F_OK) != 0) return true;
    bool ok = file_read(path, &text, &size);
    if (ok && !cJSON_IsObject(*old = cJSON_Parse(text)))
        ok = fail(STATUS_BAD_DATA, "%s: not a manifest of an experiment", path);
    free(text);
    return ok;
}

bool manifest_read(const struct args *args, cJSON **manifest)
{
    char *path = experiment_path(args, "manifest", ".json");
    bool ok = path && old_read(path, manifest);
    if (ok && !*manifest)
        ok = fail(STATUS_USAGE, "%s: there is none, wanted the folder of an experiment", path);
    free(path);
    return ok;
}

// Other processes make runs in this folder, too: what agrees is left as it is.
static bool all_there(const struct experiment_work *w, const cJSON *old)
{
    bool there = old && w->args->stage == STAGE_RUNS;
    for (uint32_t i = 0; there && i < w->job_count; i++) there = run_of(old, w->jobs[i].id);
    return there;
}

bool manifest_write(struct experiment_work *w, cJSON **manifest)
{
    char *path = experiment_path(w->args, "manifest", ".json"), *text = NULL;
    cJSON *old = NULL, *now = cJSON_CreateObject();
    struct file_out out;
    bool ok = path && old_read(path, &old) && shared_json(w, now) &&
              (!old || agrees(path, old, now, w->opened->dev.strict)) &&
              runs_json(w, path, old, cJSON_AddArrayToObject(now, "runs"));
    if (ok && !all_there(w, old)) {
        ok = (text = json_text(now, true, "the manifest")) && file_out_open(&out, path);
        if (ok) {
            ok = file_out_write(&out, text, strlen(text)) && file_out_write(&out, "\n", 1);
            ok = file_out_close(&out, ok) && ok;
        }
    }
    cJSON_free(text);
    cJSON_Delete(old);
    free(path);
    if (ok) *manifest = now;
    else cJSON_Delete(now);
    return ok;
}
