#include "edit/update.h"

bool update_add(struct device *dev, fbuf u, fbuf w, fbuf matrix, uint32_t rows, uint32_t cols)
{
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_outer(&cmd, (struct outer_args){.u = u, .v = w, .w = matrix, .rows = rows, .cols = cols,
                                       .alpha = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

bool update_edit(struct device *dev, const struct mask *mask, uint32_t number, fbuf u, fbuf w,
                 fbuf matrix, uint32_t rows, uint32_t cols)
{
    if (!mask->zeros) return update_add(dev, u, w, matrix, rows, cols);
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_outer_some(&cmd, (struct outer_some_args){.u = u, .v = w, .w = matrix, .rows = rows,
                                                 .cols = cols, .seed = mask->seed,
                                                 .number = number, .zeros = mask->zeros});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

bool update_dense(struct device *dev, fbuf x, fbuf matrix, uint32_t rows, uint32_t cols)
{
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = x, .y = matrix, .n = rows * cols, .alpha = 1,
                                       .beta = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

bool update_load(struct device *dev, const struct journal_edit *e, uint32_t pair,
                 struct buffer *u, struct buffer *w)
{
    const uint64_t rows = e->rows * sizeof(float), cols = e->cols * sizeof(float);
    return buffer_write(dev, u, 0, e->u + pair * rows, rows) &&
           buffer_write(dev, w, 0, e->w + pair * cols, cols);
}

bool update_load_dense(struct device *dev, const struct journal_edit *e, struct buffer *w)
{
    return buffer_write(dev, w, 0, e->w, sizeof(float) * e->rows * e->cols);
}

static bool sum_pairs(struct device *dev, const struct mask *mask, const struct journal_edit *e,
                      struct buffer **u, struct buffer **w, fbuf matrix)
{
    bool ok = (*u || buffer_new(dev, e->rows * sizeof(float), "u", u)) &&
              (*w || buffer_new(dev, e->cols * sizeof(float), "w", w));
    for (uint32_t i = 0; ok && i < e->rank; i++)
        ok = update_load(dev, e, i, *u, *w) &&
             update_edit(dev, mask, e->number, (*u)->address, (*w)->address, matrix, e->rows,
                         e->cols);
    return ok;
}

static bool sum_dense(struct device *dev, const struct journal_edit *e, struct buffer **dense,
                      fbuf matrix)
{
    return (*dense || buffer_new(dev, sizeof(float) * e->rows * e->cols, "dW", dense)) &&
           update_load_dense(dev, e, *dense) &&
           update_dense(dev, (*dense)->address, matrix, e->rows, e->cols);
}

void update_room_free(struct device *dev, struct update_room *room)
{
    buffer_free(dev, &room->u);
    buffer_free(dev, &room->w);
    buffer_free(dev, &room->dense);
}

bool update_recorded(struct device *dev, const struct mask *mask, const struct journal_edit *e,
                     struct update_room *room, struct buffer *matrix)
{
    return e->rank ? sum_pairs(dev, mask, e, &room->u, &room->w, matrix->address)
                   : sum_dense(dev, e, &room->dense, matrix->address);
}

bool update_sum(struct device *dev, const struct journal *journal, uint32_t layer,
                struct buffer *matrix)
{
    struct update_room room = {0};
    struct mask mask;
    bool ok = mask_read(journal, &mask);
    for (size_t i = 0; ok && i < journal->edit_count; i++) {
        const struct journal_edit *e = &journal->edits[i];
        if (e->layer != layer || !journal_edit_counts(e)) continue;
        ok = update_recorded(dev, &mask, e, &room, matrix);
    }
    update_room_free(dev, &room);
    return ok;
}
