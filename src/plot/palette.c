#include "plot/palette.h"

#include <math.h>

static const struct colour series[MARKS] = {
    {0, 114, 178}, {213, 94, 0}, {0, 158, 115},  {204, 121, 167},
    {230, 159, 0}, {60, 60, 60}, {86, 180, 233}, {120, 70, 20},
};

struct colour palette_series(uint32_t i)
{
    return series[i % MARKS];
}

struct colour palette_shade(double share)
{
    static const double stops[][3] = {
        {246, 249, 253}, {190, 215, 235}, {105, 165, 210}, {35, 105, 175}, {8, 45, 100}};
    enum { LAST = sizeof stops / sizeof *stops - 1 };
    double at = fmin(fmax(share, 0), 1) * LAST;
    int low = at >= LAST ? LAST - 1 : (int)at;
    double part = at - low, mixed[3];
    for (int k = 0; k < 3; k++)
        mixed[k] = stops[low][k] + part * (stops[low + 1][k] - stops[low][k]);
    return (struct colour){(uint8_t)lround(mixed[0]), (uint8_t)lround(mixed[1]),
                           (uint8_t)lround(mixed[2])};
}

// A regular polygon with a corner at `turn` turns from the right, clockwise.
static void regular(struct canvas *c, struct point at, uint32_t corners, double radius, double turn,
                    struct colour colour, double opacity)
{
    struct point points[8];
    for (uint32_t i = 0; i < corners; i++) {
        double angle = 6.283185307179586 * (turn + (double)i / corners);
        points[i] = (struct point){at.x + radius * cos(angle), at.y + radius * sin(angle)};
    }
    canvas_polygon(c, points, corners, colour, opacity);
}

static void shape(struct canvas *c, uint32_t mark, struct point at, double size,
                  struct colour colour, double opacity)
{
    static const struct {
        uint32_t corners;
        double radius, turn;
    } shapes[MARKS] = {{0, 0, 0},           {4, 0.68, 0.125}, {3, 0.75, 0.75}, {4, 0.72, 0},
                       {3, 0.75, 0.25},     {5, 0.66, 0.75},  {6, 0.64, 0},    {8, 0.62, 0.0625}};
    if (shapes[mark].corners == 0)
        canvas_segment(c, at, at, size, colour, opacity);
    else
        regular(c, at, shapes[mark].corners, shapes[mark].radius * size, shapes[mark].turn, colour,
                opacity);
}

void palette_mark(struct canvas *c, uint32_t i, struct point at, double size, double opacity)
{
    static const struct colour white = {255, 255, 255};
    shape(c, i % MARKS, at, size, palette_series(i), opacity);
    if (i / MARKS % 2 == 1) shape(c, i % MARKS, at, size * 0.5, white, 1);
}
