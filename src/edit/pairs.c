#include "edit/pairs.h"

#include <stdlib.h>

#include "base/mem.h"
#include "io/journal.h"

bool pairs_new(struct device *dev, uint32_t rows, uint32_t cols, uint32_t capacity,
               struct pairs *p)
{
    *p = (struct pairs){.dev = dev, .rows = rows, .cols = cols,
                        .capacity = capacity ? capacity : 1};
    return buffer_new(dev, 4ull * p->capacity * rows, "pairs of edits", &p->u) &&
           buffer_new(dev, 4ull * p->capacity * cols, "pairs of edits", &p->w);
}

void pairs_free(struct pairs *p)
{
    if (!p->dev) return;
    buffer_free(p->dev, &p->u);
    buffer_free(p->dev, &p->w);
    *p = (struct pairs){0};
}

static void copy(struct cmd *cmd, fbuf x, fbuf y, uint32_t n, float scale)
{
    op_axpby(cmd, (struct axpby_args){.x = x, .y = y, .n = n, .alpha = scale});
}

static bool grow(struct pairs *p)
{
    struct pairs larger;
    struct cmd cmd;
    bool ok = pairs_new(p->dev, p->rows, p->cols, 2 * p->capacity, &larger);
    cmd_start(&cmd, p->dev, false);
    if (ok) {
        copy(&cmd, p->u->address, larger.u->address, p->count * p->rows, 1);
        copy(&cmd, p->w->address, larger.w->address, p->count * p->cols, 1);
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    if (!ok) {
        pairs_free(&larger);
        return false;
    }
    larger.count = p->count;
    larger.top = p->top;
    pairs_free(p);
    *p = larger;
    return true;
}

bool pairs_add(struct pairs *p, fbuf u, fbuf w, float scale)
{
    if (p->count == p->capacity && !grow(p)) return false;
    struct cmd cmd;
    cmd_start(&cmd, p->dev, false);
    copy(&cmd, u, p->u->address + 4ull * p->count * p->rows, p->rows, scale);
    copy(&cmd, w, p->w->address + 4ull * p->count * p->cols, p->cols, 1);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    p->count += ok;
    return ok;
}

bool pairs_load(struct device *dev, const struct journal *j, const struct journal_tensor *t,
                struct pairs *p)
{
    const uint64_t rows = t->rows, cols = t->cols;
    const uint32_t count = journal_layer_pairs(j, t->layer);
    float *u = mem_new(count * rows, sizeof *u, "pairs of edits");
    float *w = mem_new(count * cols, sizeof *w, "pairs of edits");
    bool ok = u && w && pairs_new(dev, (uint32_t)rows, (uint32_t)cols, count, p);
    for (size_t i = 0; ok && i < j->edit_count; i++) {
        const struct journal_edit *e = &j->edits[i];
        if (e->layer != t->layer || !journal_edit_counts(e)) continue;
        journal_pairs_copy(e, 1, u + p->count * rows, w + p->count * cols);
        p->count += journal_pairs(e);
    }
    ok = ok && buffer_write(dev, p->u, 0, u, count * rows * sizeof *u) &&
         buffer_write(dev, p->w, 0, w, count * cols * sizeof *w);
    free(u);
    free(w);
    return ok;
}
