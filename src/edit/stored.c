#include "edit/stored.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "io/pack.h"
#include "ops/ops.h"

// sum of a * b over [rows, cols], row by row on the device, the rows on the host.
static bool product(struct device *dev, struct buffer *a, struct buffer *b, struct buffer *y,
                    const struct tensor *t, double *sum)
{
    float *rows = mem_new(t->rows, sizeof *rows, "row sums");
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_dot_rows(&cmd, (struct dot_rows_args){.x = a->address, .w = b->address, .y = y->address,
                                             .rows = (uint)t->rows, .cols = (uint)t->cols,
                                             .w_step = (uint)t->cols});
    bool ok = rows && cmd_run_once(&cmd) && buffer_read(dev, y, 0, rows, t->rows * sizeof *rows);
    cmd_free(&cmd);
    *sum = 0;
    for (uint64_t i = 0; ok && i < t->rows; i++) *sum += (double)rows[i];
    free(rows);
    return ok;
}

// y -= x
static void subtract(struct cmd *cmd, struct buffer *x, struct buffer *y, const struct tensor *t)
{
    op_axpby(cmd, (struct axpby_args){.x = x->address, .y = y->address,
                                      .n = (uint)(t->rows * t->cols), .alpha = -1, .beta = 1});
}

bool stored_measure(struct device *dev, const struct tensor *base, const float *matrix,
                    enum dtype dtype, struct stored *stored)
{
    const struct dtype_info *info = &dtype_table[dtype];
    uint64_t n = base->rows * base->cols, bytes = n / info->block * info->bytes;
    struct buffer *first = NULL, *got = NULL, *edit = NULL, *sums = NULL;
    uint8_t *host = mem_new(bytes, 1, "the stored matrix");
    if (host) pack(dtype, matrix, n, host);
    const struct tensor packed = {.name = base->name, .dtype = dtype, .rows = base->rows,
                                  .cols = base->cols, .data = host, .bytes = bytes};
    double square = 0, along = 0, error = 0;
    bool ok = host && tensor_unpack(dev, base, &first) && tensor_unpack(dev, &packed, &got) &&
              buffer_from(dev, matrix, 4 * n, "the edited matrix", &edit) &&
              buffer_new(dev, 4 * base->rows, "row sums", &sums);
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    if (ok) {
        subtract(&cmd, first, edit, base); // dW
        subtract(&cmd, first, got, base);  // what a reader takes for dW
        ok = cmd_run_once(&cmd) && product(dev, edit, edit, sums, base, &square) &&
             product(dev, got, edit, sums, base, &along);
    }
    if (ok) {
        subtract(&cmd, edit, got, base);
        ok = cmd_run_once(&cmd) && product(dev, got, got, sums, base, &error);
    }
    cmd_free(&cmd);
    *stored = (struct stored){.edit = sqrt(square), .error = sqrt(error),
                              .kept = square > 0 ? along / square : 1};
    struct buffer **all[] = {&first, &got, &edit, &sums};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(dev, all[i]);
    free(host);
    return ok;
}
