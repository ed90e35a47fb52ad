// A picture in memory and what can be painted on it, with smooth edges. Places are in units of
// `scale` pixels, from the left upper corner, y downwards.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct colour {
    uint8_t r, g, b;
};

struct point {
    double x, y;
};

struct canvas {
    uint32_t width, height; // pixels
    double scale;
    uint8_t *pixels; // [height, width, (r, g, b)]
};

bool canvas_new(struct canvas *canvas, uint32_t width, uint32_t height, uint32_t scale); // white
void canvas_free(struct canvas *canvas);
bool canvas_png(const struct canvas *canvas, const char *path);

// One pixel, by how much of it is covered (0 to 1).
void canvas_blend(struct canvas *canvas, int64_t x, int64_t y, struct colour colour, double cover);

void canvas_rect(struct canvas *canvas, double x, double y, double width, double height,
                 struct colour colour);
void canvas_segment(struct canvas *canvas, struct point from, struct point to, double width,
                    struct colour colour, double opacity); // round ends
// Convex, clockwise on the screen.
void canvas_polygon(struct canvas *canvas, const struct point *points, uint32_t count,
                    struct colour colour, double opacity);
