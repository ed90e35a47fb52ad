#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/experiment.h"
#include "plot/chart.h"

enum { WIDTH = 900, HEIGHT = 600, SCALE = 2 };

struct drawing {
    const struct outcomes *outcomes;
    const struct args *args;
    const cJSON *chart; // as the file has it
};

// A series in the making, with room for its points.
struct drawn {
    struct series series[SERIES_MAX];
    double *x[SERIES_MAX], *y[SERIES_MAX], *spread[SERIES_MAX];
    uint32_t count;
};

static bool series_new(struct drawn *d, const char *name, uint32_t points)
{
    if (d->count == SERIES_MAX)
        return fail(STATUS_FAILED, "a chart of more than %d runs: --only, or 'group' in its runs",
                    SERIES_MAX);
    uint32_t i = d->count++;
    d->x[i] = mem_new(points, sizeof(double), "a chart");
    d->y[i] = mem_new(points, sizeof(double), "a chart");
    d->spread[i] = mem_new(points, sizeof(double), "a chart");
    d->series[i] = (struct series){.name = name, .x = d->x[i], .y = d->y[i],
                                   .spread = d->spread[i]};
    return d->x[i] && d->y[i] && d->spread[i];
}

static void point_add(struct drawn *d, double x, double y, double spread)
{
    uint32_t i = d->count - 1, at = d->series[i].count++;
    d->x[i][at] = x;
    d->y[i][at] = y;
    d->spread[i][at] = spread;
}

static void drawn_free(struct drawn *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        free(d->x[i]);
        free(d->y[i]);
        free(d->spread[i]);
    }
    *d = (struct drawn){0};
}

// Groups one after the other: the first outcome of each, NULL group being one too.
static bool group_first(const struct outcomes *o, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        const char *a = o->items[k].group, *b = o->items[i].group;
        if (a == b || (a && b && strcmp(a, b) == 0)) return false;
    }
    return true;
}

static bool group_same(const struct outcome *a, const struct outcome *b)
{
    return a->group == b->group || (a->group && b->group && strcmp(a->group, b->group) == 0);
}

// OUT/PARTS-joined.png of parts that are there, in small letters, anything odd as '-'.
static bool chart_write(const struct drawing *w, const struct chart *c, const char *kind,
                        const char *group, const char *measure)
{
    char name[200];
    snprintf(name, sizeof name, "%s%s%s%s%s", kind, group ? "-" : "", group ? group : "",
             measure ? "-" : "", measure ? measure : "");
    for (char *at = name; *at; at++) {
        unsigned char letter = (unsigned char)*at;
        *at = isalnum(letter) || strchr("+._", letter) ? (char)tolower(letter) : '-';
    }
    char *path = experiment_path(w->args, name, ".png");
    bool ok = path && chart_png(c, WIDTH, HEIGHT, SCALE, path);
    free(path);
    return ok;
}

static void title_of(const struct drawing *w, const char *what, const char *group,
                     char text[CHART_TEXT])
{
    const cJSON *model = cJSON_GetObjectItem(w->outcomes->manifest, "model");
    model = cJSON_GetObjectItem(model, "file");
    char base[64] = "";
    snprintf(base, sizeof base, "%.60s", cJSON_IsString(model) ? model->valuestring : "");
    char *end = strstr(base, ".gguf");
    if (end) *end = '\0';
    snprintf(text, CHART_TEXT, "%s%s%s, %s", group ? group : "", group ? ": " : "", what, base);
}

static struct axis axis_of(const struct column *c)
{
    struct axis axis = {.label = c->title, .low = NAN, .high = NAN};
    if (c->share) {
        axis.label = c->task ? "share of items answered right" : "share of requests";
        axis.low = 0;
        axis.high = 1;
    } else if (strcmp(c->name, "ppl") == 0) {
        axis.label = "perplexity";
        axis.logarithmic = true;
    } else if (strcmp(c->name, "norm") == 0) {
        axis.label = "largest singular value of all updates";
        axis.low = 0;
    }
    return axis;
}

static const char *long_title(const struct column *c)
{
    static const char *const words[][2] = {
        {"rel", "Reliability (Rel)"}, {"gen", "Generalisation (Gen)"}, {"loc", "Locality (Loc)"},
        {"avg", "Mean of Rel, Gen and Loc"}, {"success", "P(new) over P(true)"},
        {"ppl", "Perplexity"}, {"norm", "|dW|, all updates together"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i][0], c->name) == 0) return words[i][1];
    return c->title;
}

// Whether the chart's "measures" has the column; all without such a list.
static bool asked(const struct drawing *w, const struct column *c)
{
    const cJSON *list = cJSON_GetObjectItem(w->chart, "measures"), *item;
    if (!list) return true;
    cJSON_ArrayForEach(item, list)
        if (cJSON_IsString(item) && strcmp(item->valuestring, c->name) == 0) return true;
    return false;
}

static double state_edits(const struct outcomes *o, uint32_t s)
{
    return measure_of(cJSON_GetArrayItem(o->unedited, (int)s), "edits");
}

// One series a run: a measure against T.
static bool against_edits(const struct drawing *w, uint32_t first, const struct column *c,
                          struct drawn *d)
{
    const struct outcomes *o = w->outcomes;
    for (uint32_t i = first, seeds; i < o->count; i += seeds) {
        double mean, deviation;
        seeds = outcomes_seeds(o, i);
        if (!group_same(&o->items[i], &o->items[first])) continue;
        if (!series_new(d, o->items[i].label, o->items[i].state_count + 1)) return false;
        // What does not depend on the requests has a value before the first edit.
        const cJSON *before = cJSON_GetArrayItem(o->unedited, 0);
        if (c->task || strcmp(c->name, "ppl") == 0)
            point_add(d, 0, measure_of(before, c->name), 0);
        for (uint32_t s = 0; s < o->items[i].state_count; s++) {
            outcomes_mean(&o->items[i], seeds, s, c->name, &mean, &deviation);
            point_add(d, state_edits(o, s), mean, deviation);
        }
    }
    return true;
}

// One series a run: a measure after the last edit against how many edits came behind a request's.
static bool against_age(const struct drawing *w, uint32_t first, const struct column *c,
                        struct drawn *d)
{
    const struct outcomes *o = w->outcomes;
    enum { SEEDS = 64 };
    for (uint32_t i = first, seeds; i < o->count; i += seeds) {
        const struct outcome *x = &o->items[i];
        seeds = outcomes_seeds(o, i);
        if (!group_same(x, &o->items[first]) || !x->state_count) continue;
        const cJSON *bins = cJSON_GetObjectItem(x->states[x->state_count - 1], "by_age");
        uint32_t count = (uint32_t)cJSON_GetArraySize(bins), seen;
        if (!series_new(d, x->label, count)) return false;
        for (uint32_t b = 0; b < count; b++) {
            double values[SEEDS], mean, deviation;
            for (uint32_t k = 0; k < seeds && k < SEEDS; k++) {
                const cJSON *last = x[k].states[x[k].state_count - 1];
                const cJSON *ages = cJSON_GetObjectItem(last, "by_age");
                values[k] = measure_of(cJSON_GetArrayItem(ages, (int)b), c->name);
            }
            spread_of(values, seeds < SEEDS ? seeds : SEEDS, &mean, &deviation, &seen);
            const cJSON *bin = cJSON_GetArrayItem(bins, (int)b);
            // Ages from 0: their middle, counted from 1, so that it has a logarithm.
            double age = (measure_of(bin, "from") + measure_of(bin, "to")) / 2 + 1;
            point_add(d, age, mean, deviation);
        }
    }
    return true;
}

// One series a checkpoint: a measure against one of the runs' hyper-parameters.
static bool against_knob(const struct drawing *w, uint32_t first, const struct column *c,
                         const char *knob, char (*names)[32], struct drawn *d)
{
    const struct outcomes *o = w->outcomes;
    uint32_t states = (uint32_t)cJSON_GetArraySize(o->unedited);
    for (uint32_t s = 0; s < states && s < SERIES_MAX; s++) {
        snprintf(names[s], 32, "T = %.0f", state_edits(o, s));
        if (!series_new(d, names[s], o->count)) return false;
        for (uint32_t i = first, seeds; i < o->count; i += seeds) {
            double mean, deviation, at = measure_of(o->items[i].settings, knob);
            seeds = outcomes_seeds(o, i);
            if (!group_same(&o->items[i], &o->items[first]) || !isfinite(at)) continue;
            outcomes_mean(&o->items[i], seeds, s, c->name, &mean, &deviation);
            point_add(d, at, mean, deviation);
        }
    }
    return true;
}

static double widest(const struct drawn *d)
{
    double low = INFINITY, high = 0;
    for (uint32_t i = 0; i < d->count; i++)
        for (uint32_t k = 0; k < d->series[i].count; k++) {
            low = fmin(low, d->x[i][k]);
            high = fmax(high, d->x[i][k]);
        }
    return low > 0 ? high / low : 0;
}

// Whether there is a point at all that the axis has a place for.
static bool any(const struct drawn *d, const struct axis *y)
{
    for (uint32_t i = 0; i < d->count; i++)
        for (uint32_t k = 0; k < d->series[i].count; k++)
            if (isfinite(d->y[i][k]) && (!y->logarithmic || d->y[i][k] > 0)) return true;
    return false;
}

enum lines { LINES_EDITS, LINES_AGE, LINES_KNOB };

static bool lines_chart(const struct drawing *w, enum lines kind, uint32_t first,
                        const struct column *c)
{
    static const char *const files[] = {"checkpoints", "retention", "sweep"};
    const cJSON *knob = cJSON_GetObjectItem(w->chart, "knob");
    const struct outcomes *o = w->outcomes;
    const char *group = o->items[first].group;
    char title[CHART_TEXT], names[SERIES_MAX][32], what[80];
    struct drawn d = {0};
    struct chart chart = {.kind = CHART_LINES, .title = title, .y = axis_of(c),
                          .x = {.label = "edits", .low = NAN, .high = NAN}};
    bool ok = kind == LINES_EDITS ? against_edits(w, first, c, &d)
              : kind == LINES_AGE ? against_age(w, first, c, &d)
                                  : against_knob(w, first, c, knob->valuestring, names, &d);
    snprintf(what, sizeof what, "%s", long_title(c));
    chart.x.whole = kind != LINES_KNOB;
    chart.x.logarithmic = kind == LINES_AGE || (kind == LINES_KNOB && widest(&d) > 20);
    if (kind == LINES_AGE) {
        chart.x.label = "age of the edit (1: the last one)";
        chart.x.unit = "edits";
        snprintf(what, sizeof what, "%s by age, after %u edits", long_title(c), o->edits);
    }
    if (kind == LINES_KNOB) chart.x.label = knob->valuestring;
    title_of(w, what, group, title);
    chart.series = d.series;
    chart.series_count = d.count;
    if (ok && any(&d, &chart.y)) ok = chart_write(w, &chart, files[kind], group, c->name);
    drawn_free(&d);
    return ok;
}

static bool lines_charts(const struct drawing *w, enum lines kind)
{
    struct column columns[COLUMNS_MAX];
    uint32_t count = outcomes_columns(w->outcomes, columns);
    for (uint32_t i = 0; i < w->outcomes->count; i++)
        for (uint32_t c = 0; group_first(w->outcomes, i) && c < count; c++)
            if (asked(w, &columns[c]) &&
                (kind != LINES_AGE || (columns[c].share && !columns[c].task)) &&
                !lines_chart(w, kind, i, &columns[c]))
                return false;
    return true;
}

// Fig. 4: one map a run, all with the same colours.
static bool cosine_charts(const struct drawing *w)
{
    const struct outcomes *o = w->outcomes;
    double wanted = measure_of(w->chart, "edits"), high = 0;
    uint32_t n = isfinite(wanted) && wanted >= 2 ? (uint32_t)wanted : 50;
    if (n > o->edits) n = o->edits;
    size_t cells = (size_t)n * n;
    double *all = mem_new(cells * o->count, sizeof *all, "a chart");
    bool ok = all != NULL;
    for (uint32_t i = 0, seeds; ok && i < o->count; i += seeds) {
        seeds = outcomes_seeds(o, i);
        if (!outcome_has_keys(&o->items[i])) continue;
        ok = cosines_of(w->args, &o->items[i], n, all + i * cells);
        for (size_t k = 0; ok && k < cells; k++)
            if (all[i * cells + k] > high) high = all[i * cells + k];
    }
    for (uint32_t i = 0, seeds; ok && high > 0 && i < o->count; i += seeds) {
        char title[CHART_TEXT], what[80];
        seeds = outcomes_seeds(o, i);
        if (!outcome_has_keys(&o->items[i])) continue;
        snprintf(what, sizeof what, "Overlap of the first %u updates", n);
        title_of(w, what, o->items[i].label, title);
        struct chart chart = {.kind = CHART_HEAT, .title = title, .cells = all + i * cells,
                              .rows = n, .cols = n, .x = {.label = "edit", .whole = true},
                              .y = {.label = "edit", .whole = true},
                              .colour = {.label = "|cos| of two updates' columns", .low = 0,
                                         .high = high}};
        ok = chart_write(w, &chart, "cosines", o->items[i].name, NULL);
    }
    free(all);
    return ok;
}

// Fig. 5 and 8: a point an edit.
static bool activation_charts(const struct drawing *w)
{
    const struct outcomes *o = w->outcomes;
    for (int own = 0; own < 2; own++) {
        char title[CHART_TEXT];
        struct drawn d = {0};
        bool ok = true;
        for (uint32_t i = 0, seeds; ok && i < o->count; i += seeds) {
            struct activation a = {0};
            seeds = outcomes_seeds(o, i);
            if (!outcome_has_keys(&o->items[i])) continue;
            ok = activation_of(w->args, &o->items[i], &a) &&
                 series_new(&d, o->items[i].label, a.edits);
            for (uint32_t k = 0; ok && k < a.edits; k++)
                point_add(&d, k + 1, own ? a.own[k] : a.unrelated[k], 0);
            activation_free(&a);
        }
        const char *words = own ? "Activation by the edit's own update"
                                : "Activation by unrelated updates";
        title_of(w, words, NULL, title);
        struct chart chart = {.kind = CHART_POINTS, .title = title, .series = d.series,
                              .series_count = d.count,
                              .x = {.label = "edit", .low = NAN, .high = NAN, .whole = true},
                              .y = {.label = own ? "|dW_j k_j|" : "|(dW - dW_j) k_j|",
                                    .low = NAN, .high = NAN, .logarithmic = true}};
        const char *which = own ? "own" : "unrelated";
        if (ok && any(&d, &chart.y)) ok = chart_write(w, &chart, "activation", NULL, which);
        drawn_free(&d);
        if (!ok) return false;
    }
    return true;
}

static const char *const kinds[] = {"checkpoints", "retention", "sweep", "cosines", "activation"};
enum { KIND_SWEEP = 2, KINDS = sizeof kinds / sizeof *kinds };

static int kind_of(const cJSON *chart)
{
    const cJSON *kind = cJSON_GetObjectItem(chart, "kind");
    for (int i = 0; i < KINDS && cJSON_IsString(kind); i++)
        if (strcmp(kinds[i], kind->valuestring) == 0) return i;
    return -1;
}

bool charts_check(const struct experiment *x, bool *keys)
{
    const cJSON *chart;
    *keys = false;
    cJSON_ArrayForEach(chart, cJSON_GetObjectItem(x->root, "charts"))
    {
        int kind = kind_of(chart);
        const cJSON *word = cJSON_GetObjectItem(chart, "kind");
        const char *said = cJSON_IsString(word) ? word->valuestring : "";
        const char *nearest = options_nearest(said, kinds, KINDS);
        if (kind < 0)
            return fail(STATUS_BAD_DATA, "%s: a chart of the kind '%s'%s%s%s", x->where, said,
                        nearest ? "; did you mean " : ", wanted checkpoints, retention, sweep, "
                                                      "cosines or activation",
                        nearest ? nearest : "", nearest ? "?" : "");
        if (kind == KIND_SWEEP && !cJSON_IsString(cJSON_GetObjectItem(chart, "knob")))
            return fail(STATUS_BAD_DATA, "%s: a chart 'sweep' wants 'knob', the name of a "
                                         "hyper-parameter", x->where);
        *keys = *keys || strcmp(said, "activation") == 0;
    }
    return true;
}

bool charts_write(const struct outcomes *o, const struct experiment *x, const struct args *args)
{
    const cJSON *chart;
    bool ok = true;
    if (o->count == 0) return true;
    cJSON_ArrayForEach(chart, cJSON_GetObjectItem(x->root, "charts"))
    {
        struct drawing w = {.outcomes = o, .args = args, .chart = chart};
        int kind = kind_of(chart);
        if (ok && kind <= KIND_SWEEP) ok = lines_charts(&w, (enum lines)kind);
        else if (ok) ok = strcmp(kinds[kind], "cosines") == 0 ? cosine_charts(&w)
                                                              : activation_charts(&w);
    }
    return ok;
}
