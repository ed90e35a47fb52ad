#include "edit/finish.h"

#include "edit/update.h"

bool finish_matrix(struct device *dev, const struct guard *guard, const struct tensor *base,
                   struct pairs *p, struct buffer *matrix)
{
    const uint32_t count = p->count;
    if (!guard->finish) return true;
    bool ok = guard->finish(dev, base, p);
    for (uint32_t i = count; ok && i < p->count; i++)
        ok = update_add(dev, p->u->address + 4ull * i * p->rows,
                        p->w->address + 4ull * i * p->cols, matrix->address, p->rows, p->cols);
    p->count = count;
    return ok;
}

static bool copy(struct editor *e, const struct buffer *from, const struct buffer *to)
{
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = from->address, .y = to->address, .alpha = 1,
                                       .n = e->model->config.dim * e->model->config.ffn});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

bool editor_finish(struct editor *e)
{
    const uint64_t bytes = 4ull * e->model->config.dim * e->model->config.ffn;
    struct device *dev = e->model->dev;
    const char *before = account_phase(&dev->account, "guard");
    bool ok = true;
    for (uint32_t i = 0; ok && e->guard->finish && i < e->site_count; i++) {
        struct site *s = &e->sites[i];
        const struct tensor *base = weights_part(e->model->weights, PART_FFN_DOWN, s->layer);
        if (s->edits == 0 || s->unfinished) continue;
        ok = buffer_new(dev, bytes, "unfinished weights", &s->unfinished) &&
             copy(e, s->matrix, s->unfinished) &&
             finish_matrix(dev, e->guard, base, &s->pairs, s->matrix);
    }
    account_phase(&dev->account, before);
    return ok;
}

bool editor_go_on(struct editor *e)
{
    bool ok = true;
    for (uint32_t i = 0; ok && i < e->site_count; i++) {
        struct site *s = &e->sites[i];
        ok = !s->unfinished || copy(e, s->unfinished, s->matrix);
        buffer_free(e->model->dev, &s->unfinished);
    }
    return ok;
}
