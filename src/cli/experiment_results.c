#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/experiment.h"

double measure_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

void spread_of(const double *values, uint32_t count, double *mean, double *deviation,
               uint32_t *seen)
{
    double sum = 0, squares = 0;
    *seen = 0;
    for (uint32_t i = 0; i < count; i++)
        if (isfinite(values[i])) sum += values[i], (*seen)++;
    *mean = *seen ? sum / *seen : NAN;
    for (uint32_t i = 0; i < count; i++)
        if (isfinite(values[i])) squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = *seen > 1 ? sqrt(squares / (*seen - 1)) : 0;
}

uint32_t outcomes_mean(const struct outcome *items, uint32_t count, uint32_t state,
                       const char *measure, double *mean, double *deviation)
{
    enum { SEEDS = 64 };
    double values[SEEDS];
    uint32_t found = 0, seen;
    for (uint32_t i = 0; i < count && found < SEEDS; i++)
        if (state < items[i].state_count)
            values[found++] = measure_of(items[i].states[state], measure);
    spread_of(values, found, mean, deviation, &seen);
    return seen;
}

uint32_t outcomes_columns(const struct outcomes *o, struct column columns[COLUMNS_MAX])
{
    const cJSON *list = cJSON_GetObjectItem(o->manifest, "measures"), *item;
    uint32_t count = 0, three = 0;
    cJSON_ArrayForEach(item, list)
    {
        for (unsigned m = 0; m < MEASURES && count + 2 + TASK_FORMS < COLUMNS_MAX; m++) {
            if (strcmp(measure_names[m], item->valuestring) != 0) continue;
            columns[count++] = (struct column){measure_names[m], measure_titles[m],
                                               m != MEASURE_PPL, false};
            three += m <= MEASURE_LOC;
            if (m == MEASURE_LOC && three == 3)
                columns[count++] = (struct column){"avg", "Avg", true, false};
        }
    }
    columns[count++] = (struct column){"norm", "\u2016dW\u2016", false, false};
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(o->manifest, "tasks"))
    {
        const cJSON *name = cJSON_GetObjectItem(item, "name");
        const struct task_form *form =
            cJSON_IsString(name) ? task_form_named(name->valuestring) : NULL;
        if (form && count < COLUMNS_MAX)
            columns[count++] = (struct column){form->name, form->title, true, true};
    }
    return count;
}

uint32_t outcomes_seeds(const struct outcomes *o, uint32_t first)
{
    uint32_t count = 0;
    while (first + count < o->count &&
           strcmp(o->items[first + count].name, o->items[first].name) == 0)
        count++;
    return count;
}

// The lines of a finished run; *whole: whether it is finished.
static bool lines_read(const char *path, uint32_t edits, cJSON *lines, bool *whole)
{
    char *text = NULL;
    size_t size = 0;
    uint32_t count = 0;
    *whole = false;
    if (access(path, F_OK) != 0) return true;
    bool ok = file_read(path, &text, &size);
    for (char *at = text, *stop; ok && at && (stop = strchr(at, '\n')); at = stop + 1, count++) {
        *stop = '\0';
        cJSON *line = cJSON_Parse(at);
        ok = line || fail(STATUS_BAD_DATA, "%s: line %u is not JSON", path, count + 1);
        if (line) json_append(lines, line);
    }
    free(text);
    *whole = ok && count == edits + 1;
    return ok;
}

static const char *text_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool outcome_read(struct outcomes *o, const struct args *args, const cJSON *run)
{
    struct outcome *x = &o->items[o->count];
    *x = (struct outcome){.id = text_at(run, "id"), .name = text_at(run, "name"),
                          .label = text_at(run, "label"), .group = text_at(run, "group"),
                          .settings = cJSON_GetObjectItem(run, "settings"),
                          .lines = cJSON_CreateArray()};
    o->count++;
    if (!x->id || !x->name || !x->label)
        return fail(STATUS_BAD_DATA, "%s: a run of its manifest has no name", args->out);
    char *path = experiment_path(args, x->id, ".jsonl");
    bool whole = false, ok = path && lines_read(path, o->edits, x->lines, &whole);
    free(path);
    if (!ok) return false;
    if (!whole) {
        o->partial[o->unfinished++] = *x;
        o->count--;
        return true;
    }
    x->states = mem_new((size_t)cJSON_GetArraySize(x->lines), sizeof *x->states, "results");
    const cJSON *line;
    cJSON_ArrayForEach(line, x->lines)
    {
        const cJSON *state = cJSON_GetObjectItem(line, "checkpoint");
        if (x->states && state) x->states[x->state_count++] = state;
    }
    return x->states != NULL;
}

bool outcomes_read(struct outcomes *o, const struct args *args, const cJSON *manifest)
{
    const cJSON *runs = cJSON_GetObjectItem(manifest, "runs"), *run;
    *o = (struct outcomes){.manifest = manifest, .edits = (uint32_t)measure_of(manifest, "count")};
    o->items = mem_new((size_t)cJSON_GetArraySize(runs), sizeof *o->items, "results");
    o->partial = mem_new((size_t)cJSON_GetArraySize(runs), sizeof *o->partial, "results");
    bool ok = o->items && o->partial;
    cJSON_ArrayForEach(run, runs) ok = ok && outcome_read(o, args, run);
    char *path = experiment_path(args, "unedited", ".json"), *text = NULL;
    size_t size = 0;
    ok = ok && path;
    if (ok && access(path, F_OK) != 0 && o->count == 0) {
        o->unedited = cJSON_CreateArray(); // it had not come so far
    } else {
        ok = ok && file_read(path, &text, &size);
        if (ok && !(o->unedited = cJSON_Parse(text)))
            ok = fail(STATUS_BAD_DATA, "%s: not JSON", path);
    }
    if (ok && o->unfinished)
        log_say("%u runs of %s are not finished: tables and charts are without them",
                o->unfinished, args->out);
    free(text);
    free(path);
    return ok;
}

void outcomes_free(struct outcomes *o)
{
    for (uint32_t i = 0; i < o->count; i++) {
        cJSON_Delete(o->items[i].lines);
        free(o->items[i].states);
    }
    for (uint32_t i = 0; i < o->unfinished; i++) cJSON_Delete(o->partial[i].lines);
    free(o->items);
    free(o->partial);
    cJSON_Delete(o->unedited);
    *o = (struct outcomes){0};
}
