#include "cli/bench_report.h"

#include <string.h>

#include "base/json.h"
#include "base/status.h"

enum { CELL = 256, COLUMNS_MAX = 18 };

// Three digits that matter, without an exponent where that is short.
static void figure(char text[CELL], double x)
{
    int decimals = x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : x >= 0.1 ? 3 : 4;
    if (x == 0)
        snprintf(text, CELL, "0");
    else if (x < 0.001)
        snprintf(text, CELL, "%.1e", x);
    else
        snprintf(text, CELL, "%.*f", decimals, x);
}

static double rate(double what, const struct bench_row *r)
{
    return r->median > 0 ? 1e-9 * what / r->median : 0;
}

// Which part of the time the device's measured peaks would take; the scarcer one counts.
static double of_peak(const struct bench *b, const struct bench_row *r, const char **limit)
{
    double compute = b->peak_flops > 0 ? r->flops / b->peak_flops : 0;
    double memory = b->peak_bytes > 0 ? r->bytes / b->peak_bytes : 0;
    *limit = compute > memory ? "fma" : "mem";
    if (!(r->median > 0)) return 0;
    return (compute > memory ? compute : memory) / r->median;
}

#define CELL_OF(name)                                                                              \
    static void cell_##name(const struct bench *b, const struct bench_row *r, char t[CELL])
#define UNUSED (void)b, (void)r

CELL_OF(name) { UNUSED; snprintf(t, CELL, "%s", r->name); }
CELL_OF(what) { UNUSED; snprintf(t, CELL, "%s", r->what); }
CELL_OF(model) { UNUSED; snprintf(t, CELL, "%s", r->model ? r->model : ""); }
CELL_OF(dtype) { UNUSED; snprintf(t, CELL, "%s", r->dtype ? r->dtype : ""); }
CELL_OF(rows) { UNUSED; r->rows ? snprintf(t, CELL, "%u", r->rows) : snprintf(t, CELL, "-"); }
CELL_OF(repeats) { UNUSED; snprintf(t, CELL, "%u", r->repeats); }
CELL_OF(dispatches) { UNUSED; figure(t, r->dispatches); }
CELL_OF(ms) { UNUSED; figure(t, 1e3 * r->median); }
CELL_OF(gflop) { UNUSED; figure(t, 1e-9 * r->flops); }
CELL_OF(gbyte) { UNUSED; figure(t, 1e-9 * r->bytes); }
CELL_OF(gflops) { UNUSED; figure(t, rate(r->flops, r)); }
CELL_OF(gbytes) { UNUSED; figure(t, rate(r->bytes, r)); }
CELL_OF(units) { UNUSED; figure(t, 1e9 * rate(r->units, r)); }
CELL_OF(t) { UNUSED; snprintf(t, CELL, "%u", r->t); }
CELL_OF(r) { UNUSED; snprintf(t, CELL, "%u", r->r); }
CELL_OF(q) { UNUSED; snprintf(t, CELL, "%u", r->q); }
CELL_OF(per) { UNUSED; figure(t, r->per); }
CELL_OF(where) { UNUSED; snprintf(t, CELL, "%s", b->where); }

CELL_OF(spread)
{
    char low[CELL], high[CELL];
    UNUSED;
    figure(low, 1e3 * r->low);
    figure(high, 1e3 * r->high);
    snprintf(t, CELL, "%.40s..%.40s", low, high);
}

CELL_OF(peak)
{
    const char *limit;
    double share = of_peak(b, r, &limit);
    if (share > 0)
        snprintf(t, CELL, share < 0.0995 ? "%.1f%% %s" : "%.0f%% %s", 100 * share, limit);
    else
        snprintf(t, CELL, "-");
}

CELL_OF(needed)
{
    UNUSED;
    snprintf(t, CELL, "-");
    if (r->needed > 0) figure(t, 1e-9 * r->needed);
}

CELL_OF(ratio)
{
    UNUSED;
    snprintf(t, CELL, "-");
    if (r->needed > 0) figure(t, r->flops / r->needed);
}

struct column {
    const char *title;
    void (*cell)(const struct bench *b, const struct bench_row *r, char text[CELL]);
    bool left;
};

struct table {
    const char *part, *title, *about;
    struct column columns[COLUMNS_MAX];
};

#define TIMES {"ms", cell_ms, false}, {"from..to", cell_spread, false}
#define RATES {"GFLOP/s", cell_gflops, false}, {"GB/s", cell_gbytes, false}
#define PEAK {"of peak", cell_peak, false}
#define WHERE {"device, driver, build", cell_where, true}

static const struct table tables[] = {
    {"probe", "What the device can do",
     "The best of these is the peak that all shares refer to; what stays in caches may pass it.",
     {{"operator", cell_name, true}, {"what", cell_what, true}, TIMES, RATES, WHERE}},
    {"gemm", "Matrix products",
     "gemm_nt: y = x w^T (forward), gemm_nn: y = x w (backward), gemm_tn: y = x^T w (statistics); "
     "x has `rows` rows.",
     {{"model", cell_model, true}, {"operator", cell_name, true}, {"matrix", cell_what, true},
      {"weights", cell_dtype, true}, {"rows", cell_rows, false}, TIMES, RATES, PEAK, WHERE}},
    {"ops", "All other operators", "`rows`: of the residual stream, - where there are none.",
     {{"model", cell_model, true}, {"operator", cell_name, true}, {"of", cell_what, true},
      {"rows", cell_rows, false}, TIMES, RATES, PEAK, WHERE}},
    {"model", "The model", "A prompt is one whole text in one pass; generation is greedy.",
     {{"model", cell_model, true}, {"what", cell_what, true}, TIMES,
      {"tokens/s", cell_units, false}, RATES, PEAK,
      {"n", cell_repeats, false}, WHERE}},
    {"edit", "One edit by phase",
     "GFLOP are counted from what was dispatched; needed: what the economical way of DESIGN 4 "
     "takes, ratio: the one by the other.",
     {{"model", cell_model, true}, {"editor", cell_name, true}, {"phase", cell_what, true}, TIMES,
      {"dispatches", cell_dispatches, false}, {"GFLOP", cell_gflop, false},
      {"needed", cell_needed, false}, {"ratio", cell_ratio, false}, {"GB", cell_gbyte, false},
      RATES, PEAK, {"n", cell_repeats, false}, WHERE}},
    {"guard", "Growth: guards",
     "Synthetic bases after T edits: r columns of V, q of G. ns per number: of the (r + q) d "
     "numbers that the bases have; level while the work is O(d (r + q)), as is ratio, the GFLOP by "
     "4 d (r + q).",
     {{"guard", cell_name, true}, {"what", cell_what, true}, {"d", cell_rows, false},
      {"T", cell_t, false}, {"r", cell_r, false}, {"q", cell_q, false}, TIMES,
      {"GFLOP", cell_gflop, false}, {"ratio", cell_ratio, false}, RATES,
      {"ns per number", cell_per, false}, WHERE}},
    {"growth", "Growth: a step of an edit", "One step of the value's optimisation.",
     {{"model", cell_model, true}, {"editor", cell_name, true}, {"edit", cell_what, true},
      {"rows", cell_rows, false}, TIMES,
      {"GFLOP", cell_gflop, false}, {"needed", cell_needed, false}, {"ratio", cell_ratio, false},
      RATES, PEAK, WHERE}},
};

static void lines(const struct bench *b, const struct table *table, const size_t *width, FILE *to)
{
    char text[CELL];
    for (size_t i = 0; i < b->count; i++) {
        const struct bench_row *r = &b->rows[i];
        if (strcmp(r->part, table->part) != 0 || r->skipped[0]) continue;
        for (size_t c = 0; c < COLUMNS_MAX && table->columns[c].title; c++) {
            table->columns[c].cell(b, r, text);
            fprintf(to, table->columns[c].left ? "| %-*s " : "| %*s ", (int)width[c], text);
        }
        fprintf(to, "|\n");
    }
}

static void head(const struct table *table, const size_t *width, FILE *to)
{
    static const char dashes[] = "--------------------------------------------------------------"
                                 "------------------------------------------------------------";
    fprintf(to, "### %s\n\n%s\n\n", table->title, table->about);
    for (size_t c = 0; c < COLUMNS_MAX && table->columns[c].title; c++)
        fprintf(to, table->columns[c].left ? "| %-*s " : "| %*s ", (int)width[c],
                table->columns[c].title);
    fprintf(to, "|\n");
    for (size_t c = 0; c < COLUMNS_MAX && table->columns[c].title; c++)
        fprintf(to, table->columns[c].left ? "|:%.*s-" : "|-%.*s:", (int)width[c], dashes);
    fprintf(to, "|\n");
}

static void skipped(const struct bench *b, const char *part, FILE *to)
{
    for (size_t i = 0; i < b->count; i++) {
        const struct bench_row *r = &b->rows[i];
        if (strcmp(r->part, part) == 0 && r->skipped[0])
            fprintf(to, "\nNot measured: %s, %s%s%s: %s\n", r->name, r->what,
                    r->model ? ", " : "", r->model ? r->model : "", r->skipped);
    }
}

static bool same(const struct bench_row *a, const struct bench_row *b)
{
    return a->model == b->model && a->dtype == b->dtype && strcmp(a->name, b->name) == 0 &&
           strcmp(a->what, b->what) == 0;
}

// The products once more, a line each, the rows across.
static void pivot(const struct bench *b, FILE *to)
{
    char text[CELL];
    const struct bench_row *last = NULL;
    fprintf(to, "\nGFLOP/s by rows of x:\n\n| %-10s | %-8s | %-22s | %-7s |", "model", "operator",
            "matrix", "weights");
    for (uint32_t i = 0; i < b->rows_count; i++) fprintf(to, " %5u |", b->rows_of[i]);
    fprintf(to, "\n|:-----------|:---------|:-----------------------|:--------|");
    for (uint32_t i = 0; i < b->rows_count; i++) fprintf(to, "------:|");
    for (size_t i = 0; i < b->count; i++) {
        const struct bench_row *r = &b->rows[i];
        if (strcmp(r->part, "gemm") != 0 || r->skipped[0]) continue;
        if (!last || !same(last, r))
            fprintf(to, "\n| %-10s | %-8s | %-22s | %-7s |", r->model, r->name, r->what, r->dtype);
        figure(text, rate(r->flops, r));
        fprintf(to, " %5s |", text);
        last = r;
    }
    fprintf(to, "\n");
}

void report_markdown(const struct bench *b, const char *part, FILE *to)
{
    const struct table *table = NULL;
    size_t width[COLUMNS_MAX] = {0}, rows = 0;
    char text[CELL];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i].part, part) == 0) table = &tables[i];
    for (size_t c = 0; table && c < COLUMNS_MAX && table->columns[c].title; c++)
        width[c] = strlen(table->columns[c].title);
    for (size_t i = 0; table && i < b->count; i++) {
        if (strcmp(b->rows[i].part, part) != 0) continue;
        rows++;
        for (size_t c = 0; c < COLUMNS_MAX && table->columns[c].title; c++) {
            table->columns[c].cell(b, &b->rows[i], text);
            if (strlen(text) > width[c]) width[c] = strlen(text);
        }
    }
    if (rows == 0) return;
    head(table, width, to);
    lines(b, table, width, to);
    if (strcmp(part, "gemm") == 0) pivot(b, to);
    skipped(b, part, to);
    fprintf(to, "\n");
    fflush(to);
}

static void csv_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; text && *text; text++) {
        if (*text == '"') fputc('"', to);
        fputc(*text, to);
    }
    fputs("\",", to);
}

void report_csv(const struct bench *b, FILE *to)
{
    fputs("part,name,what,model,weights,skipped,device,driver,build,rows,repeats,median_s,low_s,"
          "high_s,flops,bytes,dispatches,gflops,gbytes,of_peak,units,unit,needed_flops,T,r,q,"
          "ns_per_number\n", to);
    for (size_t i = 0; i < b->count; i++) {
        const struct bench_row *r = &b->rows[i];
        const char *texts[] = {r->part, r->name, r->what, r->model, r->dtype, r->skipped,
                               b->dev->info.name, b->dev->info.driver, b->build};
        const char *limit;
        for (size_t j = 0; j < sizeof texts / sizeof *texts; j++) csv_text(to, texts[j]);
        fprintf(to, "%u,%u,%.9g,%.9g,%.9g,%.9g,%.9g,%.9g,%.6g,%.6g,%.6g,%.9g,", r->rows,
                r->repeats, r->median, r->low, r->high, r->flops, r->bytes, r->dispatches,
                rate(r->flops, r), rate(r->bytes, r), of_peak(b, r, &limit), r->units);
        csv_text(to, r->unit);
        fprintf(to, "%.9g,%u,%u,%u,%.6g\n", r->needed, r->t, r->r, r->q, r->per);
    }
}

static void text_add(cJSON *to, const char *name, const char *text)
{
    if (text && text[0]) cJSON_AddStringToObject(to, name, text);
}

static void number_add(cJSON *to, const char *name, double value)
{
    if (value != 0) cJSON_AddNumberToObject(to, name, value);
}

static cJSON *row_json(const struct bench *b, const struct bench_row *r)
{
    cJSON *row = cJSON_CreateObject();
    const char *limit;
    double share = of_peak(b, r, &limit);
    text_add(row, "part", r->part);
    text_add(row, "name", r->name);
    text_add(row, "what", r->what);
    text_add(row, "model", r->model);
    text_add(row, "weights", r->dtype);
    text_add(row, "skipped", r->skipped);
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"rows", r->rows}, {"repeats", r->repeats}, {"median_s", r->median},
                   {"low_s", r->low}, {"high_s", r->high}, {"flops", r->flops},
                   {"bytes", r->bytes}, {"dispatches", r->dispatches},
                   {"gflops", rate(r->flops, r)}, {"gbytes", rate(r->bytes, r)},
                   {"of_peak", share}, {"units", r->units},
                   {"units_per_s", 1e9 * rate(r->units, r)}, {"needed_flops", r->needed},
                   {"T", r->t}, {"r", r->r}, {"q", r->q}, {"ns_per_number", r->per}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        number_add(row, numbers[i].name, numbers[i].value);
    if (share > 0) cJSON_AddStringToObject(row, "limit", limit);
    text_add(row, "unit", r->unit);
    cJSON_AddStringToObject(row, "device", b->dev->info.name);
    cJSON_AddStringToObject(row, "driver", b->dev->info.driver);
    cJSON_AddStringToObject(row, "build", b->build);
    return row;
}

bool report_json(const struct bench *b, FILE *to)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "device", b->dev->info.name);
    cJSON_AddStringToObject(root, "driver", b->dev->info.driver);
    cJSON_AddStringToObject(root, "build", b->build);
    cJSON_AddNumberToObject(root, "peak_gflops", 1e-9 * b->peak_flops);
    cJSON_AddNumberToObject(root, "peak_gbytes", 1e-9 * b->peak_bytes);
    cJSON *rows = cJSON_AddArrayToObject(root, "rows");
    for (size_t i = 0; i < b->count; i++) json_append(rows, row_json(b, &b->rows[i]));
    char *text = json_text(root, true, "the report");
    bool ok = text != NULL;
    if (ok) fprintf(to, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(root);
    return ok;
}
