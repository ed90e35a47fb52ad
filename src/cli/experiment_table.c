#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "cli/experiment.h"

static const char *text_at(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static void cell(FILE *to, double mean, double deviation, uint32_t seeds)
{
    int digits = fabs(mean) < 10 ? 3 : 1;
    if (!isfinite(mean)) fprintf(to, " - |");
    else if (seeds > 1) fprintf(to, " %.*f \u00b1 %.*f |", digits, mean, digits, deviation);
    else fprintf(to, " %.*f |", digits, mean);
}

static void head(FILE *to, const struct outcomes *o, const struct column *columns, uint32_t count,
                 uint32_t states)
{
    fprintf(to, "| Method |");
    for (uint32_t s = 0; s < states; s++)
        for (uint32_t c = 0; c < count; c++) {
            const cJSON *state = cJSON_GetArrayItem(o->unedited, (int)s);
            if (c == 0) fprintf(to, " T = %.0f:", measure_of(state, "edits"));
            fprintf(to, " %s |", columns[c].title);
        }
    fprintf(to, "\n|---|");
    for (uint32_t i = 0; i < states * count; i++) fprintf(to, "--:|");
    fprintf(to, "\n| unedited |");
    for (uint32_t s = 0; s < states; s++)
        for (uint32_t c = 0; c < count; c++)
            cell(to, measure_of(cJSON_GetArrayItem(o->unedited, (int)s), columns[c].name), 0, 1);
    fputc('\n', to);
}

static void label(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '|') fputc('\\', to);
        fputc(*text, to);
    }
}

static void title(FILE *to, const struct outcomes *o)
{
    const cJSON *m = o->manifest;
    fprintf(to, "# %s\n\nModel %s, data %s, %u edits; %s, %s, %s. Made by oedit %s.\n",
            text_at(m, "title"), text_at(cJSON_GetObjectItem(m, "model"), "file"),
            text_at(cJSON_GetObjectItem(m, "data"), "file"), o->edits, text_at(m, "device"),
            text_at(m, "driver"), text_at(m, "precision"), text_at(m, "version"));
    fprintf(to, "Mean \u00b1 standard deviation where a run has several seeds.\n\n");
}

// After all T edits, at each checkpoint.
static void final_table(FILE *to, const struct outcomes *o, const struct column *columns,
                        uint32_t count)
{
    uint32_t states = (uint32_t)cJSON_GetArraySize(o->unedited);
    head(to, o, columns, count, states);
    for (uint32_t i = 0, seeds; i < o->count; i += seeds) {
        seeds = outcomes_seeds(o, i);
        fprintf(to, "| ");
        label(to, o->items[i].label);
        fprintf(to, " |");
        for (uint32_t s = 0; s < states; s++)
            for (uint32_t c = 0; c < count; c++) {
                double mean, deviation;
                uint32_t seen = outcomes_mean(&o->items[i], seeds, s, columns[c].name, &mean,
                                              &deviation);
                cell(to, mean, deviation, seen);
            }
        fputc('\n', to);
    }
}

// The mean over a run's edits of what was measured right after each, or of a value of each edit.
static double over_edits(const struct outcome *x, const char *object, const char *name)
{
    const cJSON *line;
    double sum = 0;
    uint32_t seen = 0;
    cJSON_ArrayForEach(line, x->lines)
    {
        double value = measure_of(object ? cJSON_GetObjectItem(line, object) : line, name);
        if (!isfinite(value)) continue;
        sum += value;
        seen++;
    }
    return seen ? sum / seen : NAN;
}

void outcomes_over_edits(const struct outcome *x, uint32_t seeds, const char *object,
                         const char *name, double *mean, double *deviation, uint32_t *seen)
{
    enum { SEEDS = 64 };
    double values[SEEDS];
    uint32_t count = seeds < SEEDS ? seeds : SEEDS;
    for (uint32_t k = 0; k < count; k++) values[k] = over_edits(&x[k], object, name);
    spread_of(values, count, mean, deviation, seen);
}

static void immediate_table(FILE *to, const struct outcomes *o, const struct column *columns,
                            uint32_t count)
{
    static const struct {
        const char *name, *title;
    } values[] = {{"steps", "Steps"}, {"realised", "Realised"}, {"kept", "Kept"},
                  {"dw", "\u2016dW_i\u2016"}};
    enum { VALUES = sizeof values / sizeof *values };
    uint32_t shares = 0;
    fprintf(to, "\nMeans over the edits: right after each, and of the edits themselves.\n\n"
                "| Method |");
    for (uint32_t c = 0; c < count; c++)
        if (columns[c].share && !columns[c].task)
            fprintf(to, " %s |", columns[c].title), shares++;
    for (uint32_t v = 0; v < VALUES; v++) fprintf(to, " %s |", values[v].title);
    fprintf(to, "\n|---|");
    for (uint32_t i = 0; i < shares + VALUES; i++) fprintf(to, "--:|");
    fputc('\n', to);
    for (uint32_t i = 0, seeds; i < o->count; i += seeds) {
        double mean, deviation;
        uint32_t seen;
        seeds = outcomes_seeds(o, i);
        fprintf(to, "| ");
        label(to, o->items[i].label);
        fprintf(to, " |");
        for (uint32_t c = 0; c < count; c++) {
            if (!columns[c].share || columns[c].task) continue;
            const char *name = columns[c].name;
            outcomes_over_edits(&o->items[i], seeds, "right_after", name, &mean, &deviation, &seen);
            cell(to, mean, deviation, seen);
        }
        for (uint32_t v = 0; v < VALUES; v++) {
            outcomes_over_edits(&o->items[i], seeds, NULL, values[v].name, &mean, &deviation,
                                &seen);
            cell(to, mean, deviation, seen);
        }
        fputc('\n', to);
    }
}

static void csv_row(FILE *to, const struct outcome *x, double edits, const char *measure,
                    double mean, double deviation, uint32_t seeds)
{
    fprintf(to, "%s,\"", x->name);
    for (const char *c = x->label; *c; c++) fprintf(to, *c == '"' ? "\"\"" : "%c", *c);
    fprintf(to, "\",%.0f,%s,", edits, measure);
    if (seeds) fprintf(to, "%.6g,%.6g,%u\n", mean, deviation, seeds);
    else fprintf(to, ",,0\n");
}

static void csv(FILE *to, const struct outcomes *o, const struct column *columns, uint32_t count)
{
    double mean, deviation;
    uint32_t states = (uint32_t)cJSON_GetArraySize(o->unedited), seen;
    fprintf(to, "run,label,edits,measure,mean,deviation,seeds\n");
    for (uint32_t s = 0; s < states; s++)
        for (uint32_t c = 0; c < count; c++) {
            static const struct outcome none = {.name = "unedited", .label = "unedited"};
            const cJSON *state = cJSON_GetArrayItem(o->unedited, (int)s);
            mean = measure_of(state, columns[c].name);
            csv_row(to, &none, measure_of(state, "edits"), columns[c].name, mean, 0,
                    isfinite(mean) ? 1 : 0);
        }
    for (uint32_t i = 0, seeds; i < o->count; i += seeds) {
        const struct outcome *x = &o->items[i];
        seeds = outcomes_seeds(o, i);
        for (uint32_t s = 0; s < states; s++)
            for (uint32_t c = 0; c < count; c++) {
                seen = outcomes_mean(x, seeds, s, columns[c].name, &mean, &deviation);
                csv_row(to, x, measure_of(cJSON_GetArrayItem(o->unedited, (int)s), "edits"),
                        columns[c].name, mean, deviation, seen);
            }
        for (uint32_t c = 0; c < count; c++) {
            char name[64];
            if (!columns[c].share || columns[c].task) continue;
            outcomes_over_edits(x, seeds, "right_after", columns[c].name, &mean, &deviation, &seen);
            snprintf(name, sizeof name, "right_after_%s", columns[c].name);
            csv_row(to, x, o->edits, name, mean, deviation, seen);
        }
    }
}

bool tables_write(const struct outcomes *o, const struct args *args)
{
    struct column columns[COLUMNS_MAX];
    uint32_t count = outcomes_columns(o, columns);
    for (int which = 0; which < 2; which++) {
        char *path = experiment_path(args, "table", which ? ".csv" : ".md");
        struct file_out out;
        bool ok = path && file_out_open(&out, path);
        if (ok && which) csv(out.stream, o, columns, count);
        if (ok && !which) {
            title(out.stream, o);
            final_table(out.stream, o, columns, count);
            immediate_table(out.stream, o, columns, count);
            if (!args->quiet && !args->json) final_table(stdout, o, columns, count);
        }
        if (ok && ferror(out.stream)) ok = fail(STATUS_FAILED, "cannot write %s", path);
        if (ok || path) ok = ok && file_out_close(&out, ok);
        free(path);
        if (!ok) return false;
    }
    return true;
}
