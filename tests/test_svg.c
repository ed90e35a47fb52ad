// Charts as SVG: marks where the layout says, one element a series, numbers that read back.
#define _POSIX_C_SOURCE 200809L // open_memstream
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "plot/chart.h"
#include "ref_must.h"

enum { WIDTH = 520, HEIGHT = 330, POINTS = 100 };

static char *drawn(const struct chart *c)
{
    char *made = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&made, &size);
    assert_non_null(to);
    assert_true(chart_svg(c, WIDTH, HEIGHT, to));
    assert_int_equal(fclose(to), 0);
    return made;
}

static uint32_t times(const char *text, const char *part)
{
    uint32_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

static cJSON *numbers(const char *svg)
{
    const char *from = strstr(svg, "<script type=\"application/json\">");
    assert_non_null(from);
    cJSON *data = cJSON_Parse(strchr(from, '>') + 1);
    assert_non_null(data);
    return data;
}

static double number_at(const cJSON *list, int i)
{
    const cJSON *item = cJSON_GetArrayItem(list, i);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static double x_values[POINTS], y_values[POINTS], spreads[POINTS];

static struct chart lines_of(struct series *series, uint32_t count)
{
    for (int i = 0; i < POINTS; i++) {
        x_values[i] = i + 1;
        y_values[i] = 0.5 + 0.4 * sin(i);
        spreads[i] = i % 2 ? 0.03 : 0;
    }
    for (uint32_t k = 0; k < count; k++)
        series[k] = (struct series){.name = "a \"<b>\" & c", .x = x_values, .y = y_values,
                                    .spread = spreads, .count = 5};
    return (struct chart){.kind = CHART_LINES, .title = "<i>title</i>", .series = series,
                          .series_count = count,
                          .x = {.label = "edits", .low = NAN, .high = NAN, .whole = true},
                          .y = {.label = "share", .low = 0, .high = 1}};
}

static void marks_lie_where_the_layout_says(void **state)
{
    (void)state;
    struct series series[2];
    struct chart c = lines_of(series, 2), bare;
    struct layout l;
    char *svg = drawn(&c);
    assert_int_equal(times(svg, "class=\"mark\""), 10);
    assert_int_equal(times(svg, "class=\"spread\""), 4);
    assert_int_equal(times(svg, "<g class=\"series "), 2);
    assert_int_equal(times(svg, "<title>"), 10);
    bare = c;
    bare.title = NULL;
    struct series unnamed = series[0];
    unnamed.name = NULL;
    bare.series = &unnamed;
    bare.series_count = 1;
    assert_true(chart_layout(&bare, WIDTH, HEIGHT, &l));
    const char *at = strstr(svg, "class=\"line\" d=\"");
    assert_non_null(at);
    at = strchr(at, 'M');
    for (int i = 0; i < 5; i++) {
        char *end;
        double x = strtod(at + 1, &end), y = strtod(end, &end);
        assert_true(fabs(x - layout_x(&l, &c, x_values[i])) < 0.06);
        assert_true(fabs(y - layout_y(&l, &c, y_values[i])) < 0.06);
        at = end;
    }
    free(svg);
}

static void names_are_escaped(void **state)
{
    (void)state;
    struct series series[1];
    struct chart c = lines_of(series, 1);
    c.y.label = "</script>";
    char *svg = drawn(&c);
    assert_null(strstr(svg, "<b>"));
    assert_null(strstr(svg, "<i>"));
    assert_non_null(strstr(svg, "aria-label=\"&lt;i&gt;title&lt;/i&gt;\""));
    assert_int_equal(times(svg, "</script>"), 1);
    free(svg);
}

static void numbers_read_back(void **state)
{
    (void)state;
    struct series series[3];
    struct chart c = lines_of(series, 3);
    y_values[2] = NAN;
    c.kind = CHART_POINTS;
    series[1].count = POINTS;
    char *svg = drawn(&c);
    assert_int_equal(times(svg, "class=\"dots\""), 1);
    assert_int_equal(times(svg, "class=\"mark faint\""), 2);
    assert_int_equal(times(svg, "h0"), POINTS - 1); // but the one that is not a number
    cJSON *data = numbers(svg), *list = cJSON_GetObjectItem(data, "series");
    assert_int_equal(cJSON_GetArraySize(list), 3);
    const cJSON *second = cJSON_GetArrayItem(list, 1), *ys = cJSON_GetObjectItem(second, "y");
    assert_int_equal(cJSON_GetArraySize(ys), POINTS);
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(ys, 2)));
    for (int i = 3; i < POINTS; i++)
        assert_true(fabs(number_at(ys, i) - y_values[i]) < 1e-5);
    assert_string_equal(cJSON_GetObjectItem(second, "name")->valuestring, "a \"<b>\" & c");
    cJSON_Delete(data);
    free(svg);
}

static void cells_are_there_once(void **state)
{
    (void)state;
    enum { N = 20 };
    static double cells[N * N];
    for (int i = 0; i < N * N; i++) cells[i] = i % (N + 1) ? i / (double)(N * N) : NAN;
    struct chart c = {.kind = CHART_HEAT, .cells = cells, .rows = N, .cols = N,
                      .x = {.label = "edit", .whole = true}, .y = {.label = "edit", .whole = true},
                      .colour = {.label = "overlap", .low = 0, .high = NAN}};
    char *svg = drawn(&c);
    cJSON *data = numbers(svg), *list = cJSON_GetObjectItem(data, "cells");
    const char *missing = strstr(svg, "class=\"cell missing\" d=\"");
    assert_non_null(missing);
    char *end = strchr(missing + 24, '"');
    assert_non_null(end);
    // A path's cells each begin with one M: those of all levels, then 32 of the colours' bar.
    uint32_t all = 0;
    for (const char *at = strstr(svg, "class=\"cell"); at; at = strstr(at + 1, "class=\"cell"))
        for (const char *d = strstr(at, "d=\"") + 3; *d != '"'; d++) all += *d == 'M';
    assert_int_equal(all, N * N + 32);
    *end = '\0';
    assert_int_equal(times(missing, "M"), N);
    assert_int_equal(cJSON_GetArraySize(list), N * N);
    assert_true(fabs(number_at(list, N * N - 2) - cells[N * N - 2]) < 1e-5);
    cJSON_Delete(data);
    free(svg);
}

static void same_chart_same_text(void **state)
{
    (void)state;
    struct series series[24];
    struct chart c = lines_of(series, 24);
    char *one = drawn(&c), *two = drawn(&c);
    assert_string_equal(one, two);
    assert_int_equal(times(one, " again\""), 8);
    assert_int_equal(times(one, " thrice\""), 8);
    free(one);
    free(two);
    c.series_count = SERIES_MAX + 1;
    assert_false(chart_svg(&c, WIDTH, HEIGHT, stderr));
    status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_lie_where_the_layout_says), cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(numbers_read_back),               cmocka_unit_test(cells_are_there_once),
        cmocka_unit_test(same_chart_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
