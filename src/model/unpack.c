#include "model/unpack.h"

#include <stdlib.h>

#include "base/mem.h"
#include "ops/ops.h"

// The embedding's operator reads rows of any type: here all of them, in order.
bool tensor_unpack(struct device *dev, const struct tensor *t, struct buffer **y)
{
    struct buffer *stored = NULL, *order = NULL;
    uint32_t *rows = mem_new(t->rows, sizeof *rows, "a tensor's rows");
    for (uint32_t i = 0; rows && i < t->rows; i++) rows[i] = i;
    *y = NULL;
    bool ok = rows && buffer_from(dev, t->data, t->bytes, t->name, &stored) &&
              buffer_from(dev, rows, t->rows * sizeof *rows, "a tensor's rows", &order) &&
              buffer_new(dev, t->rows * t->cols * sizeof(float), t->name, y);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_embed(&cmd, (struct embed_args){.w = stored->address, .tokens = order->address,
                                           .y = (*y)->address, .rows = (uint)t->rows,
                                           .cols = (uint)t->cols, .type = t->dtype});
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    buffer_free(dev, &stored);
    buffer_free(dev, &order);
    free(rows);
    if (!ok) buffer_free(dev, y);
    return ok;
}
