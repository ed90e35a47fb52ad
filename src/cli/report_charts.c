#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/html.h"
#include "base/json.h"
#include "base/status.h"
#include "cli/report.h"
#include "plot/chart.h"

enum { WIDTH = 520, HEIGHT = 330, HEAT_HEIGHT = 400, VALUES_MAX = 400 };

struct figures {
    FILE *to;
    uint32_t count;
};

static void legend(FILE *to, const struct chart *c)
{
    if (c->kind == CHART_HEAT) return;
    fputs("<ul class=\"legend\">", to);
    for (uint32_t i = 0; i < c->series_count; i++) {
        if (!c->series[i].name) continue;
        fprintf(to, "<li data-series=\"%u\">", i);
        chart_svg_sample(c, i, to);
        fputs("<bdi>", to);
        html_text(to, c->series[i].name);
        fputs("</bdi></li>", to);
    }
    fputs("</ul>", to);
}

// The numbers as a table: for readers without a pointer or without scripts.
static void numbers(FILE *to, const struct chart *c)
{
    uint64_t count = 0;
    for (uint32_t k = 0; k < c->series_count; k++) count += c->series[k].count;
    if (c->kind == CHART_HEAT || count > VALUES_MAX) return;
    fputs("<details><summary>Values</summary><div class=\"scroll\" tabindex=\"0\" role=\"region\" "
          "aria-label=\"Values\"><table class=\"sortable\"><thead><tr>"
          "<th scope=\"col\" class=\"text\">Series</th>"
          "<th scope=\"col\">", to);
    html_text(to, c->x.label ? c->x.label : "x");
    fputs("</th><th scope=\"col\">", to);
    html_text(to, c->y.label ? c->y.label : "y");
    fputs("</th></tr></thead><tbody>", to);
    for (uint32_t k = 0; k < c->series_count; k++) {
        const struct series *s = &c->series[k];
        for (uint32_t i = 0; i < s->count; i++) {
            if (!isfinite(s->y[i])) continue;
            fputs("<tr><th scope=\"row\"><bdi>", to);
            html_text(to, s->name ? s->name : "");
            fprintf(to, "</bdi></th><td>%.6g</td><td data-value=\"%.9g\">%.5g", s->x[i], s->y[i],
                    s->y[i]);
            if (s->spread && s->spread[i] > 0)
                fprintf(to, " <small>\u00b1\u00a0%.3g</small>", s->spread[i]);
            fputs("</td></tr>", to);
        }
    }
    fputs("</tbody></table></div></details>", to);
}

// One point a line tells no more than the table above it.
static bool worth(const struct chart *c)
{
    if (c->kind != CHART_LINES) return true;
    for (uint32_t k = 0; k < c->series_count; k++)
        if (c->series[k].count > 1) return true;
    return false;
}

static bool figure(void *user, const struct chart *c, const char *name)
{
    struct figures *f = user;
    if (!worth(c)) return true;
    fprintf(f->to, "<figure class=\"chart\" id=\"chart-%u\"><figcaption>", ++f->count);
    html_text(f->to, c->title ? c->title : name);
    fputs("</figcaption>\n<div class=\"drawing\">", f->to);
    bool ok = chart_svg(c, WIDTH, c->kind == CHART_HEAT ? HEAT_HEIGHT : HEIGHT, f->to);
    fputs("</div>", f->to);
    legend(f->to, c);
    numbers(f->to, c);
    fputs("</figure>\n", f->to);
    return ok;
}

static bool has_kind(const cJSON *charts, const char *kind)
{
    const cJSON *chart;
    cJSON_ArrayForEach(chart, charts)
        if (strcmp(report_text(chart, "kind"), kind) == 0) return true;
    return false;
}

// Every run's keys are in the folder.
static bool keys_there(const struct report *r)
{
    bool any = false;
    for (uint32_t i = 0; i < r->outcomes.count; i++) {
        if (!outcome_has_keys(&r->outcomes.items[i])) continue;
        char *path = experiment_path(&r->args, r->outcomes.items[i].id, ".keys");
        bool there = path && access(path, F_OK) == 0;
        free(path);
        if (!there) return false;
        any = true;
    }
    return any;
}

static void chart_add(cJSON *charts, const char *kind)
{
    if (has_kind(charts, kind)) return;
    cJSON *chart = cJSON_CreateObject();
    cJSON_AddStringToObject(chart, "kind", kind);
    json_append(charts, chart);
}

// What the experiment's file asks for, and what its results have anyway.
static cJSON *wanted(const struct report *r)
{
    const cJSON *asked = cJSON_GetObjectItem(r->manifest, "charts");
    cJSON *charts = cJSON_IsArray(asked) ? cJSON_Duplicate(asked, true) : cJSON_CreateArray();
    chart_add(charts, "checkpoints");
    chart_add(charts, "retention");
    if (keys_there(r)) chart_add(charts, "activation");
    return charts;
}

bool report_charts(const struct report *r, FILE *to)
{
    struct figures f = {.to = to};
    const struct chart_taker taker = {.take = figure, .user = &f, .bare = true};
    cJSON *charts = wanted(r);
    bool keys, ok = charts_check(charts, r->what, &keys);
    fputs("<div class=\"charts\">\n", to);
    ok = ok && charts_each(&r->outcomes, charts, &r->args, &taker);
    fputs("</div>\n", to);
    if (ok && f.count == 0) fputs("<p>There is nothing to draw yet.</p>\n", to);
    cJSON_Delete(charts);
    return ok;
}
