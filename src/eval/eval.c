#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "eval/ask.h"

// Sum of next-token losses of one block.
static bool block_loss(const struct model *model, const uint32_t *tokens, uint32_t count,
                       double *sum)
{
    uint32_t n = count - 1, *index = mem_new(n, sizeof *index, "rows");
    float *losses = mem_new(n, sizeof *losses, "losses");
    for (uint32_t i = 0; index && i < n; i++) index[i] = i;
    bool ok = index && losses &&
              ask_rows(model, &(struct ask){.sequences = &(struct sequence){.tokens = tokens,
                                                                            .end = count},
                                            .count = 1, .index = index, .target = tokens + 1,
                                            .picked = n, .loss = losses,
                                            .who = "the text's loss"});
    for (uint32_t i = 0; ok && i < n; i++) *sum += (double)losses[i];
    free(index);
    free(losses);
    return ok;
}

bool eval_perplexity(const struct model *model, const uint32_t *tokens, uint32_t count,
                     uint32_t block, double *perplexity)
{
    double sum = 0;
    uint32_t seen = 0;
    bool ok = true;
    struct progress bar;
    if (block > model->positions) block = model->positions;
    progress_start(&bar, "perplexity", "token", count);
    for (uint32_t at = 0; ok && at + 1 < count; at += block) {
        uint32_t now = count - at < block ? count - at : block;
        ok = interrupt_check() && block_loss(model, tokens + at, now, &sum);
        seen += now - 1;
        progress_step(&bar, now);
    }
    progress_end(&bar);
    if (ok && seen == 0) ok = fail(STATUS_BAD_DATA, "a text of %u tokens, wanted 2", count);
    *perplexity = exp(sum / seen);
    return ok;
}
