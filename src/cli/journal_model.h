// A journal's edits on the original model.
#pragma once
#include "edit/editor.h"
#include "io/journal.h"
#include "io/weights.h"
#include "vk/buffer.h"

// Tensor number `index` of those that the journal edits, as its run wrote it: base plus the pairs
// that count, and what the guard makes of them. A new buffer [rows, cols] f32, or NULL where no
// pair counts. Refuses weights that are not the journal's base.
bool journal_matrix(const struct journal *journal, struct weights *weights, struct device *dev,
                    size_t index, const struct tensor **tensor, struct buffer **matrix);

// The guard of the journal's run; fails for one that is not known.
const struct guard *journal_guard(const struct journal *journal);
