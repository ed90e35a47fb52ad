// Charts: ticks, texts that do not overlap, pictures that decode to what was drawn.
// OEDIT_PICTURES=FOLDER keeps the pictures, to be looked at.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/status.h"
#include "plot/chart.h"
#include "plot/font.h"
#include "plot/palette.h"
#include "ref_must.h"

#define STBI_ONLY_PNG
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function" // found at the file's end
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb_image.h>
#pragma GCC diagnostic pop

static const struct axis share = {.label = "share of requests", .low = 0, .high = 1};
static const struct axis edits = {.label = "edits", .low = NAN, .high = NAN, .whole = true};

static void ticks_are_round(void **state)
{
    (void)state;
    struct tick ticks[TICKS_MAX];
    const struct axis even = {0}, whole = {.whole = true}, log_axis = {.logarithmic = true};
    assert_int_equal(chart_ticks(0, 1, &even, 6, ticks), 6);
    assert_string_equal(ticks[0].text, "0.0");
    assert_string_equal(ticks[3].text, "0.6");
    assert_int_equal(chart_ticks(-3, 207, &even, 5, ticks), 5);
    assert_string_equal(ticks[4].text, "200");
    assert_int_equal(chart_ticks(0.9, 3.1, &whole, 8, ticks), 3);
    assert_string_equal(ticks[0].text, "1");
    assert_int_equal(chart_ticks(0.1, 1000, &log_axis, 8, ticks), 5);
    assert_string_equal(ticks[0].text, "0.1");
    assert_string_equal(ticks[4].text, "1000");
    assert_int_equal(chart_ticks(1, 50, &log_axis, 8, ticks), 6);
    assert_string_equal(ticks[5].text, "50");
}

// Never more than asked for, within the range, ascending, evenly far apart.
static void ticks_fit_any_range(void **state)
{
    (void)state;
    struct tick ticks[TICKS_MAX];
    for (int e = -9; e <= 9; e++)
        for (int k = 1; k < 40; k++)
            for (uint32_t most = 2; most <= 12; most++)
                for (int kind = 0; kind < 2; kind++) {
                    const struct axis axis = {.logarithmic = kind == 1};
                    double low = (kind ? 0.3 : -1.7 * k) * pow(10, e), high = k * pow(10, e);
                    uint32_t count = chart_ticks(low, high, &axis, most, ticks);
                    assert_true(count <= most);
                    if (!kind) assert_true(count >= 1);
                    for (uint32_t i = 0; i < count; i++) {
                        assert_true(ticks[i].value >= low - 1e-9 * fabs(low));
                        assert_true(ticks[i].value <= high + 1e-9 * high);
                        assert_true(i == 0 || ticks[i].value > ticks[i - 1].value);
                        double read = strtod(ticks[i].text, NULL);
                        assert_true(fabs(read - ticks[i].value) <= 1e-5 * (high - low));
                    }
                }
}

static bool apart(struct box a, struct box b)
{
    return a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y ||
           b.y + b.height <= a.y;
}

// Two numbers on one axis may come near; nothing may lie on anything else or over the edge.
static void check_layout(const struct chart *chart, double width, double height)
{
    struct layout l;
    assert_true(chart_layout(chart, width, height, &l));
    for (uint32_t i = 0; i < l.text_count; i++) {
        struct box a = l.texts[i].box;
        assert_true(a.x >= 0 && a.y >= 0 && a.x + a.width <= width && a.y + a.height <= height);
        if (!apart(a, l.plot)) print_message("'%s' lies in the plot\n", l.texts[i].text);
        assert_true(apart(a, l.plot));
        if (chart->kind == CHART_HEAT) assert_true(apart(a, l.colour));
        for (uint32_t k = i + 1; k < l.text_count; k++) {
            if (!apart(a, l.texts[k].box))
                print_message("'%s' and '%s' overlap\n", l.texts[i].text, l.texts[k].text);
            assert_true(apart(a, l.texts[k].box));
        }
    }
}

enum { SERIES = 14, POINTS = 300, CELLS = 50 };
static double x_values[POINTS], y_values[SERIES][POINTS], spreads[POINTS], cells[CELLS * CELLS];
static struct series made[SERIES];
static char names[SERIES][64];

static void make(uint32_t count)
{
    static const char *const words[] = {"MEMIT", "+R-Edit", "+WilKE", "+PRUNE", "+O-Edit",
                                        "+O-Edit+", "AlphaEdit", "key memory and O-Edit+"};
    for (uint32_t k = 0; k < SERIES; k++) {
        snprintf(names[k], sizeof names[k], "%s%s", words[k % 8], k < 8 ? "" : " (ROME)");
        for (uint32_t i = 0; i < POINTS; i++) {
            x_values[i] = count > 20 ? i + 1 : (double[]){10, 50, 100, 200, 500}[i % 5];
            y_values[k][i] = 0.95 / (1 + (k + 1) * 0.1 * i * (count > 20 ? 0.05 : 1));
            spreads[i] = 0.02 + 0.005 * (double)(i % 5);
        }
        made[k] = (struct series){.name = names[k], .x = x_values, .y = y_values[k],
                                  .count = count};
    }
    for (int i = 0; i < CELLS; i++)
        for (int j = 0; j < CELLS; j++)
            cells[i * CELLS + j] =
                i == j ? NAN : fabs(sin(0.7 * i * j + i + j)) * exp(-abs(i - j) / 9.0);
}

static struct chart chart_of(enum chart_kind kind, uint32_t series)
{
    struct chart c = {.kind = kind, .x = edits, .y = share, .series = made,
                      .series_count = series,
                      .title = "Reliability, SmolLM2-135M, CounterFact"};
    if (kind == CHART_POINTS)
        c.y = (struct axis){.label = "activation score", .low = NAN, .high = NAN,
                            .logarithmic = true};
    if (kind == CHART_HEAT) {
        c.series_count = 0;
        c.cells = cells;
        c.rows = c.cols = CELLS;
        c.x.label = c.y.label = "edit";
        c.colour = (struct axis){.label = "|cos| of two updates", .low = 0, .high = NAN};
    }
    return c;
}

static void texts_do_not_overlap(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= POINTS; count = count * 2 + 3) {
        make(count);
        for (uint32_t k = 1; k <= SERIES; k++) {
            struct chart lines = chart_of(CHART_LINES, k), points = chart_of(CHART_POINTS, k);
            lines.x.logarithmic = k % 2 == 1;
            for (int size = 0; size < 3; size++) {
                double width = (double[]){900, 600, 1600}[size];
                double height = (double[]){600, 420, 900}[size];
                check_layout(&lines, width, height);
                check_layout(&points, width, height);
            }
        }
    }
    struct chart map = chart_of(CHART_HEAT, 0);
    check_layout(&map, 900, 600);
    check_layout(&map, 640, 900);
    map.rows = map.cols = 1;
    map.cells = (double[]){0.25};
    check_layout(&map, 900, 600);
    make(5);
    struct chart lines = chart_of(CHART_LINES, 3);
    char name[200];
    memset(name, 'W', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    made[0].name = lines.title = lines.y.label = lines.x.label = name;
    check_layout(&lines, 900, 600);
    lines.series_count = SERIES_MAX + 1;
    struct layout l;
    assert_false(chart_layout(&lines, 900, 600, &l));
    status_clear();
    lines.series_count = 3;
    assert_false(chart_layout(&lines, 200, 100, &l));
    assert_non_null(strstr(status_message(), "too small"));
    status_clear();
    made[0].name = names[0];
    lines = chart_of(CHART_LINES, 1);
    made[0].count = 0;
    assert_false(chart_layout(&lines, 900, 600, &l));
    status_clear();
}

static unsigned char *draw(const struct chart *c, uint32_t scale, const char *name, int *width,
                           int *height)
{
    const char *folder = getenv("OEDIT_PICTURES");
    char path[4096];
    int channels;
    snprintf(path, sizeof path, "%s/oedit-chart-%s.png", folder ? folder : "/tmp", name);
    assert_true(chart_png(c, 900, 600, scale, path));
    unsigned char *pixels = stbi_load(path, width, height, &channels, 3);
    assert_non_null(pixels);
    assert_int_equal(*width, 900 * (int)scale);
    assert_int_equal(*height, 600 * (int)scale);
    if (!folder) unlink(path);
    return pixels;
}

static bool is(const unsigned char *pixels, int width, double x, double y, struct colour colour)
{
    const unsigned char *p = pixels + ((size_t)y * (size_t)width + (size_t)x) * 3;
    return p[0] == colour.r && p[1] == colour.g && p[2] == colour.b;
}

// The middle of each mark has its series' colour, at the place that the layout says.
static void pictures_show_the_data(void **state)
{
    (void)state;
    make(5);
    struct chart c = chart_of(CHART_LINES, 8);
    for (uint32_t k = 0; k < 8; k++) made[k].spread = k < 2 ? spreads : NULL;
    struct layout l;
    int width, height;
    assert_true(chart_layout(&c, 900, 600, &l));
    unsigned char *pixels = draw(&c, 2, "lines", &width, &height);
    uint32_t last = c.series_count - 1; // nothing lies over it
    for (uint32_t i = 0; i < 5; i++)
        assert_true(is(pixels, width, 2 * layout_x(&l, &c, x_values[i]),
                       2 * layout_y(&l, &c, y_values[last][i]), palette_series(last)));
    for (uint32_t k = 0; k < 8; k++)
        assert_true(is(pixels, width, 2 * (l.legend_x + 15),
                       2 * (l.legend_y + k * l.legend_step), palette_series(k)));
    assert_true(is(pixels, width, 2, 2, (struct colour){255, 255, 255}));
    stbi_image_free(pixels);
    make(5);
    c = chart_of(CHART_HEAT, 0);
    assert_true(chart_layout(&c, 900, 600, &l));
    pixels = draw(&c, 2, "heat", &width, &height);
    for (int i = 0; i < CELLS; i += 7)
        for (int j = 0; j < CELLS; j += 5)
            if (i != j)
                assert_true(is(pixels, width, 2 * layout_x(&l, &c, j + 1),
                               2 * layout_y(&l, &c, i + 1),
                               palette_shade(cells[i * CELLS + j] / l.colour_high)));
    stbi_image_free(pixels);
    make(POINTS);
    c = chart_of(CHART_POINTS, 3);
    stbi_image_free(draw(&c, 1, "points", &width, &height));
    c = chart_of(CHART_LINES, SERIES);
    made[0].count = made[1].count = 0;
    stbi_image_free(draw(&c, 1, "many", &width, &height));
}

static void same_chart_same_bytes(void **state)
{
    (void)state;
    unsigned char *pixels[2];
    int width, height;
    make(5);
    struct chart c = chart_of(CHART_LINES, 4);
    for (int i = 0; i < 2; i++) pixels[i] = draw(&c, 1, "same", &width, &height);
    assert_memory_equal(pixels[0], pixels[1], (size_t)width * (size_t)height * 3);
    for (int i = 0; i < 2; i++) stbi_image_free(pixels[i]);
    assert_false(chart_png(&c, 900, 600, 1, "/nowhere/at/all.png"));
    status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_are_round),        cmocka_unit_test(ticks_fit_any_range),
        cmocka_unit_test(texts_do_not_overlap),   cmocka_unit_test(pictures_show_the_data),
        cmocka_unit_test(same_chart_same_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
