#include "edit/stored.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "io/pack.h"

// sum of a * b over [rows, cols], row by row on the device, the rows on the host.
static bool product(struct model *model, struct buffer *a, struct buffer *b, struct buffer *y,
                    const struct tensor *t, double *sum)
{
    float *rows = mem_new(t->rows, sizeof *rows, "row sums");
    struct cmd cmd;
    cmd_start(&cmd, model->dev, false);
    op_dot_rows(&cmd, (struct dot_rows_args){.x = a->address, .w = b->address, .y = y->address,
                                             .rows = (uint)t->rows, .cols = (uint)t->cols,
                                             .w_step = (uint)t->cols});
    bool ok = rows && cmd_run_once(&cmd) &&
              buffer_read(model->dev, y, 0, rows, t->rows * sizeof *rows);
    cmd_free(&cmd);
    *sum = 0;
    for (uint64_t i = 0; ok && i < t->rows; i++) *sum += (double)rows[i];
    free(rows);
    return ok;
}

static void widen(struct cmd *cmd, const struct model *model, fbuf stored, enum dtype dtype,
                  const struct tensor *t, struct buffer *y)
{
    op_embed(cmd, (struct embed_args){.w = stored, .tokens = model->iota->address,
                                      .y = y->address, .rows = (uint)t->rows,
                                      .cols = (uint)t->cols, .type = dtype});
}

// y -= x
static void subtract(struct cmd *cmd, struct buffer *x, struct buffer *y, const struct tensor *t)
{
    op_axpby(cmd, (struct axpby_args){.x = x->address, .y = y->address,
                                      .n = (uint)(t->rows * t->cols), .alpha = -1, .beta = 1});
}

bool stored_measure(struct model *model, const float *matrix, enum dtype dtype,
                    struct stored *stored)
{
    struct device *dev = model->dev;
    const struct tensor *t = weights_part(model->weights, PART_FFN_DOWN, model->edited_layer);
    const struct dtype_info *info = &dtype_table[dtype];
    uint64_t n = t->rows * t->cols, bytes = n / info->block * info->bytes;
    struct buffer *packed = NULL, *first = NULL, *base = NULL, *got = NULL, *edit = NULL;
    struct buffer *sums = NULL;
    uint8_t *host = mem_new(bytes, 1, "the stored matrix");
    if (host) pack(dtype, matrix, n, host);
    double square = 0, along = 0, error = 0;
    bool ok = host && buffer_from(dev, host, bytes, "the stored matrix", &packed) &&
              buffer_from(dev, t->data, t->bytes, "the first matrix", &first) &&
              buffer_new(dev, 4 * n, "the first matrix", &base) &&
              buffer_new(dev, 4 * n, "the stored matrix", &got) &&
              buffer_from(dev, matrix, 4 * n, "the edited matrix", &edit) &&
              buffer_new(dev, 4 * t->rows, "row sums", &sums);
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    if (ok) {
        widen(&cmd, model, first->address, t->dtype, t, base);
        subtract(&cmd, base, edit, t); // dW
        widen(&cmd, model, packed->address, dtype, t, got);
        subtract(&cmd, base, got, t); // what a reader takes for dW
        ok = cmd_run_once(&cmd) && product(model, edit, edit, sums, t, &square) &&
             product(model, got, edit, sums, t, &along);
    }
    if (ok) {
        subtract(&cmd, edit, got, t);
        ok = cmd_run_once(&cmd) && product(model, got, got, sums, t, &error);
    }
    cmd_free(&cmd);
    *stored = (struct stored){.edit = sqrt(square), .error = sqrt(error),
                              .kept = square > 0 ? along / square : 1};
    struct buffer **all[] = {&packed, &first, &base, &got, &edit, &sums};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
    free(host);
    return ok;
}
