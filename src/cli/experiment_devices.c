// The parent of `oedit experiment --device 0,1`: it opens no device itself. One worker makes what
// comes before the runs, then each run is a worker's, then tables and charts are made here, of
// files.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/experiment.h"
#include "cli/workers.h"

// Edits that the run has, of its lines.
static void reached(void *user, const struct task *task, char *text, size_t size)
{
    const struct args *args = user;
    char *path = experiment_path(args, task->id, ".jsonl");
    FILE *file = path ? fopen(path, "rb") : NULL;
    unsigned lines = 0;
    for (int c; file && (c = getc(file)) != EOF;) lines += c == '\n';
    if (lines > 1) snprintf(text, size, "edit %u", lines - 1);
    if (file) fclose(file);
    free(path);
}

static bool before(const struct args *args, const struct chosen *devices)
{
    struct task task = {.id = "before the runs", .words = {"--stage", "before"}};
    struct workers workers = {.args = args, .devices = devices, .tasks = &task, .count = 1,
                              .what = "worker"};
    return workers_run(&workers);
}

// A task a job; one that is to match another comes behind that.
static bool runs(struct experiment_work *w, const struct chosen *devices)
{
    struct task *tasks = mem_new(w->job_count, sizeof *tasks, "runs");
    struct workers workers = {.args = w->args, .devices = devices, .tasks = tasks,
                              .count = w->job_count, .what = "run", .progress = reached,
                              .user = (void *)(uintptr_t)w->args};
    for (uint32_t i = 0; tasks && i < w->job_count; i++) {
        const struct job *job = &w->jobs[i];
        const char *seed = strrchr(job->id, '.') + strlen(".seed"); // NAME.seedS
        tasks[i] = (struct task){.id = job->id,
                                 .words = {"--stage", "runs", "--only", job->run->name, "--seeds",
                                           seed}};
        for (uint32_t k = 0; job->match[0] && k < w->job_count; k++)
            if (strcmp(w->jobs[k].id, job->match) == 0) tasks[i].after = &tasks[k];
    }
    bool ok = tasks && workers_run(&workers);
    free(tasks);
    return ok;
}

// Also of what there is where runs have failed, whose failure then is told.
static bool after(const struct experiment_work *w, bool ok)
{
    char said[1024];
    cJSON *manifest = NULL;
    const enum status code = status_code();
    snprintf(said, sizeof said, "%s", status_message());
    if (code == STATUS_INTERRUPTED) return false;
    status_clear();
    bool made = manifest_read(w->args, &manifest) &&
                experiment_after(&w->file, w->args, manifest);
    cJSON_Delete(manifest);
    if (ok) return made;
    status_clear();
    return fail(code, "%s", said);
}

bool experiment_devices(const struct args *args, const struct chosen *devices)
{
    struct experiment_work w = {.args = args, .pool = cJSON_CreateArray()};
    if (args->stage != STAGE_ALL)
        return fail(STATUS_USAGE, "--stage: wanted one device, got %u", devices->count);
    bool ok = experiment_open(&w.file, args->words[0]) && experiment_plan(&w) &&
              before(args, devices);
    if (ok) ok = after(&w, runs(&w, devices));
    if (!ok && status_code() == STATUS_INTERRUPTED)
        log_say("what is done is kept; the same command goes on behind it");
    experiment_end(&w);
    return ok;
}
