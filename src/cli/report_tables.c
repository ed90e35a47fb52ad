#include <math.h>
#include <string.h>

#include "base/html.h"
#include "cli/report.h"

// A number's cell; bar: it is a share, and has its length drawn behind it.
static void cell(FILE *to, double mean, double deviation, uint32_t seeds, bool bar)
{
    if (!isfinite(mean)) {
        fputs("<td class=\"none\">\u2013</td>", to);
        return;
    }
    int digits = fabs(mean) < 10 ? 3 : 1;
    fprintf(to, "<td data-value=\"%.9g\"", mean);
    if (bar)
        fprintf(to, " class=\"bar\" style=\"--share:%.1f%%\"", 100 * fmin(fmax(mean, 0), 1));
    fprintf(to, ">%.*f", digits, mean);
    if (seeds > 1) fprintf(to, " <small>\u00b1\u00a0%.*f</small>", digits, deviation);
    fputs("</td>", to);
}

static void table_begin(FILE *to, const char *caption, bool seen)
{
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", to);
    html_text(to, caption);
    fprintf(to, "\"><table class=\"sortable\"><caption%s>", seen ? "" : " class=\"unseen\"");
    html_text(to, caption);
    fputs("</caption><thead><tr>", to);
}

// Numbers stand right, texts left.
enum kind { NUMBERS, TEXTS };

static void head(FILE *to, enum kind kind, const char *name, const char *title)
{
    fprintf(to, "<th scope=\"col\"%s", kind == TEXTS ? " class=\"text\"" : "");
    if (title) {
        fputs(" title=\"", to);
        html_text(to, title);
        fputc('"', to);
    }
    fputc('>', to);
    html_text(to, name);
    fputs("</th>", to);
}

static void row_head(FILE *to, const char *label)
{
    fputs("<tr><th scope=\"row\"><bdi>", to);
    html_text(to, label);
    fputs("</bdi></th>", to);
}

static const char table_end[] = "</tbody></table></div>\n";

// After one checkpoint's edits.
static void state_table(FILE *to, const struct outcomes *o, uint32_t s,
                        const struct column *columns, uint32_t count)
{
    const cJSON *before = cJSON_GetArrayItem(o->unedited, (int)s);
    char caption[64];
    double edits = measure_of(before, "edits");
    snprintf(caption, sizeof caption, "After %.0f edit%s", edits, edits == 1 ? "" : "s");
    table_begin(to, caption, true);
    head(to, TEXTS, "Method", NULL);
    for (uint32_t c = 0; c < count; c++) head(to, NUMBERS, columns[c].title, NULL);
    fputs("</tr></thead><tbody class=\"fixed\">", to);
    row_head(to, "unedited");
    for (uint32_t c = 0; c < count; c++)
        cell(to, measure_of(before, columns[c].name), 0, 1, columns[c].share);
    fputs("</tr></tbody><tbody>", to);
    for (uint32_t i = 0, seeds; i < o->count; i += seeds) {
        seeds = outcomes_seeds(o, i);
        row_head(to, o->items[i].label);
        for (uint32_t c = 0; c < count; c++) {
            double mean, deviation;
            uint32_t seen = outcomes_mean(&o->items[i], seeds, s, columns[c].name, &mean,
                                          &deviation);
            cell(to, mean, deviation, seen, columns[c].share);
        }
        fputs("</tr>\n", to);
    }
    fputs(table_end, to);
}

static double seconds(const struct report *r, uint32_t first, uint32_t seeds)
{
    double sum = 0;
    for (uint32_t k = 0; k < seeds; k++) sum += report_seconds(r, &r->outcomes.items[first + k]);
    return sum / seeds;
}

static void edits_table(FILE *to, const struct report *r, const struct column *columns,
                        uint32_t count)
{
    static const struct {
        const char *name, *title, *about;
    } values[] = {{"steps", "Steps", "looks at the loss"},
                  {"realised", "Realised", "part of the wanted change that the edit makes"},
                  {"kept", "Kept", "part of it that is left after projection"},
                  {"dw", "\u2016dW_i\u2016", "size of one edit's update"}};
    enum { VALUES = sizeof values / sizeof *values };
    const struct outcomes *o = &r->outcomes;
    fputs("<p class=\"hint\">Measured right after each edit, and of the edits themselves:</p>", to);
    table_begin(to, "Means over the edits", true);
    head(to, TEXTS, "Method", NULL);
    for (uint32_t c = 0; c < count; c++)
        if (columns[c].share && !columns[c].task)
            head(to, NUMBERS, columns[c].title, "right after the edit");
    for (uint32_t v = 0; v < VALUES; v++) head(to, NUMBERS, values[v].title, values[v].about);
    if (r->times) head(to, NUMBERS, "Seconds", "to make an edit, without measuring it");
    fputs("</tr></thead><tbody>", to);
    for (uint32_t i = 0, seeds, seen; i < o->count; i += seeds) {
        const struct outcome *x = &o->items[i];
        double mean, deviation;
        seeds = outcomes_seeds(o, i);
        row_head(to, x->label);
        for (uint32_t c = 0; c < count; c++) {
            if (!columns[c].share || columns[c].task) continue;
            outcomes_over_edits(x, seeds, "right_after", columns[c].name, &mean, &deviation, &seen);
            cell(to, mean, deviation, seen, true);
        }
        for (uint32_t v = 0; v < VALUES; v++) {
            outcomes_over_edits(x, seeds, NULL, values[v].name, &mean, &deviation, &seen);
            cell(to, mean, deviation, seen, false);
        }
        if (r->times) cell(to, seconds(r, i, seeds), 0, 1, false);
        fputs("</tr>\n", to);
    }
    fputs(table_end, to);
}

// Whether there is such a value of any run: at a checkpoint, or right after an edit.
static bool at_checkpoints(const struct outcomes *o, const char *name)
{
    for (uint32_t i = 0; i < o->count; i++)
        for (uint32_t s = 0; s < o->items[i].state_count; s++)
            if (isfinite(measure_of(o->items[i].states[s], name))) return true;
    return false;
}

static bool after_edits(const struct outcomes *o, const char *name)
{
    const cJSON *line;
    for (uint32_t i = 0; i < o->count; i++)
        cJSON_ArrayForEach(line, o->items[i].lines)
            if (isfinite(measure_of(cJSON_GetObjectItem(line, "right_after"), name))) return true;
    return false;
}

static uint32_t columns_of(const struct outcomes *o, struct column columns[COLUMNS_MAX],
                           bool (*has)(const struct outcomes *o, const char *name))
{
    uint32_t count = outcomes_columns(o, columns), kept = 0;
    for (uint32_t c = 0; c < count; c++)
        if (has(o, columns[c].name)) columns[kept++] = columns[c];
    return kept;
}

void report_results(const struct report *r, FILE *to)
{
    const struct outcomes *o = &r->outcomes;
    struct column columns[COLUMNS_MAX], immediate[COLUMNS_MAX];
    uint32_t count = columns_of(o, columns, at_checkpoints);
    uint32_t states = (uint32_t)cJSON_GetArraySize(o->unedited);
    if (o->count == 0) {
        fputs("<p>No run is finished yet.</p>\n", to);
        return;
    }
    if (states) state_table(to, o, states - 1, columns, count);
    edits_table(to, r, immediate, columns_of(o, immediate, after_edits));
    if (states > 1) fputs("<details><summary>Earlier checkpoints</summary>\n", to);
    for (uint32_t s = 0; s + 1 < states; s++) state_table(to, o, s, columns, count);
    if (states > 1) fputs("</details>\n", to);
}

// How many edits had every target token on top right after them; *seen: that were measured.
static uint32_t right(const struct outcome *x, uint32_t *seen)
{
    const cJSON *line;
    uint32_t count = 0;
    *seen = 0;
    cJSON_ArrayForEach(line, x->lines)
    {
        double rel = measure_of(cJSON_GetObjectItem(line, "right_after"), "rel");
        if (!isfinite(rel)) continue;
        count += rel >= 1;
        (*seen)++;
    }
    return count;
}

static void text_cell(FILE *to, const char *text)
{
    fputs("<td class=\"text\"><bdi>", to);
    html_text(to, text);
    fputs("</bdi></td>", to);
}

void report_runs(const struct report *r, FILE *to)
{
    const struct outcome *x;
    table_begin(to, "Runs", false);
    head(to, TEXTS, "Run", NULL);
    head(to, TEXTS, "Solver", NULL);
    head(to, TEXTS, "Guard", NULL);
    head(to, NUMBERS, "Seed", NULL);
    head(to, NUMBERS, "Edits", NULL);
    head(to, NUMBERS, "Ok right after", "edits whose new answer is on top right after them");
    head(to, TEXTS, "State", NULL);
    fputs("</tr></thead><tbody>", to);
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        const cJSON *settings = report_settings(x);
        uint32_t seen, count = right(x, &seen), done = report_done(x);
        row_head(to, x->label);
        text_cell(to, report_text(settings, "solver"));
        text_cell(to, report_text(settings, "guard"));
        fprintf(to, "<td data-value=\"%.0f\">%.0f</td>", report_seed(x), report_seed(x));
        fprintf(to, "<td data-value=\"%u\">%u of %u</td>", done, done, r->outcomes.edits);
        if (seen) fprintf(to, "<td data-value=\"%.6g\">%u of %u</td>", (double)count / seen, count,
                          seen);
        else cell(to, NAN, 0, 0, false);
        text_cell(to, i < r->outcomes.count ? "finished" : done ? "unfinished" : "not begun");
        fputs("</tr>\n", to);
    }
    fputs(table_end, to);
}
