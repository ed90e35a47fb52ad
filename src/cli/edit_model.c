#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/edit_journal.h"
#include "cli/edit_line.h"
#include "cli/edit_match.h"
#include "cli/edit_run.h"
#include "cli/grad_text.h"
#include "cli/measured.h"
#include "cli/opened.h"
#include "cli/plan.h"
#include "cli/save.h"
#include "cli/settings.h"
#include "edit/finish.h"
#include "edit/sequence.h"

// What the callback of each edit writes to.
struct report {
    const struct args *args;
    cJSON *edits; // with --json
    FILE *log;    // with --log
    uint32_t count;
    struct editor *editor;
    struct match match; // with --match
    struct edit_journal journal;
    struct edit_measure measure;
};

bool edit_requests(struct dataset *data, const struct args *args)
{
    if (args->requests && (args->prompt || args->subject || args->target))
        return fail(STATUS_USAGE, "got --requests and a request of its own, wanted one");
    if (args->requests)
        return dataset_open(data, args->requests,
                            (struct dataset_options){
                                .skip = (size_t)args->skip, .limit = args->n,
                                .zsre_target = args->zsre_target ? ZSRE_ANSWERS : ZSRE_ALT});
    if (!args->prompt || !args->subject || !args->target)
        return fail(STATUS_USAGE, "got no request, wanted --requests FILE, or --prompt, --subject "
                                  "and --target");
    return dataset_from_strings(data, args->prompt, args->subject, args->target);
}

// One JSON line of an edit to --log; json stays the caller's.
static bool log_edit(struct report *r, const cJSON *json)
{
    char *line = json_text(json, false, "the log");
    bool ok = line != NULL;
    if (ok && r->log && (fprintf(r->log, "%s\n", line) < 0 || fflush(r->log) != 0))
        ok = fail(STATUS_FAILED, "cannot write --log %s", r->args->log);
    cJSON_free(line);
    return ok;
}

// The edit is on the disk by now: a failure to measure loses nothing.
static bool measure_edit(struct report *r, const struct edit *edit)
{
    cJSON *state;
    bool ok = edit_measure_step(&r->measure, r->editor, edit->number, &state);
    if (ok && state) ok = log_edit(r, state);
    cJSON_Delete(state);
    return ok;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    struct report *r = user;
    struct journal_edit record;
    bool ok = edit_journal_add(&r->journal, editor, edit, &record);
    cJSON *json = ok ? edit_json(&record) : NULL;
    record_edit_free(&record);
    if (!ok) return false;
    cJSON_AddNumberToObject(json, "ms", edit->milliseconds);
    ok = log_edit(r, json);
    if (ok && !r->args->json && !r->args->quiet) {
        log_clear();
        printf("%u/%u  %s ->%s%s ", edit->number, r->count, edit->request->prompt,
               edit->request->target_new[0] == ' ' ? "" : " ", edit->request->target_new);
        edit_line_print(editor, edit);
    }
    if (r->args->json)
        json_append(r->edits, json);
    else
        cJSON_Delete(json);
    return ok && measure_edit(r, edit);
}

static bool print_json(const struct opened *o, const struct journal *journal,
                       const struct args *args,
                       const struct dataset *data, struct report *r, struct answers *answers)
{
    cJSON *root = cJSON_CreateObject();
    json_member(root, "run", where_json(run_json(&journal->header), &o->dev));
    json_member(root, "edits", r->edits);
    r->edits = NULL;
    if (args->answers) json_member(root, "answers", answers_json(answers, data));
    if (r->measure.on)
        json_member(root, "measures",
                              history_json(&r->measure.history, data->requests));
    cJSON_AddStringToObject(root, "out", args->out);
    cJSON_AddStringToObject(root, "journal", r->journal.path);
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

// The file says where its edits come from in the journal's own words, so the journal is read.
static bool finish(struct opened *o, struct editor *e, const struct args *args,
                   const struct dataset *data, struct report *r, struct answers *answers)
{
    struct journal journal;
    if (!editor_finish(e)) return false;
    if (args->answers && !answers_after(answers, &o->model, &o->tokenizer)) return false;
    if (!journal_open(&journal, r->journal.path, false)) return false;
    struct save save = {.weights = &o->weights, .dev = &o->dev, .journal = &journal,
                        .out_type = args->out_type};
    bool ok = save_editor(&save, e, args->out);
    if (ok && args->answers && !args->json) answers_print(answers, data);
    if (ok && r->measure.on && !args->json) history_print(&r->measure.history, stdout);
    if (ok && args->json) ok = print_json(o, &journal, args, data, r, answers);
    journal_free(&journal);
    return ok;
}

// What older runs of the journal did comes first in this one's report.
static bool report_start(struct report *r, const struct editor *e, struct weights *weights)
{
    const struct journal *before = &r->journal.before;
    for (size_t i = 0; r->edits && i < before->edit_count; i++)
        json_append(r->edits, edit_json(&before->edits[i]));
    if (!r->log || before->edit_count) return true;
    struct journal_header header;
    bool ok = record_header(&header, weights, e, r->args->seed);
    cJSON *line = cJSON_CreateObject();
    if (ok) json_member(line, "run", where_json(run_json(&header), e->model->dev));
    ok = ok && log_edit(r, line);
    cJSON_Delete(line);
    journal_header_free(&header);
    return ok;
}

// With --match the knob is looked for first; a journal that is gone on with knows it.
static bool knob_find(struct opened *o, const struct args *args, const struct dataset *data,
                      struct report *r, struct sequence_options *options)
{
    const struct journal *before = &r->journal.before;
    const char *known = before->edit_count ? journal_setting(&before->header, "knob") : NULL;
    if (!args->match) return true;
    if (known) r->match.knob = strtod(known, NULL);
    if (!known && !match_find(&r->match, o, args, data, options)) return false;
    options->hparams.knob = r->match.knob;
    return true;
}

static bool edit_all(struct opened *o, const struct args *args, struct dataset *data,
                     struct report *r)
{
    struct editor editor = {0};
    r->editor = &editor;
    struct answers answers = {0};
    struct sequence_options options = settings_sequence(args, o->dev.strict);
    struct corpus grad = {0};
    bool ok = settings_open(&options.hparams, args, &o->model.config) &&
              grad_text_open(&grad, args, &o->tokenizer, &options.hparams,
                             options.hparams.grad_tokens);
    options.grad = &grad;
    ok = ok && knob_find(o, args, data, r, &options) &&
         edit_journal_check(&r->journal, &o->weights, &options, data) &&
         (!args->answers || answers_before(&answers, &o->model, &o->tokenizer, data)) &&
         edit_measure_start(&r->measure, args, o, data, r->journal.edits) &&
         editor_open(&editor, &o->model, &o->weights, &o->tokenizer, &options) &&
         edit_journal_start(&r->journal, &o->weights, &editor, args->seed) &&
         report_start(r, &editor, &o->weights) &&
         sequence_run(&editor, data->requests, (uint32_t)data->count, on_edit, r) &&
         finish(o, &editor, args, data, r, &answers);
    answers_free(&answers);
    editor_close(&editor);
    hparams_free(&options.hparams);
    corpus_free(&grad);
    return ok;
}

bool command_edit(const struct args *args)
{
    struct opened o = {0};
    struct dataset data = {0};
    struct report report = {.args = args};
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    interrupt_watch();
    bool ok = grad_text_check(args) && edit_requests(&data, args) &&
              match_open(&report.match, args, &data) && save_check(args->out, args->model) &&
              edit_journal_open(&report.journal, args);
    if (ok && args->log && !(report.log = fopen(args->log, report.journal.edits ? "a" : "w")))
        ok = fail(STATUS_FAILED, "cannot write --log %s", args->log);
    report.count = (uint32_t)data.count;
    if (args->json) report.edits = cJSON_CreateArray();
    ok = ok && opened_device(&o, args) && opened_files(&o, args->model) &&
         plan_look(&o, args, &data) && opened_load(&o) && edit_all(&o, args, &data, &report);
    if (!ok) edit_journal_tell(&report.journal);
    edit_journal_close(&report.journal);
    edit_measure_free(&report.measure);
    match_close(&report.match);
    if (report.log) fclose(report.log);
    cJSON_Delete(report.edits);
    dataset_free(&data);
    return opened_end(&o, args, ok);
}
