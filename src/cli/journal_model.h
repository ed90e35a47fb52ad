// A journal's edits on the original model.
#pragma once
#include "io/journal.h"
#include "io/weights.h"
#include "vk/buffer.h"

// The one tensor that the journal edits, as base plus the pairs that count: a new buffer
// [rows, cols] f32. Refuses weights that are not the journal's base.
bool journal_matrix(const struct journal *journal, struct weights *weights, struct device *dev,
                    const struct tensor **tensor, struct buffer **matrix);
