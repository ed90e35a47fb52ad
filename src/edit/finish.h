// From the weights that edits work on to those that are written and measured: guards with a
// `finish` (PRUNE) make something else of base and pairs.
#pragma once
#include "edit/editor.h"
#include "edit/pairs.h"

// Base + pairs in `matrix` [rows, cols] become what is to be written. Without a finish, nothing
// happens. The pairs are as before when it returns.
bool finish_matrix(struct device *dev, const struct guard *guard, const struct tensor *base,
                   struct pairs *pairs, struct buffer *matrix);

// The same for all layers of an editor at work: from editor_finish to editor_go_on the model has
// the weights that are to be written or measured, and must not be edited.
bool editor_finish(struct editor *editor);
bool editor_go_on(struct editor *editor);
