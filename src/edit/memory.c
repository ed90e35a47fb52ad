#include "edit/memory.h"

#include "base/status.h"
#include "io/journal.h"

// Of a key in what the site's factor is of.
static double weight(const struct editor *e)
{
    return e->solver->null_space ? 1 : e->hparams.key_memory / e->hparams.lambda;
}

bool memory_start(struct editor *e)
{
    if (e->solver->null_space && e->hparams.key_memory > 0)
        return fail(STATUS_USAGE, "--key-memory: solver %s remembers keys by itself",
                    e->solver->name);
    if (!e->solver->null_space && !(e->hparams.key_memory > 0)) return true;
    if (e->solver->make)
        return fail(STATUS_USAGE, "--key-memory: is added to C, which solver %s has not",
                    e->solver->name);
    if (!e->solver->null_space && !(e->hparams.lambda > 0))
        return fail(STATUS_USAGE, "--key-memory: stands beside lambda C, and lambda is %g",
                    e->hparams.lambda);
    return buffer_new(e->model->dev, 4ull * e->model->config.ffn, "a key", &e->notes);
}

void memory_stop(struct editor *e)
{
    if (e->solver && !e->solver->make) buffer_free(e->model->dev, &e->notes);
}

// lambda (C + (weight / lambda) sum k k^T), or l2 I + sum k k^T: the site's factor is that of the
// bracket.
static bool add(struct editor *e)
{
    return factor_update(&e->site->factor, e->notes->address, weight(e));
}

bool memory_keep(struct editor *e, struct edit *edit)
{
    const uint32_t ffn = e->model->config.ffn;
    if (!e->notes || e->solver->make || edit->noop) return true;
    struct cmd cmd;
    cmd_start(&cmd, e->model->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = e->left_key->address, .y = e->notes->address,
                                       .n = ffn, .alpha = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    edit->note_count = ffn;
    return ok && add(e);
}

bool memory_replay(struct editor *e, const struct journal_edit *r)
{
    const uint32_t ffn = e->model->config.ffn;
    if (!e->notes || e->solver->make || r->noop) return true;
    if (r->note_count != ffn)
        return fail(STATUS_BAD_DATA, "edit %u of the journal has %u numbers of its key, wanted %u",
                    r->number, r->note_count, ffn);
    return buffer_write(e->model->dev, e->notes, 0, r->notes, 4ull * ffn) && add(e);
}
