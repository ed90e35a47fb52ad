#include "cli/edit_match.h"

#include "base/status.h"
#include "cli/settings.h"
#include "cli/trail_geometry.h"
#include "edit/search.h"

bool match_open(struct match *m, const struct args *args, const struct dataset *data)
{
    *m = (struct match){0};
    if (!args->match) return true;
    if (!control_find(settings_guard(args)))
        return fail(STATUS_USAGE, "--match: guard %s has no knob, wanted fewer-steps, zero, random "
                                  "or scale", settings_guard(args));
    if (args->layers)
        return fail(STATUS_USAGE, "--match: compares dW_total of one layer, got --layers");
    if (!journal_open(&m->journal, args->match, false)) return false;
    if (m->journal.header.tensor_count != 1)
        return fail(STATUS_USAGE, "--match: %s edits %zu layers, wanted one", args->match,
                    m->journal.header.tensor_count);
    if (m->journal.edit_count != data->count)
        return fail(STATUS_USAGE, "--match: %s has %zu edits, this run %zu requests; sums of "
                                  "different lengths say nothing", args->match,
                    m->journal.edit_count, data->count);
    return true;
}

void match_close(struct match *m)
{
    journal_free(&m->journal);
    *m = (struct match){0};
}

bool match_norm(const struct journal *journal, struct opened *o, double *norm)
{
    const struct tensor *tensor;
    struct trail trail = {0};
    bool ok = journal_base(journal, &o->weights, 0, &tensor) &&
              trail_read(&trail, journal, journal->header.tensors[0].layer) &&
              trail_norm(&o->dev, &trail, norm) &&
              (*norm > 0 || fail(STATUS_FAILED, "--match: the edits of %s add up to nothing",
                                 journal->where));
    trail_free(&trail);
    return ok;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    return trail_add(user, editor, edit);
}

bool match_trial(struct editor *editor, const struct dataset *data, double *norm)
{
    struct trail trail = {0};
    bool ok = sequence_run(editor, data->requests, (uint32_t)data->count, on_edit, &trail) &&
              trail_norm(editor->model->dev, &trail, norm);
    trail_free(&trail);
    return ok;
}

struct edit_trial { // of `oedit edit`
    struct opened *o;
    const struct args *args;
    const struct dataset *data;
    const struct sequence_options *options;
};

// The model is opened anew behind it: an edited layer is kept as f32, and what follows must not be
// computed with other bits than it would have been alone.
static bool trial(void *user, double knob, double *norm)
{
    const struct edit_trial *t = user;
    struct opened *o = t->o;
    struct editor editor = {0};
    struct sequence_options own = *t->options;
    own.hparams = (struct hparams){0};
    bool ok = settings_open(&own.hparams, t->args, &o->model.config);
    own.hparams.knob = knob;
    ok = ok && editor_open(&editor, &o->model, &o->weights, &o->tokenizer, &own) &&
         match_trial(&editor, t->data, norm);
    editor_close(&editor);
    hparams_free(&own.hparams);
    opened_model_close(o);
    return ok && opened_model(o, t->args->model);
}

bool match_find(struct match *m, struct opened *o, const struct args *args,
                const struct dataset *data, const struct sequence_options *options)
{
    struct edit_trial t = {o, args, data, options};
    struct search s = {.control = control_find(settings_guard(args)), .first = (double)args->knob,
                       .within = MATCH_WITHIN, .runs = MATCH_RUNS, .try = trial, .user = &t};
    struct hparams h = {0};
    if (!match_norm(&m->journal, o, &s.wanted) ||
        !settings_open(&h, args, &o->model.config))
        return false;
    s.most = search_most(s.control, &h, o->model.config.dim, (uint32_t)data->count);
    hparams_free(&h);
    if (!search_knob(&s)) return false;
    m->knob = s.knob;
    m->norm = s.wanted;
    if (s.off <= s.within) return true;
    if (!s.control->whole)
        return fail(STATUS_FAILED, "--match: no knob of guard %s was found whose |dW_total| is "
                                   "%.5g; the nearest, %.9g, gives %.5g", settings_guard(args),
                    s.wanted, s.knob, s.norm);
    search_warn(&s);
    return true;
}
