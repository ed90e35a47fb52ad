#include "plot/canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

#define STBIW_ASSERT(x) ((void)0)
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function" // found at the file's end
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb_image_write.h>
#pragma GCC diagnostic pop

bool canvas_new(struct canvas *c, uint32_t width, uint32_t height, uint32_t scale)
{
    *c = (struct canvas){.width = width * scale, .height = height * scale, .scale = scale};
    size_t bytes = (size_t)c->width * c->height * 3;
    c->pixels = mem_new(bytes, 1, "a picture");
    if (c->pixels) memset(c->pixels, 255, bytes);
    return c->pixels != NULL;
}

void canvas_free(struct canvas *c)
{
    free(c->pixels);
    *c = (struct canvas){0};
}

struct sink {
    struct file_out out;
    bool ok;
};

static void sink_write(void *context, void *data, int size)
{
    struct sink *s = context;
    s->ok = s->ok && file_out_write(&s->out, data, (size_t)size);
}

bool canvas_png(const struct canvas *c, const char *path)
{
    struct sink s = {.ok = true};
    if (!file_out_open(&s.out, path)) return false;
    if (!stbi_write_png_to_func(sink_write, &s, (int)c->width, (int)c->height, 3, c->pixels,
                                (int)c->width * 3) && s.ok)
        s.ok = fail(STATUS_NO_MEMORY, "out of host memory for %s", path);
    return file_out_close(&s.out, s.ok) && s.ok;
}

void canvas_blend(struct canvas *c, int64_t x, int64_t y, struct colour colour, double cover)
{
    if (x < 0 || y < 0 || x >= c->width || y >= c->height || !(cover > 0)) return;
    if (cover > 1) cover = 1;
    uint8_t *p = c->pixels + ((size_t)y * c->width + (size_t)x) * 3;
    const uint8_t to[3] = {colour.r, colour.g, colour.b};
    for (int i = 0; i < 3; i++) p[i] = (uint8_t)lround(p[i] + cover * ((double)to[i] - p[i]));
}

// How much of pixel `at` lies in [from, to).
static double inside(double at, double from, double to)
{
    double low = at > from ? at : from, high = at + 1 < to ? at + 1 : to;
    return high > low ? high - low : 0;
}

void canvas_rect(struct canvas *c, double x, double y, double width, double height,
                 struct colour colour)
{
    double s = c->scale, x1 = (x + width) * s, y1 = (y + height) * s;
    x *= s;
    y *= s;
    for (int64_t j = (int64_t)floor(y); (double)j < y1; j++)
        for (int64_t i = (int64_t)floor(x); (double)i < x1; i++)
            canvas_blend(c, i, j, colour, inside((double)i, x, x1) * inside((double)j, y, y1));
}

static double segment_distance(struct point p, struct point a, struct point b)
{
    double dx = b.x - a.x, dy = b.y - a.y, length = dx * dx + dy * dy, t = 0;
    if (length > 0) t = ((p.x - a.x) * dx + (p.y - a.y) * dy) / length;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    return hypot(p.x - a.x - t * dx, p.y - a.y - t * dy);
}

void canvas_segment(struct canvas *c, struct point from, struct point to, double width,
                    struct colour colour, double opacity)
{
    double s = c->scale, half = width * s / 2;
    struct point a = {from.x * s, from.y * s}, b = {to.x * s, to.y * s};
    int64_t left = (int64_t)floor(fmin(a.x, b.x) - half - 1),
            right = (int64_t)ceil(fmax(a.x, b.x) + half + 1),
            top = (int64_t)floor(fmin(a.y, b.y) - half - 1),
            bottom = (int64_t)ceil(fmax(a.y, b.y) + half + 1);
    for (int64_t j = top; j <= bottom; j++)
        for (int64_t i = left; i <= right; i++) {
            struct point p = {(double)i + 0.5, (double)j + 0.5};
            double cover = half + 0.5 - segment_distance(p, a, b);
            canvas_blend(c, i, j, colour, opacity * (cover < 1 ? cover : 1));
        }
}

void canvas_polygon(struct canvas *c, const struct point *points, uint32_t count,
                    struct colour colour, double opacity)
{
    double s = c->scale, left = INFINITY, right = -INFINITY, top = INFINITY, bottom = -INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        left = fmin(left, points[i].x * s);
        right = fmax(right, points[i].x * s);
        top = fmin(top, points[i].y * s);
        bottom = fmax(bottom, points[i].y * s);
    }
    for (int64_t j = (int64_t)floor(top) - 1; (double)j <= bottom + 1; j++)
        for (int64_t i = (int64_t)floor(left) - 1; (double)i <= right + 1; i++) {
            double outside = -INFINITY; // of the edge that is farthest inwards
            for (uint32_t k = 0; k < count; k++) {
                struct point a = points[k], b = points[(k + 1) % count];
                double dx = b.x - a.x, dy = b.y - a.y, length = hypot(dx, dy);
                double d = (((double)i + 0.5 - a.x * s) * dy - ((double)j + 0.5 - a.y * s) * dx);
                outside = fmax(outside, d / length);
            }
            double cover = 0.5 - outside;
            canvas_blend(c, i, j, colour, opacity * (cover < 1 ? cover : 1));
        }
}
