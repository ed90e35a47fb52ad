// One run with one seed. ID.journal keeps its edits, ID.jsonl one line an edit with what was
// measured, ID.keys its keys. An edit counts once its line is whole: a run that was killed goes on
// behind the last such, whatever the other files have.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/edit_journal.h"
#include "cli/edit_run.h"
#include "cli/experiment.h"
#include "cli/grad_text.h"
#include "cli/settings.h"
#include "edit/finish.h"

struct running {
    struct experiment_work *w;
    struct job *job;
    struct editor *editor;
    bool keyed; // charts want each edit's key, and the solver has one
    struct edit_journal journal;
    struct append lines, keys;
    float *key; // [ffn]
    struct dense dense; // the matrices before the first edit
    FILE *times; // what differs from run to run is kept apart
    uint32_t done;
};

char *experiment_path(const struct args *args, const char *name, const char *ending)
{
    size_t size = strlen(args->out) + strlen(name) + strlen(ending) + 2;
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s/%s%s", args->out, name, ending);
    return path;
}

// Whole lines of the JSONL behind its first, which has the settings, and where the first
// `most` of them end.
static bool lines_count(const char *path, uint32_t most, uint32_t *count, uint64_t *end)
{
    char *text = NULL;
    size_t size = 0;
    *count = 0;
    *end = 0;
    if (access(path, F_OK) != 0) return true;
    if (!file_read(path, &text, &size)) return false;
    uint32_t lines = 0;
    for (size_t at = 0; at < size && lines <= most;) {
        const char *stop = memchr(text + at, '\n', size - at);
        if (!stop) break; // torn
        at = (size_t)(stop - text) + 1;
        *end = at;
        lines++;
    }
    *count = lines ? lines - 1 : 0;
    free(text);
    return true;
}

// The journal as it was behind its edit number `keep`.
static bool journal_cut(struct edit_journal *j, uint32_t keep)
{
    struct journal *b = &j->before;
    if (j->edits && b->record_count != b->edit_count + 1)
        return fail(STATUS_BAD_DATA, "%s: edits of it were reverted: it is no longer the journal "
                                     "of an experiment", j->path);
    for (size_t i = keep; i < b->edit_count; i++) journal_edit_free(&b->edits[i]);
    if (keep < b->edit_count) b->edit_count = keep;
    j->edits = keep;
    if (keep == 0) {
        journal_free(b);
        return append_cut(&j->writer.file, 0);
    }
    b->record_count = keep + 1;
    b->whole = b->seals[keep].end;
    return true;
}

// Opens the run's files and cuts them to the edits that all of them have.
static bool files_open(struct running *r)
{
    const uint32_t ffn = r->w->opened->model.config.ffn;
    struct args args = r->job->args;
    char *journal = experiment_path(&args, r->job->id, ".journal"),
         *lines = experiment_path(&args, r->job->id, ".jsonl"),
         *keys = experiment_path(&args, r->job->id, ".keys");
    uint32_t keep = 0;
    uint64_t end = 0;
    args.journal = journal;
    args.resume = journal && access(journal, F_OK) == 0;
    r->key = mem_new(ffn, sizeof *r->key, "a key");
    bool ok = journal && lines && keys && r->key && edit_journal_open(&r->journal, &args) &&
              append_open(&r->lines, lines) && (!r->keyed || append_open(&r->keys, keys)) &&
              lines_count(lines, r->journal.edits, &keep, &end);
    if (ok && keep > r->journal.edits) keep = r->journal.edits;
    if (ok && r->keyed && keep > r->keys.size / (ffn * sizeof(float)))
        keep = (uint32_t)(r->keys.size / (ffn * sizeof(float)));
    ok = ok && lines_count(lines, keep, &keep, &end) && journal_cut(&r->journal, keep) &&
         append_cut(&r->lines, keep ? end : 0) &&
         (!r->keyed || append_cut(&r->keys, (uint64_t)keep * ffn * sizeof(float)));
    r->done = keep;
    free(journal);
    free(lines);
    free(keys);
    return ok;
}

static void files_close(struct running *r)
{
    edit_journal_close(&r->journal);
    append_close(&r->lines);
    append_close(&r->keys);
    dense_free(&r->dense);
    if (r->times) fclose(r->times);
    free(r->key);
}

// The scores of the requests [first, first + count) as an object.
static bool measure(struct running *r, const struct measures *measures, uint32_t first,
                    uint32_t count, uint32_t edits, cJSON *to, const char *name)
{
    struct experiment_work *w = r->w;
    struct history h = {.measures = *measures};
    w->marks.edits = edits;
    w->marks.first = first;
    w->marks.count = count;
    w->marks.perplexity = NAN;
    if (!measures_take(measures, &w->exam, &w->opened->model, first, count, &w->marks))
        return false;
    cJSON *state = marks_json(&h, &w->marks, NULL);
    if (strcmp(name, "right_after") == 0) cJSON_DeleteItemFromObject(state, "by_age");
    json_member(to, name, state);
    return true;
}

// What the model answers behind the last edit.
static bool answer_all(struct running *r, uint32_t edits, cJSON *state)
{
    struct answers *a = &r->w->answers;
    const struct opened *o = r->w->opened;
    if (!r->w->args->answers || edits < a->count) return true;
    if (!answers_after(a, &o->model, &o->tokenizer)) return false;
    cJSON *list = cJSON_CreateStringArray((const char **)a->after, (int)a->count);
    return json_member(state, "answers", list);
}

// What is measured after some edits only: of all requests so far, and of the weights.
// That is of the weights as they would be written.
static bool measure_state(struct running *r, uint32_t edits, cJSON *line)
{
    double norm = 0;
    if (!editor_finish(r->editor) ||
        !measure(r, &r->w->measured.measures, 0, edits, edits, line, "checkpoint") ||
        !tasks_measure(r->w, cJSON_GetObjectItem(line, "checkpoint")) ||
        !answer_all(r, edits, cJSON_GetObjectItem(line, "checkpoint")) ||
        !dense_norm(&r->dense, &r->w->opened->model, &norm) || !editor_go_on(r->editor))
        return false;
    cJSON_AddNumberToObject(cJSON_GetObjectItem(line, "checkpoint"), "norm", norm);
    return true;
}

static bool is_checkpoint(const struct experiment_work *w, uint32_t edits)
{
    for (uint32_t i = 0; i < w->checkpoint_count; i++)
        if (w->checkpoints[i] == edits) return true;
    return false;
}

static bool key_add(struct running *r, const struct editor *e)
{
    size_t bytes = e->model->config.ffn * sizeof *r->key;
    return !r->keyed || (buffer_read(e->model->dev, e->right_key, 0, r->key, bytes) &&
                         append_add(&r->keys, r->key, bytes));
}

static bool on_edit(void *user, const struct editor *e, const struct edit *edit)
{
    struct running *r = user;
    struct journal_edit record;
    double started = log_clock();
    struct measures quick = r->w->measured.measures;
    quick.which &= ~(1u << MEASURE_PPL);
    bool ok = edit_journal_add(&r->journal, e, edit, &record);
    cJSON *line = ok ? edit_json(&record) : NULL;
    record_edit_free(&record);
    ok = ok && key_add(r, e) &&
         measure(r, &quick, edit->number - 1, 1, edit->number, line, "right_after");
    if (ok && is_checkpoint(r->w, edit->number)) ok = measure_state(r, edit->number, line);
    ok = ok && json_line(line, &r->lines);
    if (ok && r->w->watch) ok = r->w->watch(r->w->user, r->job, edit->number, line);
    if (ok && r->times)
        fprintf(r->times, "{\"run\":\"%s\",\"edit\":%u,\"edit_ms\":%.1f,\"measure_ms\":%.1f}\n",
                r->job->id, edit->number, edit->milliseconds, 1e3 * (log_clock() - started));
    cJSON_Delete(line);
    return ok;
}

// The first line: all settings of the open editor.
static bool begin(struct running *r, struct editor *e)
{
    struct opened *o = r->w->opened;
    struct journal_header header = {0};
    if (r->done) return true;
    bool ok = record_header(&header, &o->weights, e, r->job->args.seed);
    cJSON *line = cJSON_CreateObject();
    cJSON_AddStringToObject(line, "run", r->job->id);
    if (ok) json_member(line, "settings", run_json(&header));
    ok = ok && json_line(line, &r->lines);
    cJSON_Delete(line);
    journal_header_free(&header);
    return ok;
}

static bool edit_all(struct running *r)
{
    struct experiment_work *w = r->w;
    struct opened *o = w->opened;
    const struct args *args = &r->job->args;
    struct editor editor = {0};
    struct sequence_options options = settings_sequence(args, o->dev.strict);
    struct corpus grad = {0};
    r->editor = &editor;
    options.grad = &grad;
    // The weights of the file again, without loading the model anew: whichever runs were done
    // before, this one has the bits of `oedit edit`.
    model_unedit(&o->model);
    bool ok = settings_open(&options.hparams, args, &o->model.config) &&
              grad_text_open(&grad, args, &o->tokenizer, &options.hparams,
                             options.hparams.grad_tokens) &&
              edit_journal_check(&r->journal, &o->weights, &options, &w->data) &&
              contexts_share(w, &options.hparams, args->seed) &&
              editor_open(&editor, &o->model, &o->weights, &o->tokenizer, &options) &&
              contexts_keep(w, &editor, args->seed) && dense_read(&r->dense, &o->model) &&
              edit_journal_start(&r->journal, &o->weights, &editor, args->seed) &&
              begin(r, &editor) && (editor.shelf = &w->shelf) &&
              sequence_run(&editor, w->data.requests, (uint32_t)w->data.count, on_edit, r);
    editor_close(&editor);
    hparams_free(&options.hparams);
    corpus_free(&grad);
    return ok;
}

bool experiment_job(struct experiment_work *w, struct job *job)
{
    struct running r = {.w = w, .job = job,
                        .keyed = w->keys && run_has_keys(settings_solver(&job->args))};
    char *times = experiment_path(w->args, "times", ".jsonl");
    bool ok = times && files_open(&r);
    if (ok && r.done == w->data.count) {
        log_detail("%s: done already", job->id);
    } else if (ok) {
        log_say("%s: %u of %zu edits are done; run %u of %u", job->id, r.done, w->data.count,
                (unsigned)(job - w->jobs) + 1, w->job_count);
        if (!(r.times = fopen(times, "a"))) ok = fail(STATUS_FAILED, "cannot write %s", times);
        if (ok) setvbuf(r.times, NULL, _IOLBF, BUFSIZ); // a kill loses one line at most
        ok = ok && experiment_match(w, job) && edit_all(&r);
    }
    if (!ok && r.journal.edits && status_code() != STATUS_USAGE)
        log_say("%s is kept up to its edit %u; the same command goes on behind it", job->id,
                r.journal.edits);
    files_close(&r);
    free(times);
    return ok;
}
