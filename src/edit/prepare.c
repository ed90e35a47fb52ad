#include "edit/prepare.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/pass.h"

enum { ROWS = PREPARE_ROWS };

static uint32_t prompts_rows(const struct prompts *p)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < p->count; i++) rows += p->items[i].count;
    return rows;
}

static void keep(struct cmd *cmd, const struct model *model, const struct prepared *p,
                 const struct acts *acts, uint32_t layer)
{
    op_axpby(cmd, (struct axpby_args){.x = acts->key->address, .y = p->key->address,
                                      .n = p->rows * model->config.ffn, .alpha = 1});
    op_axpby(cmd, (struct axpby_args){.x = acts->layers[layer].mid->address,
                                      .y = p->mid->address, .n = p->rows * model->config.dim,
                                      .alpha = 1});
}

static void record(struct cmd *cmd, const struct model *model, const struct prepared *p,
                   const struct pass *pass, const uint32_t *layers, uint32_t layer_count)
{
    for (uint32_t i = 0, from = 0; i < layer_count; from = layers[i++] + 1) {
        pass_next_key(cmd, model, pass, from, layers[i], i + 1 == layer_count);
        keep(cmd, model, &p[i], &pass->acts, layers[i]);
    }
}

static bool run(struct prepared *p, const struct model *model, const struct sequence *sequences,
                uint32_t count, const uint32_t *layers, uint32_t layer_count)
{
    struct pass pass = {0};
    struct cmd cmd = {0};
    const uint64_t rows = p->rows;
    bool ok = pass_new(&pass, model, sequences, count, layers[layer_count - 1] + 1, false);
    for (uint32_t i = 0; ok && i < layer_count; i++)
        ok = buffer_new(model->dev, rows * model->config.dim * 4, "residuals", &p[i].mid) &&
             buffer_new(model->dev, rows * model->config.ffn * 4, "keys", &p[i].key);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        record(&cmd, model, p, &pass, layers, layer_count);
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
             uint32_t count, const uint32_t *layers, uint32_t layer_count)
{
    uint32_t sequence_count = 0, rows = 0;
    for (uint32_t i = 0; i < count; i++) {
        rows += prompts_rows(&prompts[i]);
        sequence_count += prompts[i].count;
    }
    struct sequence *sequences = mem_new(sequence_count, sizeof *sequences, "sequences");
    uint32_t *first = mem_new(count, sizeof *first, "sequences");
    for (uint32_t i = 0; i < layer_count; i++)
        p[i] = (struct prepared){.dev = model->dev, .rows = rows};
    p->first = first;
    bool ok = sequences && first;
    uint32_t row = 0, s = 0;
    for (uint32_t i = 0; ok && i < count; i++) {
        first[i] = row;
        for (uint32_t j = 0; j < prompts[i].count; j++, s++) {
            const struct prompt *q = &prompts[i].items[j];
            sequences[s] = (struct sequence){.tokens = q->tokens, .end = q->count, .slot = row};
            row += q->count;
        }
    }
    ok = ok && run(p, model, sequences, sequence_count, layers, layer_count);
    free(sequences);
    for (uint32_t i = 0; i < layer_count && !ok; i++) prepared_free(&p[i]);
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
