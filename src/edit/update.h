// What edits do to the weights. Edited weights are always the base and then the pairs of the edits
// that count, added one by one in the order of their numbers; nothing is ever subtracted. So an
// undisturbed run, one that was resumed, apply and revert all do the same additions.
#pragma once
#include "edit/mask.h"
#include "io/journal.h"
#include "ops/ops.h"
#include "vk/buffer.h"

// W <- W + u w^T (O-Edit Eq. 11).  u: [rows]  w: [cols]  matrix: [rows, cols]
bool update_add(struct device *dev, fbuf u, fbuf w, fbuf matrix, uint32_t rows, uint32_t cols);

// The same with what an edit's mask leaves of u w^T. number: the edit's
bool update_edit(struct device *dev, const struct mask *mask, uint32_t number, fbuf u, fbuf w,
                 fbuf matrix, uint32_t rows, uint32_t cols);

// W <- W + x, a dense edit.  x, matrix: [rows, cols]
bool update_dense(struct device *dev, fbuf x, fbuf matrix, uint32_t rows, uint32_t cols);

// Recorded pair number `pair`, from 0, on the device. u: [edit->rows]  w: [edit->cols]
bool update_load(struct device *dev, const struct journal_edit *edit, uint32_t pair,
                 struct buffer *u, struct buffer *w);
// A recorded dense edit: w [rows, cols].
bool update_load_dense(struct device *dev, const struct journal_edit *edit, struct buffer *w);

// Buffers that updates of recorded edits pass through; zero to begin with.
struct update_room {
    struct buffer *u, *w, *dense;
};
void update_room_free(struct device *dev, struct update_room *room); // accepts zero

// W <- W + dW of a recorded edit that counts, be it pairs or dense, with what the journal's mask
// leaves of it.  matrix: [rows, cols]
bool update_recorded(struct device *dev, const struct mask *mask, const struct journal_edit *edit,
                     struct update_room *room, struct buffer *matrix);

// matrix [rows, cols], the base of the tensor of `layer`: adds all pairs that count.
bool update_sum(struct device *dev, const struct journal *journal, uint32_t layer,
                struct buffer *matrix);
