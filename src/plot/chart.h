// Charts as plain data: what is drawn, where it comes to lie, and the picture. A writer of another
// format takes the same chart and the same layout.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum chart_kind { CHART_LINES, CHART_POINTS, CHART_HEAT };

// Points of one name, in the order in which a line joins them. A y that is not finite is left out,
// and parts the line.
struct series {
    const char *name;
    const double *x, *y;  // [count]
    const double *spread; // [count], drawn as y +- spread; NULL: none
    uint32_t count;
};

struct axis {
    const char *label, *unit; // "edits", "s"; unit NULL: none
    double low, high;         // NAN: as the data are
    bool logarithmic;         // what is not above 0 is left out
    bool whole;               // no ticks between whole numbers
};

enum { SERIES_MAX = 24, CHART_TEXT = 120 }; // bytes of a text, with the end

struct chart {
    enum chart_kind kind;
    const char *title;
    struct axis x, y;
    const struct series *series; // [series_count]
    uint32_t series_count;
    const double *cells; // CHART_HEAT: [rows, cols], row 0 on top; NAN: left grey
    uint32_t rows, cols;
    struct axis colour; // of cells
    const char *const *row_names; // [rows] at most TICKS_MAX, of 15 bytes; NULL: they are numbered
    bool from_zero;               // columns are numbered from 0, not from 1
};

struct tick {
    double value;
    char text[16];
};
enum { TICKS_MAX = 16 };

// At most `most` (2 to TICKS_MAX) round numbers in [low, high]: 1, 2 or 5 times a power of ten
// apart, or, logarithmic, powers of ten, with others between where there is room. Returns how many.
uint32_t chart_ticks(double low, double high, const struct axis *axis, uint32_t most,
                     struct tick ticks[TICKS_MAX]);

struct box {
    double x, y, width, height; // from the left upper corner, y downwards
};

enum text_role { TEXT_TITLE, TEXT_AXIS, TEXT_TICK, TEXT_LEGEND };

struct chart_text {
    char text[CHART_TEXT];
    enum text_role role;
    double size;
    bool upwards;   // turned by 90 degrees, read from below
    double across;  // which part of its box stays where it is in another font: 0 left, 1 right
    struct box box; // all of its ink
};

enum { CHART_TEXTS = 2 + 3 * TICKS_MAX + SERIES_MAX + 4 };

struct layout {
    double width, height;
    struct box plot;   // where data are drawn
    struct box colour; // CHART_HEAT: the bar
    double x_low, x_high, y_low, y_high, colour_low, colour_high;
    double x_ticks[TICKS_MAX], y_ticks[TICKS_MAX], colour_ticks[TICKS_MAX]; // values
    uint32_t x_tick_count, y_tick_count, colour_tick_count;
    struct chart_text texts[CHART_TEXTS];
    uint32_t text_count;
    double legend_x, legend_y, legend_step; // left and middle of series 0's sample; to the next
};

// Fails with STATUS_FAILED where nothing is to be drawn or it is too small for its texts.
bool chart_layout(const struct chart *chart, double width, double height, struct layout *layout);

// A value's place on the picture.
double layout_x(const struct layout *layout, const struct chart *chart, double value);
double layout_y(const struct layout *layout, const struct chart *chart, double value);

// Whether point i of a series is on the picture, and where. What is off the axes is not drawn at
// their ends: nothing that was not measured is shown.
bool layout_point(const struct layout *layout, const struct chart *chart,
                  const struct series *series, uint32_t i, double *x, double *y);
// A cell's share of the colours' range, NAN for one that is left grey.
double layout_share(const struct layout *layout, const struct chart *chart, double cell);

// A picture of width x height units, each scale pixels wide. The same chart gives the same bytes.
bool chart_png(const struct chart *chart, uint32_t width, uint32_t height, uint32_t scale,
               const char *path);

// The same as an <svg> element of a page, without title and legend, for the classes and colours of
// assets/report/style.css; behind it a <script> element with its numbers as JSON.
bool chart_svg(const struct chart *chart, uint32_t width, uint32_t height, FILE *to);
// A legend's sample of series i.
void chart_svg_sample(const struct chart *chart, uint32_t i, FILE *to);
