// Texts in DejaVu Sans, whose outlines the program carries.
#pragma once
#include "plot/canvas.h"
#include "plot/chart.h"

// Size is that of ascent and descent together, in units.
double font_width(const char *text, double size);
double font_ascent(double size);

// Cuts the text (UTF-8) with an ellipsis so that it is at most `width` wide. text: [CHART_TEXT]
void font_cut(char *text, double size, double width);

// Draws into the box that chart_layout has made for it.
void font_draw(struct canvas *canvas, const struct chart_text *text, struct colour colour);
