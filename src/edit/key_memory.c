#include "edit/key_memory.h"

#include "base/status.h"
#include "io/journal.h"

static bool on(const struct editor *e)
{
    return e->hparams.key_memory > 0;
}

// The key in the notes, into C and its factor.
static bool remember(struct editor *e)
{
    return factor_update(&e->site->factor, e->notes->address,
                         e->hparams.key_memory / e->hparams.lambda);
}

bool key_memory_start(struct editor *e)
{
    if (!on(e) || e->notes) return true; // once for all layers
    if (!(e->hparams.lambda > 0))
        return fail(STATUS_USAGE, "--key-memory %g: it counts beside lambda C, and --lambda is %g, "
                                  "wanted more than 0", e->hparams.key_memory, e->hparams.lambda);
    return buffer_new(e->model->dev, 4ull * e->model->config.ffn, "a key", &e->notes);
}

bool key_memory_commit(struct editor *e, struct edit *edit)
{
    if (!on(e)) return true;
    const uint32_t ffn = e->model->config.ffn;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = e->left_key->address, .y = e->notes->address, .n = ffn,
                                       .alpha = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    edit->note_count = ffn;
    return ok && remember(e);
}

bool key_memory_replay(struct editor *e, const struct journal_edit *r)
{
    if (!on(e)) return true;
    const uint32_t wanted = r->noop ? 0 : e->model->config.ffn;
    if (r->note_count != wanted)
        return fail(STATUS_BAD_DATA, "edit %u of the journal has a key of %u numbers, wanted %u",
                    r->number, r->note_count, wanted);
    return r->noop ||
           (buffer_write(e->model->dev, e->notes, 0, r->notes, 4ull * wanted) && remember(e));
}

void key_memory_stop(struct editor *e)
{
    buffer_free(e->model->dev, &e->notes);
}
