// ID.match.jsonl: first what is to be matched, then a line a trial, {"knob": X, "norm": N}.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/edit_match.h"
#include "cli/experiment.h"
#include "cli/grad_text.h"
#include "cli/settings.h"
#include "edit/search.h"

struct matching {
    struct experiment_work *w;
    struct job *job;
    struct append lines;
    struct { double knob, norm; } known[MATCH_RUNS]; // of an earlier call
    uint32_t known_count, used;
};

static bool line_add(struct matching *m, cJSON *line)
{
    bool ok = json_line(line, &m->lines);
    cJSON_Delete(line);
    return ok;
}

static bool number_at(const cJSON *line, const char *name, double *value)
{
    const cJSON *item = cJSON_GetObjectItem(line, name);
    if (cJSON_IsNumber(item)) *value = item->valuedouble;
    return cJSON_IsNumber(item);
}

// What there is of the file, up to the first line that is not whole, which ends it.
static bool lines_read(struct matching *m, const char *path, double *wanted)
{
    char *text = NULL;
    size_t size = 0, at = 0;
    bool ok = append_open(&m->lines, path) && file_read(path, &text, &size);
    *wanted = 0;
    while (ok && at < size && m->known_count < MATCH_RUNS) {
        const char *stop = memchr(text + at, '\n', size - at);
        if (!stop) break;
        const size_t length = (size_t)(stop - text) - at;
        cJSON *line = cJSON_ParseWithLength(text + at, length);
        const uint32_t n = m->known_count;
        const bool whole = at == 0 ? number_at(line, "norm", wanted) && *wanted > 0
                                   : number_at(line, "knob", &m->known[n].knob) &&
                                         number_at(line, "norm", &m->known[n].norm);
        cJSON_Delete(line);
        if (!whole) break;
        if (at > 0) m->known_count++;
        at += length + 1;
    }
    free(text);
    return ok && append_cut(&m->lines, at);
}

// The other run's norm, from its journal, as the first line.
static bool wanted_add(struct matching *m, double *wanted)
{
    char *path = experiment_path(m->w->args, m->job->match, ".journal");
    struct journal journal = {0};
    bool ok = path && journal_open(&journal, path, false);
    if (ok && (journal.header.tensor_count != 1 || journal.edit_count != m->w->data.count))
        ok = fail(STATUS_USAGE, "%s: %zu edits of %zu layers, wanted %zu edits of one to match",
                  path, journal.edit_count, journal.header.tensor_count, m->w->data.count);
    ok = ok && match_norm(&journal, m->w->opened, wanted);
    if (ok) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddStringToObject(line, "match", m->job->match);
        cJSON_AddNumberToObject(line, "norm", *wanted);
        ok = line_add(m, line);
    }
    journal_free(&journal);
    free(path);
    return ok;
}

static bool run(struct matching *m, double knob, double *norm)
{
    struct experiment_work *w = m->w;
    struct opened *o = w->opened;
    const struct args *args = &m->job->args;
    struct corpus grad = {0};
    struct editor editor = {0};
    struct sequence_options options = settings_sequence(args, o->dev.strict);
    options.grad = &grad;
    model_unedit(&o->model);
    bool ok = settings_open(&options.hparams, args, &o->model.config) &&
              grad_text_open(&grad, args, &o->tokenizer, &options.hparams,
                             options.hparams.grad_tokens) &&
              contexts_share(w, &options.hparams, args->seed);
    options.hparams.knob = knob;
    ok = ok && editor_open(&editor, &o->model, &o->weights, &o->tokenizer, &options) &&
         contexts_keep(w, &editor, args->seed) && (editor.shelf = &w->shelf) &&
         match_trial(&editor, &w->data, norm);
    editor_close(&editor);
    hparams_free(&options.hparams);
    corpus_free(&grad);
    return ok;
}

// A trial that an earlier call has done is not done anew.
static bool trial(void *user, double knob, double *norm)
{
    struct matching *m = user;
    if (m->used < m->known_count && m->known[m->used].knob == knob) {
        *norm = m->known[m->used++].norm;
        return true;
    }
    if (m->used < m->known_count)
        return fail(STATUS_BAD_DATA, "%s: trial %u has knob %.9g, wanted %.9g: not of this run",
                    m->lines.path, m->used + 1, m->known[m->used].knob, knob);
    if (!run(m, knob, norm)) return false;
    cJSON *line = cJSON_CreateObject();
    cJSON_AddNumberToObject(line, "knob", knob);
    cJSON_AddNumberToObject(line, "norm", *norm);
    return line_add(m, line);
}

static bool search(struct matching *m, double wanted)
{
    const struct args *args = &m->job->args;
    const struct config *c = &m->w->opened->model.config;
    struct search s = {.control = control_find(settings_guard(args)), .wanted = wanted,
                       .within = MATCH_WITHIN, .runs = MATCH_RUNS, .try = trial, .user = m};
    struct hparams h = {0};
    if (!settings_open(&h, args, c)) return false;
    s.most = search_most(s.control, &h, c->dim, (uint32_t)m->w->data.count);
    hparams_free(&h);
    if (!search_knob(&s)) return false;
    if (s.off > s.within) search_warn(&s); // the table shows both norms
    m->job->args.knob = (float)s.knob;
    return true;
}

bool experiment_match(struct experiment_work *w, struct job *job)
{
    struct matching m = {.w = w, .job = job};
    double wanted = 0;
    if (!job->match[0]) return true;
    char *path = experiment_path(w->args, job->id, ".match.jsonl");
    bool ok = path && lines_read(&m, path, &wanted) && (wanted > 0 || wanted_add(&m, &wanted)) &&
              search(&m, wanted);
    append_close(&m.lines);
    free(path);
    return ok;
}
