#include "plot/font.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STBTT_STATIC
#define STB_TRUETYPE_IMPLEMENTATION
#pragma GCC diagnostic ignored "-Wunused-function" // found at the file's end
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wdouble-promotion"
#include <stb_truetype.h>
#pragma GCC diagnostic pop

static const unsigned char font_file[] = {
#include "font.inc" // made by CMake
};

static stbtt_fontinfo font_open(void)
{
    stbtt_fontinfo font = {0};
    stbtt_InitFont(&font, font_file, 0); // the file is good: the build embeds it
    return font;
}

// The next character of UTF-8; what is none is taken byte by byte.
static uint32_t next(const char **text)
{
    const unsigned char *p = (const unsigned char *)*text;
    uint32_t code = *p, more = code >= 0xf0 ? 3 : code >= 0xe0 ? 2 : code >= 0xc0 ? 1 : 0;
    if (more) code &= 0x3fu >> more;
    for (uint32_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            *text += 1;
            return '?';
        }
        code = code << 6 | (p[i] & 0x3f);
    }
    *text += more + 1;
    return code;
}

// Pixels between the pen's places at the two glyphs.
static double advance(const stbtt_fontinfo *font, double scale, uint32_t code, uint32_t follows)
{
    int width = 0, bearing = 0;
    stbtt_GetCodepointHMetrics(font, (int)code, &width, &bearing);
    if (follows) width += stbtt_GetCodepointKernAdvance(font, (int)code, (int)follows);
    return scale * width;
}

double font_width(const char *text, double size)
{
    stbtt_fontinfo font = font_open();
    double scale = (double)stbtt_ScaleForPixelHeight(&font, (float)size), width = 0;
    uint32_t code = *text ? next(&text) : 0;
    while (code) {
        uint32_t follows = *text ? next(&text) : 0;
        width += advance(&font, scale, code, follows);
        code = follows;
    }
    return width;
}

double font_ascent(double size)
{
    int ascent = 0, descent = 0, gap = 0;
    stbtt_fontinfo font = font_open();
    stbtt_GetFontVMetrics(&font, &ascent, &descent, &gap);
    return ascent * (double)stbtt_ScaleForPixelHeight(&font, (float)size);
}

void font_cut(char *text, double size, double width)
{
    static const char dots[] = "\xe2\x80\xa6";
    if (font_width(text, size) <= width) return;
    for (size_t length = strlen(text); length > 0;) {
        do length--;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80);
        if (length + sizeof dots > CHART_TEXT) continue;
        memcpy(text + length, dots, sizeof dots);
        if (font_width(text, size) <= width) return;
    }
}

// One glyph with its pen at (x, y) in pixels; upwards, the picture is turned.
static void glyph(struct canvas *c, const stbtt_fontinfo *font, double scale, uint32_t code,
                  struct point pen, bool upwards, struct colour colour)
{
    int width = 0, height = 0, left = 0, top = 0;
    double along = upwards ? -pen.y : pen.x, whole = floor(along);
    unsigned char *ink = stbtt_GetCodepointBitmapSubpixel(
        font, (float)scale, (float)scale, (float)(along - whole), 0, (int)code, &width, &height,
        &left, &top);
    int64_t across = (int64_t)lround(upwards ? pen.x : pen.y);
    for (int j = 0; ink && j < height; j++)
        for (int i = 0; i < width; i++) {
            int64_t a = (int64_t)whole + left + i, b = across + top + j;
            canvas_blend(c, upwards ? b : a, upwards ? -a - 1 : b, colour,
                         ink[(size_t)j * (size_t)width + (size_t)i] / 255.0);
        }
    stbtt_FreeBitmap(ink, NULL);
}

void font_draw(struct canvas *c, const struct chart_text *t, struct colour colour)
{
    stbtt_fontinfo font = font_open();
    double scale = (double)stbtt_ScaleForPixelHeight(&font, (float)(t->size * c->scale));
    double ascent = font_ascent(t->size);
    const char *text = t->text;
    struct point pen = {t->box.x * c->scale, (t->box.y + ascent) * c->scale};
    if (t->upwards)
        pen = (struct point){(t->box.x + ascent) * c->scale,
                             (t->box.y + t->box.height) * c->scale};
    uint32_t code = *text ? next(&text) : 0;
    while (code) {
        uint32_t follows = *text ? next(&text) : 0;
        glyph(c, &font, scale, code, pen, t->upwards, colour);
        double more = advance(&font, scale, code, follows);
        if (t->upwards) pen.y -= more;
        else pen.x += more;
        code = follows;
    }
}
