// The value v* = W k + delta: delta by Adam or Gauss-Newton on the device (O-Edit Eq. 5, Eq. 9,
// Eq. 13).
#pragma once
#include "edit/editor.h"

// Leaves delta in editor->delta, fills edit->trace, steps and chosen. Layers above the edited one
// are computed only for positions from the subject's last token on; what stands before is cached
// once (DESIGN 4.2). v0 = |W k| of the plain prompt. True with edit->faulty set if a value is not
// finite: then delta means nothing.
bool value_find(struct editor *editor, struct edit *edit, const struct penalty penalties[2]);
