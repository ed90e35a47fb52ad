// Colours and marks that also those tell apart who see fewer colours, and that differ in print.
#pragma once
#include "plot/canvas.h"

enum { MARKS = 8 };

// Of series i (Okabe and Ito's colours, without the yellow that white paper swallows).
struct colour palette_series(uint32_t i);

// Light to dark in one hue; share in [0, 1].
struct colour palette_shade(double share);

// Series i's mark round a place; hollow from the second turn through the colours on.
void palette_mark(struct canvas *canvas, uint32_t i, struct point at, double size, double opacity);
