#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/edit_run.h"
#include "cli/opened.h"
#include "cli/save.h"
#include "cli/settings.h"
#include "edit/sequence.h"

// What the callback of each edit writes to.
struct report {
    const struct args *args;
    cJSON *edits; // with --json
    FILE *log;    // with --log
    uint32_t count;
};

static bool read_requests(struct dataset *data, const struct args *args)
{
    if (args->requests && (args->prompt || args->subject || args->target))
        return fail(STATUS_USAGE, "edit: got --requests and a request of its own, wanted one");
    if (args->requests)
        return dataset_open(data, args->requests,
                            (struct dataset_options){
                                .skip = (size_t)args->skip, .limit = args->n,
                                .zsre_target = args->zsre_target ? ZSRE_ANSWERS : ZSRE_ALT});
    if (!args->prompt || !args->subject || !args->target)
        return fail(STATUS_USAGE, "edit: wanted --requests FILE, or --prompt, --subject and "
                                  "--target");
    return dataset_from_strings(data, args->prompt, args->subject, args->target);
}

// An output that cannot be written must be known before hours of edits, not after.
static bool check_out(const struct args *args)
{
    struct stat in, out;
    if (!args->out) return fail(STATUS_USAGE, "--out: wanted a file for the edited model (-o FILE)");
    if (stat(args->out, &out) == 0 && stat(args->model, &in) == 0 && in.st_dev == out.st_dev &&
        in.st_ino == out.st_ino)
        return fail(STATUS_USAGE, "--out %s: that is the model itself, wanted another file",
                    args->out);
    if (stat(args->out, &out) == 0 && !S_ISREG(out.st_mode))
        return fail(STATUS_USAGE, "--out %s: wanted the name of a file", args->out);
    struct file_out probe;
    if (!file_out_open(&probe, args->out)) return false;
    file_out_close(&probe, false);
    return true;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    struct report *r = user;
    (void)editor;
    cJSON *json = edit_json(edit);
    char *line = cJSON_PrintUnformatted(json);
    bool ok = line != NULL || fail(STATUS_NO_MEMORY, "out of host memory for the log");
    if (ok && r->log && (fprintf(r->log, "%s\n", line) < 0 || fflush(r->log) != 0))
        ok = fail(STATUS_FAILED, "cannot write --log %s", r->args->log);
    if (ok && !r->args->json && !r->args->quiet)
        printf("%u/%u  %s ->%s%s  loss %.3g to %.3g in %u steps, realised %.2f, kept %.2f, %.1f s\n",
               edit->number, r->count, edit->request->prompt,
               edit->request->target_new[0] == ' ' ? "" : " ", edit->request->target_new,
               (double)edit->trace[0].total, (double)edit->trace[edit->chosen].total,
               edit->steps, edit->realised, edit->kept, edit->milliseconds / 1e3);
    fflush(stdout);
    cJSON_free(line);
    if (r->args->json)
        cJSON_AddItemToArray(r->edits, json);
    else
        cJSON_Delete(json);
    return ok;
}

static bool finish(struct opened *o, struct editor *e, const struct args *args,
                   const struct dataset *data, struct report *r, struct answers *answers)
{
    if (args->answers && !answers_after(answers, &o->model, &o->tokenizer)) return false;
    enum dtype dtype = args->out_type ? DTYPE_F16 : DTYPE_F32;
    if (!save_model(o, e, args->out, dtype, args->seed, data)) return false;
    if (args->answers && !args->json) answers_print(answers, data);
    if (!args->json) return true;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddItemToObject(root, "run", where_json(run_json(e, args->seed), e));
    cJSON_AddItemToObject(root, "edits", r->edits);
    r->edits = NULL;
    if (args->answers) cJSON_AddItemToObject(root, "answers", answers_json(answers, data));
    cJSON_AddStringToObject(root, "out", args->out);
    char *text = cJSON_Print(root);
    if (text) puts(text);
    cJSON_free(text);
    cJSON_Delete(root);
    return true;
}

static bool edit_all(struct opened *o, const struct args *args, struct dataset *data,
                     struct report *r)
{
    struct editor editor = {0};
    struct answers answers = {0};
    struct sequence_options options = {.solver = settings_solver(args),
                                       .guard = settings_guard(args), .text = args->text,
                                       .tokens = args->tokens, .seed = args->seed};
    bool ok = settings_open(&options.hparams, args, &o->model.config) &&
              (!args->answers || answers_before(&answers, &o->model, &o->tokenizer, data)) &&
              editor_open(&editor, &o->model, &o->weights, &o->tokenizer, &options);
    if (ok && r->log) {
        cJSON *run = cJSON_CreateObject();
        cJSON_AddItemToObject(run, "run", where_json(run_json(&editor, args->seed), &editor));
        char *line = cJSON_PrintUnformatted(run);
        if (line) fprintf(r->log, "%s\n", line);
        cJSON_free(line);
        cJSON_Delete(run);
    }
    ok = ok && sequence_run(&editor, data->requests, (uint32_t)data->count, on_edit, r) &&
         finish(o, &editor, args, data, r, &answers);
    answers_free(&answers);
    editor_close(&editor);
    hparams_free(&options.hparams);
    return ok;
}

bool command_edit(const struct args *args)
{
    struct opened o = {0};
    struct dataset data = {0};
    struct report report = {.args = args};
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    bool ok = read_requests(&data, args) && check_out(args);
    if (ok && args->log && !(report.log = fopen(args->log, "w")))
        ok = fail(STATUS_FAILED, "cannot write --log %s", args->log);
    report.count = (uint32_t)data.count;
    if (args->json) report.edits = cJSON_CreateArray();
    ok = ok && opened_start(&o, args) && edit_all(&o, args, &data, &report);
    if (report.log) fclose(report.log);
    cJSON_Delete(report.edits);
    dataset_free(&data);
    return opened_end(&o, args, ok);
}
