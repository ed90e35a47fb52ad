#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/maths.h"
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

bool losses_new(struct losses *l, uint32_t positions, uint32_t tokens, uint32_t block)
{
    if (block > positions) block = positions;
    *l = (struct losses){.tokens = tokens, .block = block};
    if (tokens < 2 || block < 2)
        return fail(STATUS_BAD_DATA, "a text of %u tokens, wanted 2", tokens);
    l->blocks = CEIL(tokens - 1, block);
    l->sums = mem_new(l->blocks, sizeof *l->sums, "losses");
    return l->sums != NULL;
}

void losses_free(struct losses *l)
{
    free(l->sums);
    *l = (struct losses){0};
}

bool losses_take(struct losses *l, const struct model *model, const uint32_t *tokens,
                 uint32_t first, uint32_t end)
{
    bool ok = true;
    struct progress bar;
    progress_start(&bar, "perplexity", "token", (uint64_t)(end - first) * l->block);
    for (uint32_t i = first; ok && i < end; i++) {
        const uint32_t at = i * l->block;
        const uint32_t now = l->tokens - at < l->block ? l->tokens - at : l->block;
        ok = interrupt_check() && block_loss(model, tokens + at, now, &l->sums[i]);
        progress_step(&bar, now);
    }
    progress_end(&bar);
    return ok;
}

double losses_perplexity(const struct losses *l)
{
    const uint64_t all = (uint64_t)l->blocks * l->block;
    const uint64_t seen = (all < l->tokens ? all : l->tokens) - l->blocks;
    double sum = 0;
    for (uint32_t i = 0; i < l->blocks; i++) sum += l->sums[i];
    return maths_exp(sum / (double)seen);
}

bool eval_perplexity(const struct model *model, const uint32_t *tokens, uint32_t count,
                     uint32_t block, double *perplexity)
{
    struct losses l;
    bool ok = losses_new(&l, model->positions, count, block) &&
              losses_take(&l, model, tokens, 0, l.blocks);
    if (ok) *perplexity = losses_perplexity(&l);
    losses_free(&l);
    return ok;
}
