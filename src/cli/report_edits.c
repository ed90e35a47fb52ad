// The edits: a table of one run's for readers without scripts, and the numbers of all runs for the
// page's script, which puts them into the same table.
#include <math.h>
#include <string.h>

#include "base/html.h"
#include "cli/report.h"

enum { ROWS_STATIC = 200, DIGITS = 4 };

// What is told of each edit, in the order of the table and of the script's numbers.
static const struct value {
    const char *object, *name, *title, *about;
} values[] = {
    {NULL, "loss first", "Loss 1", "at the first look"},
    {NULL, "loss taken", "Loss", "at the look that was taken"},
    {NULL, "steps", "Steps", "looks at the loss"},
    {NULL, "kept", "Kept", "part of the update that is left after projection"},
    {NULL, "realised", "Realised", "part of the wanted change that the edit makes"},
    {NULL, "dw", "\u2016dW\u2016", "size of the update"},
    {NULL, "layer", "Layer", "the edited one"},
    {"right_after", "rel", "Rel", "right after the edit"},
    {"right_after", "gen", "Gen", "right after the edit"},
    {"right_after", "loc", "Loc", "right after the edit"},
    {"right_after", "success", "P(new) over P(true)", "right after the edit"},
};
enum { VALUES = sizeof values / sizeof *values, OK_VALUE = 7 };

static double value_of(const struct value *v, const cJSON *line)
{
    if (v->object) return measure_of(cJSON_GetObjectItem(line, v->object), v->name);
    if (strncmp(v->name, "loss", 4) != 0) return measure_of(line, v->name);
    const cJSON *loss = cJSON_GetObjectItem(line, "loss");
    double chosen = measure_of(line, "chosen");
    bool first = strcmp(v->name, "loss first") == 0;
    if (!first && !(chosen >= 1 && chosen <= cJSON_GetArraySize(loss))) return NAN;
    const cJSON *item = cJSON_GetArrayItem(loss, first ? 0 : (int)chosen - 1);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

// 0 in the weights, 1 without effect, 2 reverted.
static int state_of(const cJSON *line)
{
    if (cJSON_IsTrue(cJSON_GetObjectItem(line, "reverted"))) return 2;
    return cJSON_IsTrue(cJSON_GetObjectItem(line, "noop")) ? 1 : 0;
}
static const char *const states[] = {"", "without effect", "reverted"};

// Answers of the model behind the run's last edit; NULL: there are none.
static const cJSON *after_of(const struct outcome *x)
{
    int count = cJSON_GetArraySize(x->lines);
    const cJSON *last = cJSON_GetArrayItem(x->lines, count - 1);
    const cJSON *state = cJSON_GetObjectItem(last, "checkpoint"), *list;
    list = cJSON_GetObjectItem(state ? state : last, "answers");
    return cJSON_IsArray(list) ? list : NULL;
}

// Which columns have anything in any run.
struct shown {
    bool values[VALUES], truth, before, after, state;
};

static void shown_find(const struct report *r, struct shown *s)
{
    const struct outcome *x;
    *s = (struct shown){0};
    for (uint32_t i = 0; i < r->request_count; i++) {
        s->truth = s->truth || r->requests[i].truth;
        s->before = s->before || r->requests[i].before;
    }
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        const cJSON *line = x->lines ? x->lines->child : NULL;
        s->after = s->after || after_of(x);
        while (line && (line = line->next)) {
            s->state = s->state || state_of(line);
            for (int v = 0; v < VALUES; v++)
                s->values[v] = s->values[v] || isfinite(value_of(&values[v], line));
        }
    }
}

static void text_cell(FILE *to, const char *text)
{
    if (!text) {
        fputs("<td class=\"text none\">\u2013</td>", to);
        return;
    }
    fputs("<td class=\"text\"><bdi>", to);
    html_text(to, text);
    fputs("</bdi></td>", to);
}

// The prompt with its subject marked.
static void prompt_cell(FILE *to, const struct report_request *q)
{
    const char *at = *q->subject ? strstr(q->prompt, q->subject) : NULL;
    char head[4096];
    size_t length = at ? (size_t)(at - q->prompt) : 0;
    fputs("<th scope=\"row\"><bdi>", to);
    if (!at || length >= sizeof head) {
        html_text(to, q->prompt);
    } else {
        memcpy(head, q->prompt, length);
        head[length] = '\0';
        html_text(to, head);
        fputs("<mark>", to);
        html_text(to, q->subject);
        fputs("</mark>", to);
        html_text(to, at + strlen(q->subject));
    }
    fputs("</bdi></th>", to);
}

static void ok_cell(FILE *to, const cJSON *line)
{
    double rel = value_of(&values[OK_VALUE], line);
    int state = state_of(line);
    if (state) fprintf(to, "<td class=\"text no\">%s</td>", states[state]);
    else if (!isfinite(rel)) fputs("<td class=\"text none\">\u2013</td>", to);
    else if (rel >= 1) fputs("<td class=\"text yes\">ok</td>", to);
    else fputs("<td class=\"text no\">not ok</td>", to);
}

static bool ok_shown(const struct shown *s)
{
    return s->values[OK_VALUE] || s->state;
}

static void head(FILE *to, const char *class, const char *name, const char *title,
                 const char *about)
{
    fprintf(to, "<th scope=\"col\"%s data-column=\"%s\"", class, name);
    if (about) fprintf(to, " title=\"%s\"", about);
    fprintf(to, ">%s</th>", title);
}

static void heads(FILE *to, const struct shown *s)
{
    static const char text[] = " class=\"text\"";
    head(to, "", "number", "Edit", NULL);
    head(to, text, "prompt", "Prompt", "with its subject marked");
    head(to, text, "target", "New answer", "that the edit asks for");
    if (s->truth) head(to, text, "truth", "Old answer", "that the data call right before the edit");
    if (s->before) head(to, text, "before", "Model before", "what the unedited model answers");
    if (s->after) head(to, text, "after", "Model after", "what it answers behind the last edit");
    if (ok_shown(s)) head(to, text, "ok", "Ok", "the new answer is on top right after the edit");
    for (int v = 0; v < VALUES; v++)
        if (s->values[v]) head(to, "", values[v].name, values[v].title, values[v].about);
}

static void static_rows(FILE *to, const struct report *r, const struct outcome *x,
                        const struct shown *s)
{
    const cJSON *line = x->lines->child, *list = after_of(x), *after = list ? list->child : NULL;
    for (uint32_t i = 0; i < r->request_count && i < ROWS_STATIC && line && (line = line->next);
         i++) {
        const struct report_request *q = &r->requests[i];
        fprintf(to, "<tr><td>%u</td>", i + 1);
        prompt_cell(to, q);
        text_cell(to, q->target);
        if (s->truth) text_cell(to, q->truth);
        if (s->before) text_cell(to, q->before);
        if (s->after) text_cell(to, cJSON_IsString(after) ? after->valuestring : NULL);
        if (after) after = after->next;
        if (ok_shown(s)) ok_cell(to, line);
        for (int v = 0; v < VALUES; v++) {
            double value = value_of(&values[v], line);
            if (!s->values[v]) continue;
            if (isfinite(value)) fprintf(to, "<td>%.*g</td>", DIGITS, value);
            else fputs("<td class=\"none\">\u2013</td>", to);
        }
        fputs("</tr>\n", to);
    }
}

static void text_json(FILE *to, const char *text)
{
    if (text) html_json(to, text);
    else fputs("null", to);
}

static void requests_json(FILE *to, const struct report *r, const struct shown *s)
{
    fputs("\"requests\":[", to);
    for (uint32_t i = 0; i < r->request_count; i++) {
        const struct report_request *q = &r->requests[i];
        fputs(i ? ",\n[" : "[", to);
        html_json(to, q->prompt);
        fputc(',', to);
        html_json(to, q->subject);
        fputc(',', to);
        html_json(to, q->target);
        if (s->truth || s->before) {
            fputc(',', to);
            text_json(to, q->truth);
        }
        if (s->before) {
            fputc(',', to);
            text_json(to, q->before);
        }
        fputc(']', to);
    }
    fputc(']', to);
}

// One run: a row of numbers an edit, the state's in front.
static void run_json_of(FILE *to, const struct outcome *x, const struct shown *s)
{
    const cJSON *line = x->lines->child, *after = after_of(x), *item;
    bool first = true;
    fputs("{\"label\":", to);
    html_json(to, x->label);
    fputs(",\"id\":", to);
    html_json(to, x->id);
    fputs(",\"rows\":[", to);
    while (line && (line = line->next)) {
        fprintf(to, "%s[%d", first ? "" : ",\n", state_of(line));
        first = false;
        for (int v = 0; v < VALUES; v++) {
            if (!s->values[v]) continue;
            fputc(',', to);
            html_number(to, value_of(&values[v], line), DIGITS);
        }
        fputc(']', to);
    }
    fputs("],\"after\":[", to);
    cJSON_ArrayForEach(item, after)
    {
        text_json(to, cJSON_IsString(item) ? item->valuestring : NULL);
        if (item->next) fputc(',', to);
    }
    fputs("]}", to);
}

static void data_json(FILE *to, const struct report *r, const struct shown *s)
{
    const struct outcome *x;
    bool first = true;
    fputs("<script type=\"application/json\" id=\"edits-data\">{\"values\":[", to);
    for (int v = 0; v < VALUES; v++) {
        if (!s->values[v]) continue;
        fprintf(to, "%s\"%s\"", first ? "" : ",", values[v].name);
        first = false;
    }
    fputs("],\n", to);
    requests_json(to, r, s);
    fputs(",\n\"runs\":[", to);
    first = true;
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        if (report_done(x) == 0) continue;
        if (!first) fputs(",\n", to);
        first = false;
        run_json_of(to, x, s);
    }
    fputs("]}</script>\n", to);
}

static void controls(FILE *to, const struct report *r, const struct outcome *shown, uint32_t runs,
                     bool ok)
{
    const struct outcome *x;
    uint32_t count = 0;
    fputs("<form class=\"controls\" id=\"edits-controls\" hidden>\n<label>Run "
          "<select id=\"edits-run\">", to);
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        if (report_done(x) == 0) continue;
        fprintf(to, "<option value=\"%u\">", count++);
        html_text(to, x->label);
        fprintf(to, ", seed %.0f</option>", report_seed(x));
    }
    fputs("</select></label>\n<label>Search <input type=\"search\" id=\"edits-search\" "
          "placeholder=\"prompt, subject, answer\"></label>\n", to);
    if (ok)
        fputs("<label>Show <select id=\"edits-ok\"><option value=\"all\">all</option>"
              "<option value=\"ok\">ok</option><option value=\"not\">not ok</option></select>"
              "</label>\n", to);
    fputs("<output id=\"edits-count\" for=\"edits-search edits-run\"></output></form>\n", to);
    uint32_t done = report_done(shown);
    if (done <= ROWS_STATIC && runs <= 1) return;
    fprintf(to, "<noscript><p class=\"note\">Without scripts: %u of %u edits of the first run, ",
            done < ROWS_STATIC ? done : ROWS_STATIC, done);
    html_text(to, shown->label);
    fputs(".</p></noscript>\n", to);
}

void report_edits(const struct report *r, FILE *to)
{
    const struct outcome *x, *first = NULL;
    struct shown s;
    uint32_t runs = 0;
    for (uint32_t i = 0; (x = report_run(r, i)); i++) {
        if (report_done(x) == 0) continue;
        runs++;
        if (!first) first = x;
    }
    if (!first) {
        fputs("<p>There is no edit yet.</p>\n", to);
        return;
    }
    shown_find(r, &s);
    controls(to, r, first, runs, ok_shown(&s));
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Edits\"><table "
          "id=\"edits-table\"><caption>Edits of <span id=\"edits-of\"><bdi>", to);
    html_text(to, first->label);
    fputs("</bdi></span></caption><thead><tr>", to);
    heads(to, &s);
    fputs("</tr></thead><tbody>\n", to);
    static_rows(to, r, first, &s);
    fputs("</tbody></table></div>\n<p class=\"controls\" id=\"edits-pages\" hidden>"
          "<button type=\"button\" id=\"edits-back\">Earlier</button> "
          "<span id=\"edits-page\"></span> "
          "<button type=\"button\" id=\"edits-on\">Later</button></p>\n", to);
    data_json(to, r, &s);
}
