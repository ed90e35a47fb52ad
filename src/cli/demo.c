// `oedit demo`: the experiment of assets/experiments/demo.json on the model that lies in the
// program, with what it says before and afterwards (docs/demo.md).
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/embedded.h"
#include "base/json.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/demo_table.h"
#include "cli/experiment.h"
#include "cli/opened.h"

#define FOLDER "oedit-demo"

enum { ASKED = 3 }; // requests whose answers are shown

struct demo {
    struct opened opened;
    struct experiment_work work;
    struct demo_table table;
    struct answers answers;
    bool brief; // --quiet: the table alone
    char *said[DEMO_METHODS][ASKED]; // after the last edit; NULL: made by an earlier call
};

// The answer alone: the model goes on with other sentences.
static void first_sentence(char *text)
{
    text[strcspn(text, ".\n")] = '\0';
}

static void keep(char *texts[], char **to, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        first_sentence(texts[i]);
        to[i] = texts[i];
        texts[i] = NULL;
    }
}

// Whatever is not there stays as it is.
static void take(struct demo_row *row, const cJSON *state)
{
    static const char *const names[DEMO_SHARES] = {"rel", "gen", "loc"};
    row->measured = (uint32_t)measure_of(state, "edits");
    if (row->edits < row->measured) row->edits = row->measured;
    for (int i = 0; i < DEMO_SHARES; i++) row->shares[i] = measure_of(state, names[i]);
}

static bool on_edit(void *user, const struct job *job, uint32_t edits, const cJSON *line)
{
    struct demo *d = user;
    struct demo_row *row = demo_table_row(&d->table, job->id);
    const cJSON *state = cJSON_GetObjectItem(line, "checkpoint");
    if (!row) return true;
    row->edits = edits;
    if (state) take(row, state);
    d->table.made++;
    demo_table_show(&d->table, row, state != NULL);
    if (edits < d->table.total) return true;
    if (!answers_after(&d->answers, &d->opened.model, &d->opened.tokenizer)) return false;
    keep(d->answers.after, d->said[row - d->table.rows], d->answers.count);
    return true;
}

static bool introduce(struct demo *d)
{
    const struct config *c = &d->opened.model.config;
    const struct dataset *data = &d->work.data;
    const struct dataset asked = {.requests = data->requests,
                                  .count = data->count < ASKED ? data->count : ASKED};
    if (!answers_before(&d->answers, &d->opened.model, &d->opened.tokenizer, &asked)) return false;
    if (d->brief) return true;
    printf("A model of %u layers and %u dimensions knows a made-up world of people and towns.\n"
           "On %s, asked for some of its facts:\n\n", c->layers, c->dim, d->opened.dev.info.name);
    for (uint32_t i = 0; i < d->answers.count; i++) {
        first_sentence(d->answers.before[i]);
        printf("  %s ...%s\n", data->requests[i].prompt, d->answers.before[i]);
    }
    printf("\nNow %zu facts are changed, one after the other, in %u way%s. Of all edits so far,\n"
           "Rel: changed facts are known; Gen: also in other words; Loc: other facts stayed.\n\n",
           data->count, d->table.count, d->table.count == 1 ? "" : "s");
    fflush(stdout);
    demo_table_wait(&d->table);
    return true;
}

// What earlier calls have measured in this folder is shown as well.
static bool finish_table(struct demo *d)
{
    struct outcomes o = {0};
    char *path = experiment_path(d->work.args, "manifest", ".json");
    cJSON *manifest = path ? json_file(path) : NULL;
    bool ok = manifest && outcomes_read(&o, d->work.args, manifest);
    for (uint32_t i = 0; ok && i < o.count; i++) {
        struct demo_row *row = demo_table_row(&d->table, o.items[i].id);
        bool known = !row || row->measured == d->table.total || !o.items[i].state_count;
        if (known) continue;
        take(row, o.items[i].states[o.items[i].state_count - 1]);
        demo_table_show(&d->table, row, true);
    }
    outcomes_free(&o);
    cJSON_Delete(manifest);
    free(path);
    return ok;
}

static void conclude(const struct demo *d)
{
    const struct request *all = d->work.data.requests;
    const char *out = d->work.args->out;
    printf("\nThe first facts that were changed, asked after the last edit:\n");
    for (uint32_t i = 0; i < d->answers.count; i++) {
        printf("\n  %s ... was%s, is to be %s\n", all[i].prompt, d->answers.before[i],
               all[i].target_new);
        for (uint32_t m = 0; m < d->table.count; m++)
            if (d->said[m][i]) printf("    %-22s%s\n", d->table.rows[m].label, d->said[m][i]);
    }
    printf("\nWritten: %s/report.html, for any browser; its charts as PNG, table.md, each edit in\n"
           "*.journal.\n", out);
    printf("\nNext, one edit by hand:\n"
           "  oedit edit -m demo -p \"%s\" --subject \"%s\" --target %s -o mine.gguf\n"
           "  oedit generate -m mine.gguf -p \"%s\" -n 4\n", all[0].prompt, all[0].subject,
           all[0].target_new, all[0].rephrases.count ? all[0].rephrases.items[0] : all[0].prompt);
    printf("With a model of your own, a GGUF file or a folder of safetensors:\n"
           "  oedit edit -m model.gguf -r facts.json --key-memory 100 -o new.gguf\n"
           "  oedit eval -m new.gguf --base model.gguf -r facts.json\n");
}

static bool rows_start(struct demo *d)
{
    const struct experiment_work *w = &d->work;
    demo_table_start(&d->table, (uint32_t)w->data.count, d->brief);
    if (w->job_count > DEMO_METHODS)
        return fail(STATUS_BAD_DATA, "%s: %u runs, wanted at most %d", w->file.where, w->job_count,
                    DEMO_METHODS);
    for (uint32_t i = 0; i < w->job_count; i++)
        d->table.rows[d->table.count++] =
            (struct demo_row){.id = w->jobs[i].id, .label = w->jobs[i].run->label};
    return true;
}

static void demo_free(struct demo *d)
{
    for (uint32_t m = 0; m < DEMO_METHODS; m++)
        for (uint32_t i = 0; i < ASKED; i++) free(d->said[m][i]);
    answers_free(&d->answers);
    experiment_end(&d->work);
}

bool command_demo(const struct args *args)
{
    struct demo d = {.brief = args->quiet};
    struct args now = *args;
    double started = log_clock();
    now.model = EMBEDDED_MODEL;
    now.data = EMBEDDED_REQUESTS;
    now.text = EMBEDDED_TEXT;
    now.answers = now.report = true;
    now.quiet = true; // the table is the demo's own
    if (!now.out) now.out = FOLDER;
    if (!args->verbose) log_level_set(LOG_QUIET);
    bool ok = experiment_start(&d.work, &d.opened, &now, "demo") && rows_start(&d) &&
              introduce(&d);
    d.work.watch = on_edit;
    d.work.user = &d;
    ok = ok && experiment_runs(&d.work) && finish_table(&d);
    demo_table_end(&d.table);
    if (ok && !d.brief) conclude(&d);
    if (ok && !d.brief) printf("\n%.0f seconds.\n", log_clock() - started);
    demo_free(&d);
    return opened_end(&d.opened, &now, ok);
}
