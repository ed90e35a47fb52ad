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

bool update_load(struct device *dev, const struct journal_edit *edit, struct buffer *u,
                 struct buffer *w)
{
    return buffer_write(dev, u, 0, edit->u, edit->rows * sizeof(float)) &&
           buffer_write(dev, w, 0, edit->w, edit->cols * sizeof(float));
}

bool update_sum(struct device *dev, const struct journal *journal, uint32_t layer,
                struct buffer *matrix)
{
    struct buffer *u = NULL, *w = NULL;
    struct mask mask;
    bool ok = mask_read(journal, &mask);
    for (size_t i = 0; ok && i < journal->edit_count; i++) {
        const struct journal_edit *e = &journal->edits[i];
        if (e->layer != layer || !journal_edit_counts(e)) continue;
        ok = (u || buffer_new(dev, e->rows * sizeof(float), "u", &u)) &&
             (w || buffer_new(dev, e->cols * sizeof(float), "w", &w)) &&
             update_load(dev, e, u, w) &&
             update_edit(dev, &mask, e->number, u->address, w->address, matrix->address, e->rows,
                         e->cols);
    }
    buffer_free(dev, &u);
    buffer_free(dev, &w);
    return ok;
}
