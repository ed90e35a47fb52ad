// What the terminal behind a stream can do.
#pragma once
#include <stdbool.h>
#include <stdio.h>

// Whether a line there can be drawn again: a terminal, and not one that calls itself dumb.
bool terminal_redraws(FILE *stream);

// Whether it may be coloured, too: not with NO_COLOR (no-color.org).
bool terminal_colours(FILE *stream);

// Letters in a line; 80 where nobody says.
unsigned terminal_columns(FILE *stream);
