#include "edit/prepare.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/pass.h"

enum { ROWS = 1024 };

static uint32_t prompts_rows(const struct prompts *p)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < p->count; i++) rows += p->items[i].count;
    return rows;
}

static void record(struct cmd *cmd, const struct model *model, const struct prepared *p,
                   const struct pass *pass, uint32_t layer)
{
    const struct acts *acts = &pass->acts;
    pass_key(cmd, model, pass, layer);
    op_axpby(cmd, (struct axpby_args){.x = acts->key->address, .y = p->key->address,
                                      .n = p->rows * model->config.ffn, .alpha = 1});
    op_axpby(cmd, (struct axpby_args){.x = acts->layers[layer].mid->address,
                                      .y = p->mid->address, .n = p->rows * model->config.dim,
                                      .alpha = 1});
}

static bool run(struct prepared *p, const struct model *model, const struct sequence *sequences,
                uint32_t count, uint32_t layer)
{
    struct pass pass = {0};
    struct cmd cmd = {0};
    bool ok = pass_new(&pass, model, sequences, count, layer + 1, false) &&
              buffer_new(model->dev, (uint64_t)p->rows * model->config.dim * 4, "residuals",
                         &p->mid) &&
              buffer_new(model->dev, (uint64_t)p->rows * model->config.ffn * 4, "keys", &p->key);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        record(&cmd, model, p, &pass, layer);
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    pass_free(&pass);
    return ok;
}

uint32_t prepare_count(const struct prompts *prompts, uint32_t count)
{
    uint32_t taken = 0, rows = 0;
    for (; taken < count; taken++) {
        uint32_t more = prompts_rows(&prompts[taken]);
        if (taken > 0 && rows + more > ROWS) break;
        rows += more;
    }
    return taken;
}

bool prepare(struct prepared *p, const struct model *model, const struct prompts *prompts,
             uint32_t count, uint32_t layer)
{
    *p = (struct prepared){.dev = model->dev};
    uint32_t sequence_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        p->rows += prompts_rows(&prompts[i]);
        sequence_count += prompts[i].count;
    }
    struct sequence *sequences = mem_new(sequence_count, sizeof *sequences, "sequences");
    p->first = mem_new(count, sizeof *p->first, "sequences");
    bool ok = sequences && p->first;
    uint32_t row = 0, s = 0;
    for (uint32_t i = 0; ok && i < count; i++) {
        p->first[i] = row;
        for (uint32_t j = 0; j < prompts[i].count; j++, s++) {
            const struct prompt *q = &prompts[i].items[j];
            sequences[s] = (struct sequence){.tokens = q->tokens, .end = q->count, .slot = row};
            row += q->count;
        }
    }
    ok = ok && run(p, model, sequences, sequence_count, layer);
    free(sequences);
    if (!ok) prepared_free(p);
    return ok;
}

void prepared_free(struct prepared *p)
{
    if (!p->dev) return;
    buffer_free(p->dev, &p->mid);
    buffer_free(p->dev, &p->key);
    free(p->first);
    *p = (struct prepared){0};
}
