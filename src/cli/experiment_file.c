#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/experiment.h"

struct asset {
    const char *name;
    const unsigned char *text;
};

#include "experiments.inc" // made by CMake: assets[]

enum { ASSETS = sizeof assets / sizeof *assets };

static const struct asset *asset_find(const char *name)
{
    for (size_t i = 0; i < ASSETS; i++)
        if (strcmp(assets[i].name, name) == 0) return &assets[i];
    return NULL;
}

static bool text_of(struct experiment *x, const char *name)
{
    const struct asset *asset = asset_find(name);
    const char *base = strrchr(name, '/'), *names[ASSETS];
    size_t size;
    x->where = mem_text(name, strlen(name), "a path");
    snprintf(x->name, sizeof x->name, "%s", base ? base + 1 : name);
    size_t length = strlen(x->name);
    if (length > 5 && strcmp(x->name + length - 5, ".json") == 0) x->name[length - 5] = '\0';
    if (!x->where) return false;
    if (asset) {
        const char *text = (const char *)asset->text;
        return (x->text = mem_text(text, strlen(text), name)) != NULL;
    }
    if (access(name, F_OK) == 0) return file_read(name, &x->text, &size);
    for (size_t i = 0; i < ASSETS; i++) names[i] = assets[i].name;
    const char *nearest = options_nearest(name, names, ASSETS);
    return fail(STATUS_USAGE, "experiment '%s': neither a file nor one of oedit experiment "
                              "--list%s%s%s", name, nearest ? "; did you mean " : "",
                nearest ? nearest : "", nearest ? "?" : "");
}

// The keys that an object may have.
static bool keys_known(const struct experiment *x, const cJSON *object, const char *what,
                       const char *const *known, size_t count)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        bool found = false;
        for (size_t i = 0; i < count; i++) found = found || strcmp(known[i], item->string) == 0;
        if (found) continue;
        const char *nearest = options_nearest(item->string, known, count);
        return fail(STATUS_BAD_DATA, "%s: %s has a key '%s'%s%s%s", x->where, what, item->string,
                    nearest ? "; did you mean " : ", which means nothing", nearest ? nearest : "",
                    nearest ? "?" : "");
    }
    return true;
}

static const char *text_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsString(item) && item->valuestring[0] ? item->valuestring : NULL;
}

static bool run_read(struct experiment *x, const cJSON *item, uint32_t number)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789+-_.";
    struct experiment_run *run = &x->runs[number];
    *run = (struct experiment_run){.name = text_at(item, "name"), .label = text_at(item, "label"),
                                   .group = text_at(item, "group"),
                                   .match = text_at(item, "match"), .item = item};
    if (!cJSON_IsObject(item) || !run->name)
        return fail(STATUS_BAD_DATA, "%s: run %u: wanted an object with a 'name'", x->where,
                    number + 1);
    if (!run->label) run->label = run->name;
    size_t length = strlen(run->name);
    if (strspn(run->name, letters) != length || run->name[0] == '.' || length > 60)
        return fail(STATUS_BAD_DATA, "%s: run '%s': wanted a name of at most 60 letters, digits, "
                                     "+, -, _ and .", x->where, run->name);
    for (uint32_t i = 0; i < number; i++)
        if (strcmp(x->runs[i].name, run->name) == 0)
            return fail(STATUS_BAD_DATA, "%s: two runs have the name '%s'", x->where, run->name);
    return true;
}

// A knob is looked for once the run that it is to match is done.
static bool matches_check(const struct experiment *x)
{
    for (uint32_t i = 0; i < x->run_count; i++) {
        const struct experiment_run *run = &x->runs[i], *other = NULL;
        if (!cJSON_GetObjectItem(run->item, "match")) continue;
        for (uint32_t k = 0; run->match && k < x->run_count; k++)
            if (strcmp(x->runs[k].name, run->match) == 0) other = &x->runs[k];
        if (!other || other->match)
            return fail(STATUS_BAD_DATA, "%s: run '%s': 'match' is '%s', wanted the name of "
                                         "another run of the file that has no 'match'", x->where,
                        run->name, run->match ? run->match : "no text");
        if (cJSON_GetObjectItem(run->item, "knob"))
            return fail(STATUS_BAD_DATA, "%s: run '%s' has a 'knob' and a 'match' that finds one, "
                                         "wanted one of them", x->where, run->name);
    }
    return true;
}

static bool document_read(struct experiment *x)
{
    static const char *const known[] = {"title",    "cite",   "data",    "count",
                                        "measures", "seeds",  "checkpoints", "settings",
                                        "runs",     "charts", "about",   "tasks"};
    const char *end = NULL;
    x->root = cJSON_ParseWithOpts(x->text, &end, true);
    if (!cJSON_IsObject(x->root))
        return fail(STATUS_BAD_DATA, "%s: not a JSON object (near '%.20s')", x->where,
                    end ? end : "");
    if (!keys_known(x, x->root, "the experiment", known, sizeof known / sizeof *known))
        return false;
    const cJSON *runs = cJSON_GetObjectItem(x->root, "runs"), *item,
                *count = cJSON_GetObjectItem(x->root, "count");
    x->title = text_at(x->root, "title");
    x->data = text_at(x->root, "data");
    if (!x->title) x->title = x->name;
    if (!cJSON_IsArray(runs) || cJSON_GetArraySize(runs) == 0)
        return fail(STATUS_BAD_DATA, "%s: wanted 'runs', a list of one at least", x->where);
    if (count && (!cJSON_IsNumber(count) || !(count->valuedouble >= 1) || count->valuedouble > 1e9))
        return fail(STATUS_BAD_DATA, "%s: 'count' wants a number of edits", x->where);
    x->count = count ? (uint32_t)count->valuedouble : 0;
    x->runs = mem_new((size_t)cJSON_GetArraySize(runs), sizeof *x->runs, "runs");
    if (!x->runs) return false;
    cJSON_ArrayForEach(item, runs)
        if (!run_read(x, item, x->run_count++)) return false;
    return matches_check(x);
}

bool experiment_open(struct experiment *x, const char *name)
{
    *x = (struct experiment){0};
    if (text_of(x, name) && document_read(x)) return true;
    experiment_free(x);
    return false;
}

void experiment_free(struct experiment *x)
{
    cJSON_Delete(x->root);
    free(x->runs);
    free(x->text);
    free(x->where);
    *x = (struct experiment){0};
}

static bool list_one(const char *name, bool whole, cJSON *json)
{
    struct experiment x;
    if (!experiment_open(&x, name)) return false;
    cJSON *row = json ? cJSON_CreateObject() : NULL, *names = NULL;
    if (row) {
        cJSON_AddStringToObject(row, "name", x.name);
        cJSON_AddStringToObject(row, "title", x.title);
        names = cJSON_AddArrayToObject(row, "runs");
        json_append(json, row);
    } else {
        printf("%-10s %3u runs  %s\n", x.name, x.run_count, x.title);
    }
    for (uint32_t i = 0; i < x.run_count; i++) {
        if (names) json_append(names, cJSON_CreateString(x.runs[i].name));
        else if (whole) printf("  %-24s %s\n", x.runs[i].name, x.runs[i].label);
    }
    experiment_free(&x);
    return true;
}

bool experiment_list(const char *name, bool json)
{
    cJSON *root = json ? cJSON_CreateArray() : NULL;
    bool ok = true;
    if (name) ok = list_one(name, true, root);
    for (size_t i = 0; ok && !name && i < ASSETS; i++) ok = list_one(assets[i].name, false, root);
    if (ok && json) ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}
