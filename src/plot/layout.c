#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "plot/chart.h"
#include "plot/font.h"

enum { MARGIN = 14, GAP = 8, BAR = 18, SAMPLE = 30 };
static const double sizes[] = {[TEXT_TITLE] = 22, [TEXT_AXIS] = 17, [TEXT_TICK] = 14,
                               [TEXT_LEGEND] = 15};

// A text whose box has its middle or edge at (x, y): across and down are 0 for left and top, 0.5
// for the middle, 1 for right and bottom. wide: no more than that.
static struct box text_add(struct layout *l, enum text_role role, const char *text, bool upwards,
                           double wide, double x, double across, double y, double down)
{
    struct chart_text *t = &l->texts[l->text_count];
    snprintf(t->text, sizeof t->text, "%s", text);
    t->role = role;
    t->size = sizes[role];
    t->upwards = upwards;
    t->across = across;
    font_cut(t->text, t->size, wide);
    double length = font_width(t->text, t->size);
    t->box = (struct box){.width = upwards ? t->size : length,
                          .height = upwards ? length : t->size};
    t->box.x = x - across * t->box.width;
    t->box.y = y - down * t->box.height;
    if (t->text[0]) l->text_count++;
    return t->box;
}

static void range_follow(double *low, double *high, double value, const struct axis *axis)
{
    if (!isfinite(value) || (axis->logarithmic && value <= 0)) return;
    if (!(value >= *low)) *low = value;
    if (!(value <= *high)) *high = value;
}

// What the caller asks for, and some air round what the data have.
static bool range_end(double *low, double *high, const struct axis *axis, const char *which)
{
    if (isnan(*low) && isnan(axis->low))
        return fail(STATUS_FAILED, "a chart has no %s to draw", which);
    bool one = *high <= *low;
    double log_room = one ? 2 : pow(*high / *low, 0.04);
    double room = one ? (*low != 0 ? fabs(*low) / 2 : 1) : (*high - *low) * 0.04;
    *low = axis->logarithmic ? *low / log_room : *low - room;
    *high = axis->logarithmic ? *high * log_room : *high + room;
    if (!isnan(axis->low)) *low = axis->low;
    if (!isnan(axis->high)) *high = axis->high;
    if (*high > *low && (!axis->logarithmic || *low > 0)) return true;
    return fail(STATUS_FAILED, "a chart's %s go from %g to %g", which, *low, *high);
}

static bool ranges(struct layout *l, const struct chart *c)
{
    if (c->kind == CHART_HEAT) {
        l->colour_low = l->colour_high = NAN;
        for (size_t i = 0; i < (size_t)c->rows * c->cols; i++)
            range_follow(&l->colour_low, &l->colour_high, c->cells[i], &c->colour);
        l->x_low = l->y_low = 0.5;
        l->x_high = c->cols + 0.5;
        if (c->from_zero) l->x_low -= 1, l->x_high -= 1;
        l->y_high = c->rows + 0.5;
        return range_end(&l->colour_low, &l->colour_high, &c->colour, "cells");
    }
    l->x_low = l->x_high = l->y_low = l->y_high = NAN;
    for (uint32_t s = 0; s < c->series_count; s++)
        for (uint32_t i = 0; i < c->series[s].count; i++) {
            const struct series *from = &c->series[s];
            double spread = from->spread && isfinite(from->spread[i]) ? from->spread[i] : 0;
            if (!isfinite(from->y[i])) continue;
            range_follow(&l->x_low, &l->x_high, from->x[i], &c->x);
            range_follow(&l->y_low, &l->y_high, from->y[i] - spread, &c->y);
            range_follow(&l->y_low, &l->y_high, from->y[i] + spread, &c->y);
        }
    return range_end(&l->x_low, &l->x_high, &c->x, "x values") &&
           range_end(&l->y_low, &l->y_high, &c->y, "y values");
}

static double place(double low, double high, bool logarithmic, double value)
{
    return logarithmic ? log(value / low) / log(high / low) : (value - low) / (high - low);
}

double layout_x(const struct layout *l, const struct chart *c, double value)
{
    return l->plot.x + l->plot.width * place(l->x_low, l->x_high, c->x.logarithmic, value);
}

// Row 1 of a heat map is on top.
double layout_y(const struct layout *l, const struct chart *c, double value)
{
    double at = place(l->y_low, l->y_high, c->y.logarithmic, value);
    return l->plot.y + l->plot.height * (c->kind == CHART_HEAT ? at : 1 - at);
}

bool layout_point(const struct layout *l, const struct chart *c, const struct series *s, uint32_t i,
                  double *x, double *y)
{
    if (!isfinite(s->y[i]) || !isfinite(s->x[i])) return false;
    if (s->x[i] < l->x_low || s->x[i] > l->x_high || s->y[i] < l->y_low || s->y[i] > l->y_high)
        return false;
    *x = layout_x(l, c, s->x[i]);
    *y = layout_y(l, c, s->y[i]);
    return true;
}

double layout_share(const struct layout *l, const struct chart *c, double cell)
{
    return place(l->colour_low, l->colour_high, c->colour.logarithmic, cell);
}

static void axis_text(const struct axis *axis, char text[CHART_TEXT])
{
    if (axis->unit) snprintf(text, CHART_TEXT, "%s [%s]", axis->label, axis->unit);
    else snprintf(text, CHART_TEXT, "%s", axis->label ? axis->label : "");
}

// A heat map's rows by their names, where they have some.
static uint32_t row_ticks(const struct layout *l, const struct chart *c, uint32_t most,
                          struct tick ticks[TICKS_MAX])
{
    if (c->kind != CHART_HEAT || !c->row_names)
        return chart_ticks(l->y_low, l->y_high, &c->y, most, ticks);
    uint32_t count = c->rows < TICKS_MAX ? c->rows : TICKS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        ticks[i].value = i + 1;
        snprintf(ticks[i].text, sizeof ticks[i].text, "%s", c->row_names[i]);
    }
    return count;
}

static double ticks_width(const struct tick *ticks, uint32_t count)
{
    double wide = 0;
    for (uint32_t i = 0; i < count; i++)
        wide = fmax(wide, font_width(ticks[i].text, sizes[TEXT_TICK]));
    return wide;
}

// As many ticks as stand beside each other with a gap.
static void x_axis(struct layout *l, const struct chart *c)
{
    struct tick ticks[TICKS_MAX];
    uint32_t count = 0;
    for (uint32_t most = 10; most >= 2; most--) {
        double end = -INFINITY;
        bool clear = true;
        count = chart_ticks(l->x_low, l->x_high, &c->x, most, ticks);
        for (uint32_t i = 0; i < count; i++) {
            double half = font_width(ticks[i].text, sizes[TEXT_TICK]) / 2;
            double at = layout_x(l, c, ticks[i].value);
            clear = clear && at - half > end;
            end = at + half + GAP;
        }
        if (clear) break;
    }
    l->x_tick_count = count;
    double bottom = l->plot.y + l->plot.height;
    for (uint32_t i = 0; i < count; i++) {
        l->x_ticks[i] = ticks[i].value;
        text_add(l, TEXT_TICK, ticks[i].text, false, l->width, layout_x(l, c, ticks[i].value), 0.5,
                 bottom + GAP, 0);
    }
    char text[CHART_TEXT];
    axis_text(&c->x, text);
    text_add(l, TEXT_AXIS, text, false, l->plot.width, l->plot.x + l->plot.width / 2, 0.5,
             bottom + GAP + sizes[TEXT_TICK] + 6, 0);
}

static void y_axis(struct layout *l, const struct chart *c, const struct tick *ticks,
                   uint32_t count)
{
    l->y_tick_count = count;
    for (uint32_t i = 0; i < count; i++) {
        l->y_ticks[i] = ticks[i].value;
        text_add(l, TEXT_TICK, ticks[i].text, false, l->width, l->plot.x - GAP, 1,
                 layout_y(l, c, ticks[i].value), 0.5);
    }
    char text[CHART_TEXT];
    axis_text(&c->y, text);
    text_add(l, TEXT_AXIS, text, true, l->plot.height,
             l->plot.x - GAP - ticks_width(ticks, count) - GAP, 1, l->plot.y + l->plot.height / 2,
             0.5);
}

static bool legend_has(const struct chart *c)
{
    return c->kind != CHART_HEAT && c->series_count > 0 && c->series[0].name;
}

static double legend_width(const struct layout *l, const struct chart *c)
{
    double wide = 0;
    if (!legend_has(c)) return 0;
    for (uint32_t i = 0; i < c->series_count; i++)
        wide = fmax(wide, font_width(c->series[i].name, sizes[TEXT_LEGEND]));
    return SAMPLE + GAP + fmin(wide, l->width * 0.3) + 2 * GAP;
}

static void legend(struct layout *l, const struct chart *c)
{
    if (!legend_has(c)) return;
    double step = fmin(24, l->plot.height / c->series_count);
    l->legend_x = l->plot.x + l->plot.width + 2 * GAP;
    l->legend_y = l->plot.y + step / 2;
    l->legend_step = step;
    for (uint32_t i = 0; i < c->series_count; i++)
        text_add(l, TEXT_LEGEND, c->series[i].name, false, l->width * 0.3,
                 l->legend_x + SAMPLE + GAP, 0, l->legend_y + i * step, 0.5);
}

// The bar of a heat map's colours, its numbers and name; x: where it may begin.
static void colour_bar(struct layout *l, const struct chart *c, const struct tick *ticks,
                       uint32_t count, double x)
{
    char text[CHART_TEXT];
    double wide = ticks_width(ticks, count);
    l->colour = (struct box){x, l->plot.y, BAR, l->plot.height};
    l->colour_tick_count = count;
    for (uint32_t i = 0; i < count; i++) {
        double at = place(l->colour_low, l->colour_high, c->colour.logarithmic, ticks[i].value);
        l->colour_ticks[i] = ticks[i].value;
        text_add(l, TEXT_TICK, ticks[i].text, false, l->width, x + BAR + GAP, 0,
                 l->colour.y + l->colour.height * (1 - at), 0.5);
    }
    axis_text(&c->colour, text);
    text_add(l, TEXT_AXIS, text, true, l->plot.height, x + BAR + GAP + wide + GAP, 0,
             l->plot.y + l->plot.height / 2, 0.5);
}

// Cells are square, as large as they fit.
static void plot_square(struct layout *l, const struct chart *c)
{
    double side = fmin(l->plot.width / c->cols, l->plot.height / c->rows);
    l->plot.x += (l->plot.width - side * c->cols) / 2;
    l->plot.width = side * c->cols;
    l->plot.height = side * c->rows;
}

bool chart_layout(const struct chart *c, double width, double height, struct layout *l)
{
    struct tick y_ticks[TICKS_MAX], colour_ticks[TICKS_MAX];
    bool heat = c->kind == CHART_HEAT;
    *l = (struct layout){.width = width, .height = height};
    if (c->series_count > SERIES_MAX)
        return fail(STATUS_FAILED, "a chart of %u series, wanted at most %d", c->series_count,
                    SERIES_MAX);
    if (!ranges(l, c)) return false;
    double top = MARGIN + (c->title ? sizes[TEXT_TITLE] + 12 : 0);
    double bottom = MARGIN + sizes[TEXT_AXIS] + 6 + sizes[TEXT_TICK] + GAP;
    uint32_t most = (uint32_t)fmax(2, fmin(8, (height - top - bottom) / 40)), bar_count = 0;
    uint32_t count = row_ticks(l, c, most, y_ticks);
    double right = MARGIN;
    double left = MARGIN + sizes[TEXT_AXIS] + GAP + ticks_width(y_ticks, count) + GAP;
    if (heat) {
        bar_count = chart_ticks(l->colour_low, l->colour_high, &c->colour, most, colour_ticks);
        right += 5 * GAP + BAR + ticks_width(colour_ticks, bar_count) + sizes[TEXT_AXIS];
    }
    right += fmax(legend_width(l, c), 2 * GAP);
    l->plot = (struct box){left, top, width - left - right, height - top - bottom};
    if (l->plot.width < 80 || l->plot.height < 60)
        return fail(STATUS_FAILED, "a chart of %g x %g is too small for its texts", width, height);
    if (heat) plot_square(l, c);
    if (c->title)
        text_add(l, TEXT_TITLE, c->title, false, width - 2 * MARGIN, width / 2, 0.5, MARGIN, 0);
    x_axis(l, c);
    y_axis(l, c, y_ticks, count);
    legend(l, c);
    if (heat) colour_bar(l, c, colour_ticks, bar_count, l->plot.x + l->plot.width + 2 * GAP);
    return true;
}
