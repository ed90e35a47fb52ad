// Charts as elements of a page: layout and marks are those of the pictures. Colours are the page's:
// series i has the class s(i % MARKS), cells are of one colour, more or less opaque.
#include <math.h>
#include <string.h>

#include "base/html.h"
#include "plot/chart.h"
#include "plot/palette.h"

enum { MARK = 9, DOT = 5, LEVELS = 32, TITLES_MAX = 400, DIGITS = 5 };

static void rule(FILE *to, const char *class, double x1, double y1, double x2, double y2)
{
    fprintf(to, "<path class=\"%s\" d=\"M%.4g %.4gL%.4g %.4g\"/>", class, x1, y1, x2, y2);
}

static void axes(FILE *to, const struct chart *c, const struct layout *l)
{
    const struct box *b = &l->plot;
    double right = b->x + b->width, bottom = b->y + b->height;
    const char *class = c->kind == CHART_HEAT ? "axis" : "grid";
    for (uint32_t i = 0; i < l->x_tick_count; i++) {
        double x = layout_x(l, c, l->x_ticks[i]);
        rule(to, class, x, bottom + 4, x, c->kind == CHART_HEAT ? bottom : b->y);
    }
    for (uint32_t i = 0; i < l->y_tick_count; i++) {
        double y = layout_y(l, c, l->y_ticks[i]);
        rule(to, class, b->x - 4, y, c->kind == CHART_HEAT ? b->x : right, y);
    }
    fprintf(to, "<path class=\"axis\" d=\"M%.4g %.4gV%.4gH%.4g\"/>", b->x, b->y, bottom, right);
}

static void texts(FILE *to, const struct layout *l)
{
    static const char *const roles[] = {"title", "name", "tick", "legend"};
    for (uint32_t i = 0; i < l->text_count; i++) {
        const struct chart_text *t = &l->texts[i];
        const char *anchor = t->across < 0.25 ? "start" : t->across < 0.75 ? "middle" : "end";
        double x = t->box.x + t->across * t->box.width, y = t->box.y + t->box.height / 2;
        if (t->upwards) {
            x = t->box.x + t->box.width / 2;
            anchor = "middle";
        }
        fprintf(to, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.4g\" y=\"%.4g\"", roles[t->role],
                anchor, x, y);
        if (t->upwards) fprintf(to, " transform=\"rotate(-90 %.4g %.4g)\"", x, y);
        fputc('>', to);
        html_text(to, t->text);
        fputs("</text>", to);
    }
}

// Series i's mark at a place, as commands of a path.
static void mark(FILE *to, uint32_t i, double x, double y, double size)
{
    struct point points[CORNERS_MAX];
    uint32_t corners = palette_corners(i, size, points);
    if (corners == 0)
        fprintf(to, "M%.4g %.4ga%.3g %.3g 0 1 0 %.4g 0a%.3g %.3g 0 1 0 %.4g 0z", x - size / 2, y,
                size / 2, size / 2, size, size / 2, size / 2, -size);
    for (uint32_t k = 0; k < corners; k++)
        fprintf(to, "%c%.4g %.4g", k ? 'L' : 'M', x + points[k].x, y + points[k].y);
    if (corners) fputc('z', to);
}

static const char *series_class(uint32_t i)
{
    static const char *const classes[] = {"", " again", " thrice"};
    return classes[i / MARKS % 3];
}

static void series_begin(FILE *to, uint32_t i)
{
    fprintf(to, "<g class=\"series s%u%s\" data-series=\"%u\">", i % MARKS, series_class(i), i);
}

// What a mark tells where no script shows it.
static void mark_title(FILE *to, const struct chart *c, const struct series *s, uint32_t i)
{
    fputs("<title>", to);
    if (s->name) html_text(to, s->name);
    if (s->name) fputs(": ", to);
    html_text(to, c->x.label ? c->x.label : "x");
    fprintf(to, " %.5g, ", s->x[i]);
    html_text(to, c->y.label ? c->y.label : "y");
    fprintf(to, " %.5g", s->y[i]);
    if (s->spread && s->spread[i] > 0) fprintf(to, " \u00b1 %.3g", s->spread[i]);
    fputs("</title>", to);
}

// Where points lie dense, not each has its mark: as in the pictures.
static void marks(FILE *to, const struct chart *c, const struct layout *l, uint32_t k, bool titles)
{
    const struct series *s = &c->series[k];
    double x, y, last_x = -INFINITY, last_y = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        if (!layout_point(l, c, s, i, &x, &y)) continue;
        if (s->count > 30 && hypot(x - last_x, y - last_y) < 4 * MARK) continue;
        fputs("<path class=\"mark\" d=\"", to);
        mark(to, k, x, y, MARK);
        fputs(titles ? "\">" : "\"/>", to);
        if (titles) {
            mark_title(to, c, s, i);
            fputs("</path>", to);
        }
        last_x = x;
        last_y = y;
    }
}

static void whiskers(FILE *to, const struct chart *c, const struct layout *l, uint32_t k)
{
    const struct series *s = &c->series[k];
    double x, y;
    for (uint32_t i = 0; s->spread && i < s->count; i++) {
        if (!(s->spread[i] > 0) || !layout_point(l, c, s, i, &x, &y)) continue;
        double low = layout_y(l, c, fmax(s->y[i] - s->spread[i], l->y_low));
        double high = layout_y(l, c, fmin(s->y[i] + s->spread[i], l->y_high));
        fprintf(to, "<path class=\"spread\" d=\"M%.4g %.4gh6m-3 0V%.4gm-3 0h6\"/>", x - 3, low,
                high);
    }
}

static void lines(FILE *to, const struct chart *c, const struct layout *l, bool titles)
{
    for (uint32_t k = 0; k < c->series_count; k++) {
        const struct series *s = &c->series[k];
        bool joined = false;
        double x, y;
        series_begin(to, k);
        fputs("<path class=\"line\" d=\"", to);
        for (uint32_t i = 0; i < s->count; i++) {
            bool there = layout_point(l, c, s, i, &x, &y);
            if (there) fprintf(to, "%c%.4g %.4g", joined ? 'L' : 'M', x, y);
            joined = there;
        }
        fputs("\"/>", to);
        whiskers(to, c, l, k);
        marks(to, c, l, k, titles);
        fputs("</g>", to);
    }
}

// Many points are dots of one path: a line of no length with round ends each.
static void points(FILE *to, const struct chart *c, const struct layout *l)
{
    for (uint32_t k = 0; k < c->series_count; k++) {
        const struct series *s = &c->series[k];
        bool dots = s->count > 60;
        double x, y;
        series_begin(to, k);
        fprintf(to, "<path class=\"%s\" d=\"", dots ? "dots" : "mark faint");
        for (uint32_t i = 0; i < s->count; i++) {
            if (!layout_point(l, c, s, i, &x, &y)) continue;
            if (dots) fprintf(to, "M%.4g %.4gh0", x, y);
            else mark(to, k, x, y, MARK - 2);
        }
        fputs("\"/></g>", to);
    }
}

// One path for all cells of about one share.
static void heat(FILE *to, const struct chart *c, const struct layout *l)
{
    const struct box *b = &l->plot, *bar = &l->colour;
    double width = b->width / c->cols, height = b->height / c->rows;
    for (int level = -1; level <= LEVELS; level++) {
        bool begun = false;
        for (uint32_t i = 0; i < c->rows * c->cols; i++) {
            double share = layout_share(l, c, c->cells[i]);
            int of = isfinite(share) ? (int)lround(fmin(fmax(share, 0), 1) * LEVELS) : -1;
            if (of != level) continue;
            if (!begun && level < 0) fputs("<path class=\"cell missing\" d=\"", to);
            if (!begun && level >= 0)
                fprintf(to, "<path class=\"cell\" fill-opacity=\"%.3g\" d=\"",
                        (double)level / LEVELS);
            begun = true;
            fprintf(to, "M%.5g %.5gh%.4gv%.4gh-%.4gz", b->x + i % c->cols * width,
                    b->y + (double)(i / c->cols) * height, width, height, width);
        }
        if (begun) fputs("\"/>", to);
    }
    for (int level = 0; level < LEVELS; level++)
        fprintf(to, "<path class=\"cell\" fill-opacity=\"%.3g\" "
                    "d=\"M%.4g %.5gh%.4gv%.4gh-%.4gz\"/>",
                (level + 0.5) / LEVELS, bar->x,
                bar->y + bar->height * (LEVELS - 1 - level) / LEVELS, bar->width,
                bar->height / LEVELS, bar->width);
    for (uint32_t i = 0; i < l->colour_tick_count; i++) {
        double y = bar->y + bar->height * (1 - layout_share(l, c, l->colour_ticks[i]));
        rule(to, "axis", bar->x + bar->width, y, bar->x + bar->width + 4, y);
    }
    fprintf(to, "<path class=\"axis\" d=\"M%.4g %.4gh%.4gv%.4gh-%.4gz\"/>", bar->x, bar->y,
            bar->width, bar->height, bar->width);
}

static void axis_json(FILE *to, const char *name, const struct axis *axis, double low, double high)
{
    fprintf(to, "\"%s\":{\"label\":", name);
    html_json(to, axis->label ? axis->label : "");
    fputs(",\"unit\":", to);
    html_json(to, axis->unit ? axis->unit : "");
    fprintf(to, ",\"log\":%s,\"low\":", axis->logarithmic ? "true" : "false");
    html_number(to, low, 9);
    fputs(",\"high\":", to);
    html_number(to, high, 9);
    fputc('}', to);
}

static void numbers_json(FILE *to, const char *name, const double *values, uint32_t count)
{
    fprintf(to, "\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        if (i) fputc(',', to);
        html_number(to, values[i], DIGITS);
    }
    fputc(']', to);
}

static bool spreads(const struct series *s)
{
    for (uint32_t i = 0; s->spread && i < s->count; i++)
        if (s->spread[i] > 0) return true;
    return false;
}

// What the page's script needs to find the value under a pointer.
static void data(FILE *to, const struct chart *c, const struct layout *l)
{
    const struct box *b = &l->plot;
    fprintf(to, "<script type=\"application/json\">{\"box\":[%.5g,%.5g,%.5g,%.5g],", b->x, b->y,
            b->width, b->height);
    axis_json(to, "x", &c->x, l->x_low, l->x_high);
    fputc(',', to);
    axis_json(to, "y", &c->y, l->y_low, l->y_high);
    if (c->kind == CHART_HEAT) {
        fputc(',', to);
        axis_json(to, "colour", &c->colour, l->colour_low, l->colour_high);
        fprintf(to, ",\"rows\":%u,\"cols\":%u,", c->rows, c->cols);
        numbers_json(to, "cells", c->cells, c->rows * c->cols);
    } else {
        fputs(",\"series\":[", to);
        for (uint32_t k = 0; k < c->series_count; k++) {
            const struct series *s = &c->series[k];
            fputs(k ? ",{\"name\":" : "{\"name\":", to);
            html_json(to, s->name ? s->name : "");
            fputc(',', to);
            numbers_json(to, "x", s->x, s->count);
            fputc(',', to);
            numbers_json(to, "y", s->y, s->count);
            if (spreads(s)) {
                fputc(',', to);
                numbers_json(to, "spread", s->spread, s->count);
            }
            fputc('}', to);
        }
        fputc(']', to);
    }
    fputs("}</script>", to);
}

bool chart_svg(const struct chart *chart, uint32_t width, uint32_t height, FILE *to)
{
    struct series bare[SERIES_MAX];
    struct chart c = *chart; // without what the page has as text of its own
    struct layout l;
    uint64_t count = 0;
    c.title = NULL;
    for (uint32_t k = 0; k < c.series_count && k < SERIES_MAX; k++) {
        bare[k] = c.series[k];
        bare[k].name = NULL;
        count += bare[k].count;
    }
    if (c.series_count <= SERIES_MAX) c.series = bare;
    if (!chart_layout(&c, width, height, &l)) return false;
    c.series = chart->series;
    fprintf(to, "<svg viewBox=\"0 0 %u %u\" role=\"img\" tabindex=\"0\" aria-label=\"", width,
            height);
    html_text(to, chart->title ? chart->title : "a chart");
    fputs("\">", to);
    if (c.kind == CHART_HEAT) heat(to, &c, &l);
    axes(to, &c, &l);
    if (c.kind == CHART_LINES) lines(to, &c, &l, count <= TITLES_MAX);
    if (c.kind == CHART_POINTS) points(to, &c, &l);
    texts(to, &l);
    fputs("<g class=\"pointer\"></g></svg>", to);
    data(to, &c, &l);
    return true;
}

void chart_svg_sample(const struct chart *c, uint32_t i, FILE *to)
{
    fputs("<svg class=\"sample\" viewBox=\"0 0 30 14\" aria-hidden=\"true\">", to);
    series_begin(to, i);
    if (c->kind == CHART_LINES) fputs("<path class=\"line\" d=\"M1 7H29\"/>", to);
    fputs("<path class=\"mark\" d=\"", to);
    mark(to, i, 15, 7, MARK);
    fputs("\"/></g></svg>", to);
}
