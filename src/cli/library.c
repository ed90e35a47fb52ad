#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/opened.h"
#include "cli/save.h"
#include "cli/standing.h"
#include "edit/finish.h"
#include "edit/layers.h"
#include "edit/record.h"
#include "oedit.h"

struct oedit {
    struct opened opened;
    struct editor editor;
    struct oedit_settings settings;
};

struct oedit *oedit_open(const char *model, const struct oedit_settings *settings)
{
    struct oedit *o = mem_new(1, sizeof *o, "a model");
    struct args args = args_default();
    if (!o) return NULL;
    json_watch();
    if (settings) o->settings = *settings;
    args.model = model;
    args.text = o->settings.text;
    standing_take(&args, C_EDIT);
    o->settings.text = args.text;
    args.device = o->settings.device;
    args.precision = o->settings.strict ? 1 : 0;
    if (opened_start(&o->opened, &args)) return o;
    oedit_close(o);
    return NULL;
}

static bool editor_ready(struct oedit *o)
{
    const struct oedit_settings *s = &o->settings;
    if (o->editor.model) return true;
    struct sequence_options options = {.solver = s->solver ? s->solver : "memit",
                                       .guard = s->guard ? s->guard : "none",
                                       .text = s->text, .tokens = s->tokens, .seed = s->seed};
    if (!hparams_open(&options.hparams, &o->opened.model.config, options.solver,
                      options.guard, NULL))
        return false;
    if (s->layers && !layers_read(&options.hparams, s->layers, &o->opened.model.config)) {
        hparams_free(&options.hparams);
        return false;
    }
    if (s->ridge > 0) options.hparams.ridge = s->ridge;
    bool ok = editor_open(&o->editor, &o->opened.model, &o->opened.weights, &o->opened.tokenizer,
                          &options);
    hparams_free(&options.hparams);
    return ok;
}

bool oedit_edit(struct oedit *o, const char *prompt, const char *subject, const char *target)
{
    struct dataset data = {0};
    bool ok = dataset_from_strings(&data, prompt, subject, target) && editor_ready(o) &&
              sequence_run(&o->editor, data.requests, 1, NULL, NULL);
    dataset_free(&data);
    return ok;
}

bool oedit_save(struct oedit *o, const char *path)
{
    if (!editor_ready(o)) return false;
    // Without a journal: the settings are told, the requests are the caller's.
    struct journal journal = {0};
    struct save save = {.weights = &o->opened.weights, .dev = &o->opened.dev,
                        .journal = &journal};
    bool ok = record_header(&journal.header, &o->opened.weights, &o->editor, o->settings.seed) &&
              editor_finish(&o->editor) && save_editor(&save, &o->editor, path);
    ok = editor_go_on(&o->editor) && ok;
    journal_free(&journal);
    return ok;
}

void oedit_close(struct oedit *o)
{
    if (!o) return;
    struct args args = args_default();
    editor_close(&o->editor);
    opened_end(&o->opened, &args, true);
    free(o);
}

const char *oedit_error(void)
{
    return status_message();
}

int oedit_status(void)
{
    return (int)status_code();
}

void oedit_clear(void)
{
    status_clear();
}
