#include "plot/chart.h"

#include <math.h>

#include "plot/canvas.h"
#include "plot/font.h"
#include "plot/palette.h"

static const struct colour ink = {30, 30, 30}, grid = {226, 226, 226}, missing = {200, 200, 200};
enum { SAMPLE_WIDTH = 30, MARK = 9, DOT = 5 };

static void frame(struct canvas *canvas, const struct box *b)
{
    canvas_rect(canvas, b->x, b->y + b->height, b->width, 1, ink);
    canvas_rect(canvas, b->x - 1, b->y, 1, b->height + 1, ink);
}

static void axes(struct canvas *canvas, const struct chart *c, const struct layout *l)
{
    const struct box *b = &l->plot;
    bool lines = c->kind != CHART_HEAT;
    for (uint32_t i = 0; i < l->x_tick_count; i++) {
        double x = layout_x(l, c, l->x_ticks[i]);
        if (lines) canvas_rect(canvas, x - 0.5, b->y, 1, b->height, grid);
        canvas_rect(canvas, x - 0.5, b->y + b->height, 1, 5, ink);
    }
    for (uint32_t i = 0; i < l->y_tick_count; i++) {
        double y = layout_y(l, c, l->y_ticks[i]);
        if (lines) canvas_rect(canvas, b->x, y - 0.5, b->width, 1, grid);
        canvas_rect(canvas, b->x - 5, y - 0.5, 5, 1, ink);
    }
    frame(canvas, b);
}

// Whether point i is on the picture, and where. What is off the axes is not drawn at their ends:
// nothing that was not measured is shown.
static bool point_of(const struct layout *l, const struct chart *c, const struct series *s,
                     uint32_t i, struct point *at)
{
    if (!isfinite(s->y[i]) || !isfinite(s->x[i])) return false;
    if (s->x[i] < l->x_low || s->x[i] > l->x_high || s->y[i] < l->y_low || s->y[i] > l->y_high)
        return false;
    *at = (struct point){layout_x(l, c, s->x[i]), layout_y(l, c, s->y[i])};
    return true;
}

static void whisker(struct canvas *canvas, const struct layout *l, const struct chart *c,
                    const struct series *s, uint32_t i, struct point at, struct colour colour)
{
    if (!s->spread || !(s->spread[i] > 0)) return;
    double low = fmax(s->y[i] - s->spread[i], l->y_low);
    double high = fmin(s->y[i] + s->spread[i], l->y_high);
    struct point from = {at.x, layout_y(l, c, low)}, to = {at.x, layout_y(l, c, high)};
    canvas_segment(canvas, from, to, 1.2, colour, 0.8);
    canvas_rect(canvas, at.x - 3, from.y - 0.5, 6, 1, colour);
    canvas_rect(canvas, at.x - 3, to.y - 0.5, 6, 1, colour);
}

// Where points lie dense, not each has its mark.
static void marks(struct canvas *canvas, const struct chart *c, const struct layout *l, uint32_t k)
{
    const struct series *s = &c->series[k];
    struct point at, last = {-INFINITY, 0};
    for (uint32_t i = 0; i < s->count; i++) {
        if (!point_of(l, c, s, i, &at)) continue;
        if (s->count > 30 && hypot(at.x - last.x, at.y - last.y) < 4 * MARK) continue;
        palette_mark(canvas, k, at, MARK, 1);
        last = at;
    }
}

static void lines(struct canvas *canvas, const struct chart *c, const struct layout *l)
{
    for (uint32_t k = 0; k < c->series_count; k++) {
        const struct series *s = &c->series[k];
        struct colour colour = palette_series(k);
        struct point before = {0}, at;
        bool joined = false;
        for (uint32_t i = 0; i < s->count; i++) {
            bool there = point_of(l, c, s, i, &at);
            if (there && joined) canvas_segment(canvas, before, at, 2.2, colour, 1);
            if (there) whisker(canvas, l, c, s, i, at, colour);
            joined = there;
            before = at;
        }
    }
    for (uint32_t k = 0; k < c->series_count; k++) marks(canvas, c, l, k);
}

// One series after the other by turns, so that none lies wholly under another.
static void points(struct canvas *canvas, const struct chart *c, const struct layout *l)
{
    uint32_t most = 0;
    for (uint32_t k = 0; k < c->series_count; k++)
        if (c->series[k].count > most) most = c->series[k].count;
    for (uint32_t i = 0; i < most; i++)
        for (uint32_t k = 0; k < c->series_count; k++) {
            struct point at;
            if (i < c->series[k].count && point_of(l, c, &c->series[k], i, &at))
                palette_mark(canvas, k, at, most > 60 ? DOT : MARK - 2, 0.75);
        }
}

static void heat(struct canvas *canvas, const struct chart *c, const struct layout *l)
{
    const struct box *b = &l->plot, *bar = &l->colour;
    double width = b->width / c->cols, height = b->height / c->rows;
    double low = l->colour_low, high = l->colour_high, scale = canvas->scale;
    for (uint32_t i = 0; i < c->rows; i++)
        for (uint32_t j = 0; j < c->cols; j++) {
            double cell = c->cells[(uint64_t)i * c->cols + j];
            double share = c->colour.logarithmic ? log(cell / low) / log(high / low)
                                                 : (cell - low) / (high - low);
            // Cells end where pixels do: no seams between them.
            double x = round((b->x + j * width) * scale) / scale,
                   y = round((b->y + i * height) * scale) / scale,
                   right = round((b->x + (j + 1) * width) * scale) / scale,
                   bottom = round((b->y + (i + 1) * height) * scale) / scale;
            canvas_rect(canvas, x, y, right - x, bottom - y,
                        isfinite(share) ? palette_shade(share) : missing);
        }
    // From the top, each step down to the bar's end: no seams between them.
    enum { STEPS = 256 };
    for (uint32_t i = 0; i < STEPS; i++)
        canvas_rect(canvas, bar->x, bar->y + bar->height * i / STEPS, bar->width,
                    bar->height * (STEPS - i) / STEPS, palette_shade(1 - (i + 0.5) / STEPS));
    for (uint32_t i = 0; i < l->colour_tick_count; i++) {
        double value = l->colour_ticks[i];
        double at = c->colour.logarithmic ? log(value / low) / log(high / low)
                                          : (value - low) / (high - low);
        canvas_rect(canvas, bar->x + bar->width, bar->y + bar->height * (1 - at) - 0.5, 5, 1, ink);
    }
    frame(canvas, bar);
}

static void legend(struct canvas *canvas, const struct chart *c, const struct layout *l)
{
    if (!(l->legend_step > 0)) return;
    for (uint32_t i = 0; i < c->series_count; i++) {
        double y = l->legend_y + i * l->legend_step;
        struct point from = {l->legend_x, y}, to = {l->legend_x + SAMPLE_WIDTH, y};
        if (c->kind == CHART_LINES) canvas_segment(canvas, from, to, 2.2, palette_series(i), 1);
        palette_mark(canvas, i, (struct point){(from.x + to.x) / 2, y}, MARK, 1);
    }
}

bool chart_png(const struct chart *c, uint32_t width, uint32_t height, uint32_t scale,
               const char *path)
{
    struct layout l;
    struct canvas canvas;
    if (!chart_layout(c, width, height, &l) || !canvas_new(&canvas, width, height, scale))
        return false;
    if (c->kind == CHART_HEAT) heat(&canvas, c, &l);
    axes(&canvas, c, &l);
    if (c->kind == CHART_LINES) lines(&canvas, c, &l);
    if (c->kind == CHART_POINTS) points(&canvas, c, &l);
    legend(&canvas, c, &l);
    for (uint32_t i = 0; i < l.text_count; i++) font_draw(&canvas, &l.texts[i], ink);
    bool ok = canvas_png(&canvas, path);
    canvas_free(&canvas);
    return ok;
}
