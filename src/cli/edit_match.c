#include "cli/edit_match.h"

#include <math.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/status.h"
#include "cli/settings.h"
#include "cli/trail_geometry.h"
#include "edit/controls.h"

static const double WITHIN = 0.05; // of the norm

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

static bool norm_wanted(struct match *m, struct opened *o)
{
    const struct tensor *tensor;
    struct trail trail = {0};
    bool ok = journal_base(&m->journal, &o->weights, 0, &tensor) &&
              trail_read(&trail, &m->journal, m->journal.header.tensors[0].layer) &&
              trail_norm(&o->dev, &trail, &m->norm) &&
              (m->norm > 0 || fail(STATUS_FAILED, "--match: the edits of %s add up to nothing",
                                   m->journal.where));
    trail_free(&trail);
    return ok;
}

static bool on_edit(void *user, const struct editor *editor, const struct edit *edit)
{
    return trail_add(user, editor, edit);
}

// One whole sequence. The model is opened anew behind it: an edited layer is kept as f32, and what
// follows must not be computed with other bits than it would have been alone.
static bool trial(struct opened *o, const struct args *args, const struct dataset *data,
                  const struct sequence_options *options, double knob, double *norm)
{
    struct editor editor = {0};
    struct trail trail = {0};
    struct sequence_options own = *options;
    own.hparams = (struct hparams){0};
    bool ok = settings_open(&own.hparams, args, &o->model.config);
    own.hparams.knob = knob;
    ok = ok && editor_open(&editor, &o->model, &o->weights, &o->tokenizer, &own) &&
         sequence_run(&editor, data->requests, (uint32_t)data->count, on_edit, &trail) &&
         trail_norm(&o->dev, &trail, norm);
    editor_close(&editor);
    hparams_free(&own.hparams);
    trail_free(&trail);
    opened_model_close(o);
    return ok && opened_model(o, args->model);
}

// Knobs between which the wanted one lies, by what the norm is there; NAN: not known.
struct bracket {
    double start; // where nothing of dW is left
    double small, small_norm; // where the norm is too small
    double large, large_norm;
};

// On the line through both ends, or while the large one is not known, through the small one and the
// start; kept away from the ends. The middle at first.
static double next(const struct bracket *b, const struct control *c, double wanted)
{
    double part = (wanted - b->small_norm) / (b->large_norm - b->small_norm);
    if (isnan(b->large_norm) && b->small_norm > 0)
        part = (b->small - b->start) / (b->large - b->small) * (wanted / b->small_norm - 1);
    if (isnan(part)) part = 0.5;
    double x = b->small + fmin(fmax(part, 0.1), 0.9) * (b->large - b->small);
    return c->whole ? round(x) : (double)(float)x; // as --knob reads it
}

// At the one end of the knob's range nothing of dW is left; at the other all of it.
static bool bracket_of(const struct control *c, const struct opened *o, const struct args *args,
                       const struct dataset *data, struct bracket *b)
{
    struct hparams h = {0};
    double most = c->most;
    if (!settings_open(&h, args, &o->model.config)) return false;
    if (c->whole) most = h.steps;
    if (c->most > 1 && !c->whole) most = (double)o->model.config.dim / (double)data->count;
    hparams_free(&h);
    *b = (struct bracket){.start = c->falls ? most : 0, .large = c->falls ? 0 : most,
                          .large_norm = NAN};
    b->small = b->start;
    if (c->whole) b->large = most + 1; // so that the last one is tried
    return true;
}

bool match_find(struct match *m, struct opened *o, const struct args *args,
                const struct dataset *data, const struct sequence_options *options)
{
    const char *guard = settings_guard(args);
    const struct control *c = control_find(guard);
    struct bracket b;
    double best = INFINITY, best_norm = 0;
    if (!norm_wanted(m, o) || !bracket_of(c, o, args, data, &b)) return false;
    const double range = fabs(b.large - b.small);
    double x = args->knob > 0 ? (double)args->knob : next(&b, c, m->norm), norm = 0;
    for (uint32_t run = 1; run <= MATCH_RUNS && best > WITHIN; run++) {
        if (!interrupt_check() || !trial(o, args, data, options, x, &norm)) return false;
        log_say("match %u: knob %.9g of guard %s gives |dW_total| = %.5g, wanted %.5g", run, x,
                guard, norm, m->norm);
        if (fabs(norm / m->norm - 1) < best) {
            best = fabs(norm / m->norm - 1);
            best_norm = norm;
            m->knob = x;
        }
        if (norm < m->norm)
            b.small = x, b.small_norm = norm;
        else
            b.large = x, b.large_norm = norm;
        x = next(&b, c, m->norm);
        if (x == b.small || x == b.large || fabs(b.large - b.small) < 0.01 * range) break;
    }
    if (best <= WITHIN) return true;
    if (!c->whole)
        return fail(STATUS_FAILED, "--match: no knob of guard %s was found whose |dW_total| is "
                                   "%.5g; the nearest, %.9g, gives %.5g", guard, m->norm, m->knob,
                    best_norm);
    log_warn("--match: the nearest knob of guard %s, %.0f, gives |dW_total| = %.5g, %.0f%% from "
             "%.5g", guard, m->knob, best_norm, 100 * best, m->norm);
    return true;
}
