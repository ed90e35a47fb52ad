// The line that a person sees of an edit that was made.
#pragma once
#include "edit/editor.h"

// On stdout: loss, steps, parts of the update, seconds, and "ok" or "not ok": whether the answer
// has more than half of the probability at the value that was found, and at least half of the
// update was realised and kept. No pass of the model is made for it; a solver that looks at the
// loss only before its update says "not ok" or nothing.
void edit_line_print(const struct editor *editor, const struct edit *edit);
