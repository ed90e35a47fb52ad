#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/edit_run.h"
#include "cli/experiment.h"
#include "cli/grad_text.h"
#include "cli/settings.h"
#include "edit/controls.h"
#include "edit/record.h"

// Options of `oedit edit` that are the experiment's own to say.
static const char *const kept[] = {
    "model",   "base",    "requests", "prompt",     "subject",     "target",   "out",
    "n",       "skip",    "out-type", "log",        "journal",     "resume",   "answers",
    "device",  "seed",    "json",     "precision",  "trace",       "profile",  "validate",
    "verbose", "quiet",   "help",     "measures",   "checkpoints", "ppl-text", "ppl-tokens",
    "",        "zsre-target", "list-devices",
    "match"};

// Says where it went wrong before what went wrong.
static bool fail_run(const char *where, const char *run)
{
    char said[1024];
    enum status code = status_code();
    snprintf(said, sizeof said, "%s", status_message());
    status_clear();
    return fail(code == STATUS_USAGE ? STATUS_BAD_DATA : code, "%s: %s%s%s%s", where,
                run ? "run '" : "", run ? run : "settings", run ? "': " : ": ", said);
}

// An option's value as a word of the command line; the pool keeps it.
static const char *word_of(const cJSON *item, cJSON *pool)
{
    char text[32];
    if (cJSON_IsNumber(item)) {
        snprintf(text, sizeof text, "%.17g", item->valuedouble);
        bool whole =
            item->valuedouble == floor(item->valuedouble) && fabs(item->valuedouble) < 1e15;
        if (whole) snprintf(text, sizeof text, "%.0f", item->valuedouble); // 10, not 1e+01
        for (int digits = 1; !whole && digits < 17; digits++) { // the shortest that reads back
            snprintf(text, sizeof text, "%.*g", digits, item->valuedouble);
            if (strtod(text, NULL) == item->valuedouble) break;
        }
    }
    const char *word = cJSON_IsString(item)   ? item->valuestring
                       : cJSON_IsBool(item)   ? (cJSON_IsTrue(item) ? "true" : "false")
                       : cJSON_IsNumber(item) ? text
                                              : NULL;
    cJSON *copy = word ? cJSON_CreateString(word) : NULL;
    if (copy) json_append(pool, copy);
    return copy ? copy->valuestring : NULL;
}

static bool set(struct args *now, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strcmp(kept[i], name) == 0)
            return fail(STATUS_USAGE, "--%s is the experiment's to say, wanted an option of how to "
                                      "edit", name);
    return args_set(now, C_EDIT, name, value);
}

// All of an object but the run's own words.
static bool set_all(const struct experiment *x, const char *run, const cJSON *object, cJSON *pool,
                    struct args *now)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        const char *name = item->string;
        if (run && (!strcmp(name, "name") || !strcmp(name, "label") || !strcmp(name, "group") ||
                    !strcmp(name, "match")))
            continue;
        const char *word = word_of(item, pool);
        bool ok = word || fail(STATUS_BAD_DATA, "'%s' wants a word, a number, true or false", name);
        if (!ok || !set(now, name, word)) return fail_run(x->where, run);
    }
    return true;
}

// --set NAME=VALUE,...
static bool set_line(const char *list, cJSON *pool, struct args *now)
{
    cJSON *copy = list ? cJSON_CreateString(list) : NULL;
    if (!list) return true;
    if (!copy) return fail(STATUS_NO_MEMORY, "out of host memory for --set");
    json_append(pool, copy);
    for (char *word = copy->valuestring; word && *word;) {
        char *next = strchr(word, ','), *equals = strchr(word, '=');
        if (next) *next++ = '\0';
        if (!equals || (next && equals > next))
            return fail(STATUS_USAGE, "--set: got '%s', wanted NAME=VALUE", word);
        *equals = '\0';
        if (!set(now, word, equals + 1)) return false;
        word = next;
    }
    return true;
}

bool experiment_args(const struct experiment *x, const struct experiment_run *run,
                     const struct args *args, const char *data, cJSON *pool, struct args *now)
{
    *now = *args;
    now->requests = data; // where grad G's prompts and facts are from, if no other is named
    return set_all(x, NULL, cJSON_GetObjectItem(x->root, "settings"), pool, now) &&
           set_all(x, run->name, run->item, pool, now) && set_line(args->set, pool, now);
}

// Whether the list has it.
static bool listed(const char *only, const char *name)
{
    if (!only) return true;
    size_t length = strlen(name);
    for (const char *at = only; *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && strncmp(at, name, length) == 0) return true;
    return false;
}

// Whether --only has it, or a run that is to match it.
static bool wanted(const struct experiment *x, const char *only, const char *name)
{
    bool found = listed(only, name);
    for (uint32_t i = 0; !found && i < x->run_count; i++)
        found = x->runs[i].match && strcmp(x->runs[i].match, name) == 0 &&
                listed(only, x->runs[i].name);
    return found;
}

static bool only_known(const struct experiment *x, const char *only)
{
    for (const char *at = only; at && *at; at += strcspn(at, ","), at += *at == ',') {
        char word[80];
        bool known = false;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        for (uint32_t i = 0; i < x->run_count; i++)
            known = known || strcmp(x->runs[i].name, word) == 0;
        if (known) continue;
        const char **names = mem_new(x->run_count, sizeof *names, "names");
        for (uint32_t i = 0; names && i < x->run_count; i++) names[i] = x->runs[i].name;
        const char *nearest = names ? options_nearest(word, names, x->run_count) : NULL;
        fail(STATUS_USAGE, "--only: %s has no run '%s'%s%s%s", x->where, word,
             nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
        free(names);
        return false;
    }
    return true;
}

// "0,1,2", or the file's list, or the one of --seed.
static bool seeds_read(const struct experiment_work *w, uint64_t **seeds, uint32_t *count)
{
    const cJSON *list = cJSON_GetObjectItem(w->file.root, "seeds"), *item;
    const char *given = w->args->seeds;
    size_t most = given ? strlen(given) + 1 : (size_t)cJSON_GetArraySize(list) + 1;
    *seeds = mem_new(most, sizeof **seeds, "seeds");
    *count = 0;
    if (!*seeds) return false;
    for (const char *at = given; at && *at;) {
        char *end;
        (*seeds)[(*count)++] = strtoull(at, &end, 10);
        if (end == at || *at == '-' || (*end && (*end != ',' || !end[1])))
            return fail(STATUS_USAGE, "--seeds: got '%s', wanted numbers as in 0,1,2", given);
        at = end + (*end == ',');
    }
    if (given) return *count || fail(STATUS_USAGE, "--seeds: wanted numbers as in 0,1,2");
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || item->valuedouble < 0 ||
            item->valuedouble != floor(item->valuedouble))
            return fail(STATUS_BAD_DATA, "%s: 'seeds' wants a list of numbers", w->file.where);
        (*seeds)[(*count)++] = (uint64_t)item->valuedouble;
    }
    if (!*count) (*seeds)[(*count)++] = w->args->seed;
    return true;
}

// What a run with a knob that is yet to be found is until then: its guard without effect on what is
// told, and no knob.
static bool match_settings(struct job *job, struct hparams *h)
{
    const struct control *c = control_find(settings_guard(&job->args));
    if (!c)
        return fail(STATUS_USAGE, "'match': guard %s has no knob, wanted fewer-steps, zero, random "
                                  "or scale", settings_guard(&job->args));
    if (h->layer_count)
        return fail(STATUS_USAGE, "'match': compares dW_total of one layer, got --layers");
    h->knob = c->whole ? h->steps : 0.5;
    return true;
}

// What is known of the run before its editor is open, as JSON.
static bool job_settings(struct experiment_work *w, struct job *job)
{
    struct opened *o = w->opened;
    struct journal_header header = {0};
    struct sequence_options options = settings_sequence(&job->args, o->dev.strict);
    bool ok = settings_open(&options.hparams, &job->args, &o->model.config) &&
              (!job->match[0] || match_settings(job, &options.hparams)) &&
              record_plan(&header, &o->weights, &options);
    cJSON *json = ok ? run_json(&header) : NULL;
    char *text = ok ? json_text(json, false, "the settings") : NULL;
    if (ok) ok = text && (job->settings = cJSON_Parse(text)); // numbers as a file gives them back
    cJSON_DeleteItemFromObject(job->settings, "contexts");    // not yet known
    if (ok && job->match[0]) {
        cJSON_DeleteItemFromObject(job->settings, "knob");
        cJSON_AddStringToObject(job->settings, "match", job->run->match);
    }
    cJSON_free(text);
    cJSON_Delete(json);
    journal_header_free(&header);
    hparams_free(&options.hparams);
    return ok || fail_run(w->file.where, job->run->name);
}

static bool job_new(struct experiment_work *w, const struct experiment_run *run, uint64_t seed)
{
    struct job *job = &w->jobs[w->job_count++];
    const unsigned long long number = seed;
    *job = (struct job){.run = run};
    snprintf(job->id, sizeof job->id, "%s.seed%llu", run->name, number);
    if (run->match) snprintf(job->match, sizeof job->match, "%s.seed%llu", run->match, number);
    if (!w->opened) return true;
    bool ok = experiment_args(&w->file, run, w->args, w->data_path, w->pool, &job->args) &&
              grad_text_check(&job->args);
    if (ok && !job->args.n) job->args.n = (uint32_t)w->data.count;
    job->args.seed = seed;
    return ok && job_settings(w, job);
}

bool experiment_plan(struct experiment_work *w)
{
    const struct experiment *x = &w->file;
    uint64_t *seeds = NULL;
    uint32_t seed_count = 0;
    bool ok = only_known(x, w->args->only) && seeds_read(w, &seeds, &seed_count) &&
              (w->jobs = mem_new((size_t)x->run_count * seed_count, sizeof *w->jobs, "runs"));
    for (uint32_t i = 0; ok && i < seed_count; i++)
        for (uint32_t k = 0; ok && k < 2 * x->run_count; k++) { // those that match others at last
            const struct experiment_run *run = &x->runs[k % x->run_count];
            if (!wanted(x, w->args->only, run->name) || (k >= x->run_count) != (run->match != NULL))
                continue;
            ok = job_new(w, run, seeds[i]);
        }
    free(seeds);
    return ok;
}
