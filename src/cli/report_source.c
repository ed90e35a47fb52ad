#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/edit_run.h"
#include "cli/report.h"

const char *report_text(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

const struct outcome *report_run(const struct report *r, uint32_t i)
{
    const struct outcomes *o = &r->outcomes;
    if (i < o->count) return &o->items[i];
    return i - o->count < o->unfinished ? &o->partial[i - o->count] : NULL;
}

uint32_t report_done(const struct outcome *x)
{
    int lines = cJSON_GetArraySize(x->lines);
    return lines > 0 ? (uint32_t)lines - 1 : 0;
}

const cJSON *report_settings(const struct outcome *x)
{
    const cJSON *all = cJSON_GetObjectItem(cJSON_GetArrayItem(x->lines, 0), "settings");
    return cJSON_IsObject(all) ? all : x->settings;
}

double report_seed(const struct outcome *x)
{
    return measure_of(report_settings(x), "seed");
}

double report_seconds(const struct report *r, const struct outcome *x)
{
    const cJSON *line;
    double sum = 0;
    uint32_t count = 0;
    cJSON_ArrayForEach(line, r->times)
    {
        double ms = measure_of(line, "edit_ms");
        if (!isfinite(ms) || strcmp(report_text(line, "run"), x->id) != 0) continue;
        sum += ms / 1e3;
        count++;
    }
    return count ? sum / count : NAN;
}

void report_free(struct report *r)
{
    outcomes_free(&r->outcomes);
    journal_free(&r->journal);
    cJSON_Delete(r->manifest);
    cJSON_Delete(r->answers);
    cJSON_Delete(r->times);
    free(r->requests);
    *r = (struct report){0};
}

// The run that has most edits knows most requests: all runs have the same.
static const struct outcome *longest(const struct report *r)
{
    const struct outcome *best = NULL, *x;
    for (uint32_t i = 0; (x = report_run(r, i)); i++)
        if (!best || report_done(x) > report_done(best)) best = x;
    return best;
}

static bool requests_fill(struct report *r, const struct outcome *x)
{
    const cJSON *line = x ? cJSON_GetArrayItem(x->lines, 0) : NULL;
    const cJSON *before = r->answers ? r->answers->child : NULL;
    uint32_t count = x ? report_done(x) : 0;
    r->requests = mem_new(count, sizeof *r->requests, "requests");
    if (!r->requests) return false;
    for (uint32_t i = 0; i < count && line && (line = line->next); i++) {
        struct report_request *q = &r->requests[i];
        q->prompt = report_text(line, "prompt");
        q->subject = report_text(line, "subject");
        q->target = report_text(line, "target");
        if (cJSON_IsString(before)) q->before = before->valuestring;
        if (before) before = before->next;
        r->request_count = i + 1;
    }
    for (size_t i = 0; i < r->journal.edit_count && i < r->request_count; i++) {
        const struct request *from = &r->journal.edits[i].request;
        if (strcmp(from->prompt, r->requests[i].prompt) == 0)
            r->requests[i].truth = from->target_true;
    }
    return true;
}

// Lines of times.jsonl. Nothing of what is reported hangs on it: a torn line is left out.
static bool times_read(struct report *r)
{
    char *path = experiment_path(&r->args, "times", ".jsonl"), *text = NULL;
    size_t size = 0;
    bool ok = path != NULL;
    if (ok && access(path, F_OK) == 0 && (ok = file_read(path, &text, &size))) {
        r->times = cJSON_CreateArray();
        for (char *at = text, *stop; (stop = strchr(at, '\n')); at = stop + 1) {
            *stop = '\0';
            cJSON *line = cJSON_Parse(at);
            if (line) json_append(r->times, line);
        }
    }
    free(text);
    free(path);
    return ok;
}

// The journal of a run has what its lines leave out: the answers before. The page goes without
// them where it cannot be read.
static void journal_read(struct report *r, const struct outcome *x)
{
    char *path = x ? experiment_path(&r->args, x->id, ".journal") : NULL;
    if (path && access(path, F_OK) == 0 && !journal_open(&r->journal, path, true)) {
        log_warn("%s: without former answers", status_message());
        status_clear();
    }
    free(path);
}

static bool manifest_check(const cJSON *m, const char *path)
{
    const cJSON *count = cJSON_GetObjectItem(m, "count"), *item;
    if (!cJSON_IsArray(cJSON_GetObjectItem(m, "runs")) || !cJSON_IsNumber(count) ||
        !(count->valuedouble >= 0 && count->valuedouble <= 1e9))
        return fail(STATUS_BAD_DATA, "%s: no manifest of an experiment, wanted 'runs' and 'count'",
                    path);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(m, "measures"))
        if (!cJSON_IsString(item))
            return fail(STATUS_BAD_DATA, "%s: 'measures' wants a list of names", path);
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(m, "runs"))
    {
        const char *id = report_text(item, "id");
        if (!*id || strchr(id, '/'))
            return fail(STATUS_BAD_DATA, "%s: a run's id is '%.60s', wanted a name", path, id);
    }
    return true;
}

static bool answers_read(struct report *r)
{
    char *path = experiment_path(&r->args, "answers", ".json");
    cJSON *root = NULL;
    bool ok = path && (access(path, F_OK) != 0 || (root = json_file(path)) != NULL);
    if (root) r->answers = cJSON_DetachItemFromObject(root, "before");
    cJSON_Delete(root);
    free(path);
    return ok;
}

bool report_folder(struct report *r, const char *folder)
{
    r->what = folder;
    r->args = args_default();
    r->args.out = folder;
    char *path = experiment_path(&r->args, "manifest", ".json");
    bool ok = path != NULL;
    if (ok && access(path, F_OK) != 0)
        ok = fail(STATUS_BAD_DATA, "%s: no manifest.json in it, wanted a folder of oedit "
                                   "experiment, or a journal", folder);
    ok = ok && (r->manifest = json_file(path)) && manifest_check(r->manifest, path) &&
         outcomes_read(&r->outcomes, &r->args, r->manifest) && times_read(r) && answers_read(r);
    if (ok) journal_read(r, longest(r));
    ok = ok && requests_fill(r, longest(r));
    free(path);
    if (!ok) report_free(r);
    return ok;
}

// ---- a journal as an experiment of one run ----

static void copy_text(cJSON *to, const char *name, const cJSON *from, const char *old)
{
    cJSON_AddStringToObject(to, name, report_text(from, old));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

// What was measured, by the names in the immediate scores.
static void measures_name(cJSON *manifest, const cJSON *measures)
{
    cJSON *list = cJSON_AddArrayToObject(manifest, "measures");
    const cJSON *last = cJSON_GetObjectItem(measures, "checkpoints");
    last = cJSON_GetArrayItem(last, cJSON_GetArraySize(last) - 1);
    for (unsigned m = 0; m < MEASURES; m++)
        if (cJSON_HasObjectItem(last, measure_names[m]))
            json_append(list, cJSON_CreateString(measure_names[m]));
}

static void journal_manifest(struct report *r, const cJSON *settings, const cJSON *measures)
{
    cJSON *m = r->manifest = cJSON_CreateObject(), *model, *run;
    const char *name = base_name(r->what);
    cJSON_AddStringToObject(m, "title", name);
    copy_text(m, "version", settings, "version");
    copy_text(m, "device", settings, "device");
    copy_text(m, "driver", settings, "driver");
    copy_text(m, "precision", settings, "precision");
    model = cJSON_AddObjectToObject(m, "model");
    copy_text(model, "hash", settings, "model");
    cJSON_AddNumberToObject(m, "count", (double)r->journal.edit_count);
    measures_name(m, measures);
    run = cJSON_CreateObject();
    json_append(cJSON_AddArrayToObject(m, "runs"), run);
    cJSON_AddStringToObject(run, "id", name);
    cJSON_AddStringToObject(run, "name", name);
    cJSON_AddStringToObject(run, "label", name);
}

// A line an edit, with what the run's file has of it; reverted edits were not measured.
static void journal_lines(const struct report *r, cJSON *lines, const cJSON *measures)
{
    const cJSON *records = cJSON_GetObjectItem(cJSON_GetObjectItem(measures, "immediate"),
                                               "records");
    const cJSON *record = records ? records->child : NULL;
    for (size_t i = 0; i < r->journal.edit_count; i++) {
        cJSON *line = edit_json(&r->journal.edits[i]);
        if (record && !r->journal.edits[i].reverted) {
            json_member(line, "right_after", cJSON_Duplicate(record, true));
            record = record->next;
        }
        json_append(lines, line);
    }
}

// The states of the edited model, and beside each the unedited one's where it was asked as much.
static bool journal_states(struct report *r, struct outcome *x, const cJSON *measures)
{
    const cJSON *states = cJSON_GetObjectItem(measures, "checkpoints"), *state, *zero = NULL;
    r->outcomes.unedited = cJSON_CreateArray();
    x->states = mem_new((size_t)cJSON_GetArraySize(states), sizeof *x->states, "results");
    if (!x->states) return false;
    cJSON_ArrayForEach(state, states)
    {
        double edits = measure_of(state, "edits");
        if (edits == 0) zero = state;
        if (!(edits > 0)) continue;
        bool same = zero && measure_of(zero, "n") == edits;
        cJSON *before = same ? cJSON_Duplicate(zero, true) : cJSON_CreateObject();
        cJSON_DeleteItemFromObject(before, "edits");
        cJSON_AddNumberToObject(before, "edits", edits);
        json_append(r->outcomes.unedited, before);
        x->states[x->state_count++] = state;
    }
    return true;
}

// The run's answers of its prompts, if they are of this journal's edits.
static void journal_answers(struct report *r, const cJSON *answers, cJSON *last)
{
    const cJSON *row;
    size_t i = 0;
    if (!cJSON_IsArray(answers) || !last) return;
    cJSON_ArrayForEach(row, answers)
        if (i >= r->journal.edit_count ||
            strcmp(report_text(row, "prompt"), r->journal.edits[i++].request.prompt) != 0)
            return;
    cJSON *after = cJSON_AddArrayToObject(last, "answers");
    r->answers = cJSON_CreateArray();
    cJSON_ArrayForEach(row, answers)
    {
        json_append(r->answers, cJSON_CreateString(report_text(row, "before")));
        json_append(after, cJSON_CreateString(report_text(row, "after")));
    }
}

// As the lines of an experiment have them: numbers are numbers, not texts of them.
static cJSON *settings_of(const struct journal *j)
{
    cJSON *made = run_json(&j->header), *read = NULL;
    char *text = json_text(made, false, "settings");
    if (text) read = json_object(text, strlen(text), j->where);
    cJSON_free(text);
    cJSON_Delete(made);
    return read;
}

static bool journal_outcome(struct report *r, const cJSON *root)
{
    const cJSON *measures = cJSON_GetObjectItem(root, "measures");
    if (!measures && cJSON_HasObjectItem(root, "checkpoints")) measures = root; // eval's
    struct outcomes *o = &r->outcomes;
    cJSON *settings = settings_of(&r->journal);
    if (!settings) return false;
    cJSON *lines = cJSON_CreateArray(), *first = cJSON_CreateObject();
    journal_manifest(r, settings, measures);
    json_member(first, "settings", settings);
    json_append(lines, first);
    journal_lines(r, lines, measures);
    const cJSON *run = cJSON_GetObjectItem(r->manifest, "runs")->child;
    *o = (struct outcomes){.manifest = r->manifest, .edits = (uint32_t)r->journal.edit_count,
                           .items = mem_new(1, sizeof *o->items, "results")};
    if (!o->items) {
        cJSON_Delete(lines);
        return false;
    }
    o->count = 1;
    o->items[0] = (struct outcome){.id = report_text(run, "id"), .name = report_text(run, "name"),
                                   .label = report_text(run, "label"), .settings = settings,
                                   .lines = lines};
    if (!journal_states(r, &o->items[0], measures)) return false;
    int count = cJSON_GetArraySize(lines);
    journal_answers(r, cJSON_GetObjectItem(root, "answers"),
                    count > 1 ? cJSON_GetArrayItem(lines, count - 1) : NULL);
    return true;
}

bool report_journal(struct report *r, const char *path, const char *run)
{
    cJSON *root = NULL;
    r->what = path;
    r->args = args_default();
    r->args.out = "";
    bool ok = journal_open(&r->journal, path, false) && (!run || (root = json_file(run)) != NULL) &&
              journal_outcome(r, root);
    // States lie in the run's file: it lives as long as the manifest.
    if (ok && root) json_member(r->manifest, "of the run", root);
    else cJSON_Delete(root);
    ok = ok && requests_fill(r, &r->outcomes.items[0]);
    if (!ok) report_free(r);
    return ok;
}
