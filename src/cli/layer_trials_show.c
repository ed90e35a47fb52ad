#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/layer_trials.h"
#include "plot/chart.h"

const char *const trial_figure_names[TRIAL_FIGURES] = {"rel", "gen", "loc", "dw"};

static void share(double x)
{
    if (isnan(x)) printf("  %5s", "-");
    else printf("  %5.2f", x);
}

void layer_trials_print(const struct layer_trials *t, const uint32_t *order)
{
    printf("\ntrial edits (%s), each of a record alone\n"
           "layer  edits    Rel    Gen    Loc   mean      |dW|\n", t->solver);
    for (uint32_t i = 0; i < t->layers; i++) {
        uint32_t n = order[i];
        if (!t->done[n]) continue;
        printf("%5u  %5u", n, t->done[n]);
        for (int f = TRIAL_REL; f <= TRIAL_LOC; f++)
            share(layer_trials_mean(t, n, (enum trial_figure)f));
        share(layer_trials_score(t, n));
        printf("  %8.3g\n", layer_trials_mean(t, n, TRIAL_NORM));
    }
}

static cJSON *layer_json(const struct layer_trials *t, uint32_t layer, const struct dataset *data)
{
    cJSON *one = cJSON_CreateObject(), *list;
    cJSON_AddNumberToObject(one, "layer", layer);
    for (int f = 0; f < TRIAL_FIGURES; f++)
        json_number(one, trial_figure_names[f], layer_trials_mean(t, layer, (enum trial_figure)f));
    json_number(one, "mean", layer_trials_score(t, layer));
    list = cJSON_AddArrayToObject(one, "records");
    for (uint32_t i = 0; i < t->done[layer]; i++) {
        cJSON *record = cJSON_CreateObject();
        cJSON_AddNumberToObject(record, "id", (double)data->requests[i].id);
        for (int f = 0; f < TRIAL_FIGURES; f++)
            json_number(record, trial_figure_names[f],
                        t->figures[(size_t)layer * t->records + i][f]);
        json_append(list, record);
    }
    return one;
}

bool layer_trials_json(const struct layer_trials *t, const struct dataset *data, cJSON *to)
{
    cJSON *trials = cJSON_AddObjectToObject(to, "trials");
    cJSON_AddStringToObject(trials, "solver", t->solver);
    cJSON_AddNumberToObject(trials, "records", t->records);
    cJSON_AddNumberToObject(trials, "planned", t->planned);
    cJSON *list = cJSON_AddArrayToObject(trials, "layers");
    for (uint32_t i = 0; i < t->layers; i++)
        if (t->done[i] && !json_append(list, layer_json(t, i, data))) return false;
    return true;
}

bool layer_trials_chart(const struct layer_trials *t, const char *path)
{
    static const char *const rows[] = {"Rel", "Gen", "Loc", "mean"};
    enum { ROWS = sizeof rows / sizeof *rows };
    double *cells = mem_new((size_t)ROWS * t->layers, sizeof *cells, "a chart");
    if (!cells) return false;
    for (uint32_t i = 0; i < t->layers; i++) {
        for (int f = TRIAL_REL; f <= TRIAL_LOC; f++)
            cells[(size_t)f * t->layers + i] = layer_trials_mean(t, i, (enum trial_figure)f);
        cells[(size_t)(ROWS - 1) * t->layers + i] = layer_trials_score(t, i);
    }
    struct chart chart = {
        .kind = CHART_HEAT, .title = "Trial edits, each of a record alone; grey: not tried",
        .cells = cells, .rows = ROWS, .cols = t->layers, .row_names = rows, .from_zero = true,
        .x = {.label = "layer", .whole = true}, .y = {.label = "measure"},
        .colour = {.label = "share", .low = 0, .high = 1}};
    bool ok = chart_png(&chart, 900, 240, 2, path);
    if (ok) log_say("wrote %s", path);
    free(cells);
    return ok;
}
