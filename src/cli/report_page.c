// The page: assets/report/page.html with its places filled.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/html.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/report.h"

static const unsigned char page_html[] = {
#include "page.inc" // made by CMake
    0};
static const unsigned char style_css[] = {
#include "style.inc"
    0};
static const unsigned char script_js[] = {
#include "script.inc"
    0};

static void fact(FILE *to, const char *name, const char *text)
{
    if (!*text) return;
    fprintf(to, "<div><dt>%s</dt><dd><bdi>", name);
    html_text(to, text);
    fputs("</bdi></dd></div>\n", to);
}

static void fact_file(FILE *to, const char *name, const cJSON *file)
{
    const char *hash = report_text(file, "hash");
    if (!cJSON_IsObject(file)) return;
    fprintf(to, "<div><dt>%s</dt><dd><bdi>", name);
    html_text(to, report_text(file, "file"));
    fputs("</bdi>", to);
    if (*hash) {
        fputs(" <code>", to);
        html_text(to, hash);
        fputs("</code>", to);
    }
    fputs("</dd></div>\n", to);
}

static void fact_number(FILE *to, const char *name, double value)
{
    if (isfinite(value) && value != 0)
        fprintf(to, "<div><dt>%s</dt><dd>%.15g</dd></div>\n", name, value);
}

static void provenance(const struct report *r, FILE *to)
{
    const cJSON *m = r->manifest, *item;
    fputs("<dl class=\"facts\">", to);
    fact(to, "Experiment", report_text(m, "experiment"));
    fact(to, "Made by oedit", report_text(m, "version"));
    fact(to, "Device", report_text(m, "device"));
    fact(to, "Driver", report_text(m, "driver"));
    fact(to, "Precision", report_text(m, "precision"));
    fact_file(to, "Model", cJSON_GetObjectItem(m, "model"));
    fact_file(to, "Requests", cJSON_GetObjectItem(m, "data"));
    fact_number(to, "Requests left out in front", measure_of(m, "skip"));
    fact_file(to, "Text of C and grad G", cJSON_GetObjectItem(m, "text"));
    fact_number(to, "Tokens of it", measure_of(m, "tokens"));
    fact_file(to, "Text of perplexity", cJSON_GetObjectItem(m, "ppl_text"));
    fact_number(to, "Tokens of that", measure_of(m, "ppl_tokens"));
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(m, "tasks"))
        fact_file(to, "Task", cJSON_GetObjectItem(item, "file"));
    fputs("</dl>\n", to);
}

// The run whose mean of Rel, Gen and Loc is highest after all edits.
static void best(const struct report *r, FILE *to)
{
    const struct outcomes *o = &r->outcomes;
    uint32_t states = (uint32_t)cJSON_GetArraySize(o->unedited), at = 0, methods = 0, equal = 0;
    double highest = -INFINITY;
    for (uint32_t i = 0, seeds; states && i < o->count; i += seeds, methods++) {
        double mean, deviation;
        seeds = outcomes_seeds(o, i);
        outcomes_mean(&o->items[i], seeds, states - 1, "avg", &mean, &deviation);
        if (fabs(mean - highest) < 0.0005) equal++; // the same three digits
        if (!(mean > highest)) continue;
        if (!(mean - highest < 0.0005)) equal = 0;
        highest = mean;
        at = i;
    }
    if (methods < 2 || !isfinite(highest)) return;
    fputs("<div class=\"tile wide\"><dt>Highest mean of Rel, Gen and Loc</dt><dd><bdi>", to);
    html_text(to, o->items[at].label);
    fputs("</bdi>", to);
    if (equal) fprintf(to, " and %u more", equal);
    fprintf(to, ", %.3f</dd></div>\n", highest);
}

static void tile(FILE *to, const char *name, const char *text)
{
    if (!*text) return;
    fprintf(to, "<div class=\"tile\"><dt>%s</dt><dd><bdi>", name);
    html_text(to, text);
    fputs("</bdi></dd></div>\n", to);
}

static void summary(const struct report *r, FILE *to)
{
    const struct outcomes *o = &r->outcomes;
    fputs("<dl class=\"tiles\">", to);
    tile(to, "Model", report_text(cJSON_GetObjectItem(r->manifest, "model"), "file"));
    tile(to, "Requests", report_text(cJSON_GetObjectItem(r->manifest, "data"), "file"));
    fprintf(to, "<div class=\"tile\"><dt>Edits%s</dt><dd>%u</dd></div>\n",
            o->count + o->unfinished > 1 ? " a run" : "", o->edits);
    fprintf(to, "<div class=\"tile\"><dt>Runs finished</dt><dd>%u of %u</dd></div>\n", o->count,
            o->count + o->unfinished);
    tile(to, "Device", report_text(r->manifest, "device"));
    best(r, to);
    fputs("</dl>\n", to);
    if (o->unfinished)
        fprintf(to, "<p class=\"note\">%u of %u runs are not finished: results and charts are "
                    "without them.</p>\n", o->unfinished, o->count + o->unfinished);
}

static void title(const struct report *r, FILE *to)
{
    const char *text = report_text(r->manifest, "title");
    html_text(to, *text ? text : "Edits");
}

static void about(const struct report *r, FILE *to)
{
    const cJSON *text = cJSON_GetObjectItem(r->manifest, "about");
    if (!cJSON_IsString(text)) return;
    fputs("<p>", to);
    html_text(to, text->valuestring);
    fputs("</p>", to);
}

static void style(const struct report *r, FILE *to)
{
    (void)r;
    fputs((const char *)style_css, to);
}

static void script(const struct report *r, FILE *to)
{
    (void)r;
    fputs((const char *)script_js, to);
}

static const struct place {
    const char *name; // as in the page: {{name}}
    void (*write)(const struct report *report, FILE *to);
    bool (*draw)(const struct report *report, FILE *to); // in its stead, where it can fail
} places[] = {
    {"title", title, NULL},           {"about", about, NULL},
    {"style", style, NULL},           {"script", script, NULL},
    {"summary", summary, NULL},       {"results", report_results, NULL},
    {"charts", NULL, report_charts},  {"edits", report_edits, NULL},
    {"runs", report_runs, NULL},      {"settings", report_hparams, NULL},
    {"provenance", provenance, NULL},
};

static bool place_fill(const struct report *r, const char *name, size_t length, FILE *to)
{
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const struct place *p = &places[i];
        if (strlen(p->name) != length || memcmp(p->name, name, length) != 0) continue;
        if (p->draw) return p->draw(r, to);
        p->write(r, to);
        return true;
    }
    return fail(STATUS_FAILED, "the page has a place '%.*s' that nothing fills", (int)length, name);
}

static bool page(const struct report *r, FILE *to)
{
    const char *at = (const char *)page_html, *open, *close;
    bool ok = true;
    while (ok && (open = strstr(at, "{{")) && (close = strstr(open, "}}"))) {
        fwrite(at, 1, (size_t)(open - at), to);
        ok = place_fill(r, open + 2, (size_t)(close - open - 2), to);
        at = close + 2;
    }
    fputs(at, to);
    return ok;
}

bool report_write(const struct report *r, const char *path)
{
    struct file_out out;
    if (!file_out_open(&out, path)) return false;
    bool ok = page(r, out.stream);
    if (ok && ferror(out.stream)) ok = fail(STATUS_FAILED, "cannot write %s", path);
    return file_out_close(&out, ok) && ok;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static char *page_path(const char *source, bool folder)
{
    size_t size = strlen(source) + sizeof "/report.html";
    char *path = mem_new(size, 1, "a path");
    size_t length = strlen(source);
    while (folder && length > 1 && source[length - 1] == '/') length--;
    const char *ending = folder ? "/report.html" : ".html";
    if (path) snprintf(path, size, "%.*s%s", (int)length, source, ending);
    return path;
}

static bool written(const struct report *r, const char *path, bool json)
{
    const struct outcomes *o = &r->outcomes;
    if (!json) {
        log_say("%s: %u runs, %u edits; open it in a browser", path, o->count + o->unfinished,
                r->request_count);
        return true;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "out", path);
    cJSON_AddNumberToObject(root, "finished", o->count);
    cJSON_AddNumberToObject(root, "unfinished", o->unfinished);
    cJSON_AddNumberToObject(root, "edits", r->request_count);
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

static bool make(const char *source, const char *run, const char *out, bool json)
{
    struct report r = {0};
    bool folder = is_folder(source);
    if (folder && run)
        return fail(STATUS_USAGE, "report: got a folder and %s, wanted that only with a journal",
                    run);
    char *path = out ? mem_text(out, strlen(out), "a path") : page_path(source, folder);
    bool ok = path && (folder ? report_folder(&r, source) : report_journal(&r, source, run)) &&
              report_write(&r, path) && written(&r, path, json);
    report_free(&r);
    free(path);
    return ok;
}

bool report_of_folder(const char *folder)
{
    return make(folder, NULL, NULL, false);
}

bool command_report(const struct args *args)
{
    if (args->word_count < 1 || args->word_count > 2)
        return fail(STATUS_USAGE, "report: wanted a folder of oedit experiment, or a journal and "
                                  "perhaps its run's JSON (oedit report FOLDER)");
    return make(args->words[0], args->word_count == 2 ? args->words[1] : NULL, args->out,
                args->json);
}
