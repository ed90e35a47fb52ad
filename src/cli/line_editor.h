// Line editing by a library, if the program was built with one (line_editor_libedit.c), else
// nothing (line_editor_none.c).
#pragma once
#include "cli/line.h"

// NULL where lines are to be read plainly. history: a file, or NULL.
struct line_editor *line_editor_open(const char *history, line_complete *complete, void *user);
void line_editor_close(struct line_editor *editor); // accepts NULL

// NULL: the input is over, or a signal came (base/interrupt.h). *size: of the line with its end;
// *broken: bytes that are no UTF-8 were left out of it.
const char *line_editor_read(struct line_editor *editor, size_t *size, bool *broken);

// For the history. Whether the file could be written does not matter.
void line_editor_keep(struct line_editor *editor, const char *line);
