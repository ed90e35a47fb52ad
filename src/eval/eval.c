#include "eval/eval.h"

#include <math.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "model/pass.h"
#include "ops/top_k.h"

enum { ROWS = 512, HEAD_ROWS = 256 };

// The top token at each answer place of questions that run together.
static bool ask_batch(const struct model *model, struct question *questions, uint32_t count,
                      const struct sequence *sequences, const uint32_t *index, uint32_t picked)
{
    struct pass p = {0};
    struct buffer *ids = NULL, *values = NULL;
    struct cmd cmd = {0};
    uint32_t *tops = mem_new(picked, sizeof *tops, "answers"), at = 0;
    float *best = mem_new(picked, sizeof *best, "answers");
    bool ok = tops && best && pass_new(&p, model, sequences, count, model->config.layers, false) &&
              pass_head(&p, model, index, picked) &&
              buffer_new(model->dev, picked * sizeof *tops, "answers", &ids) &&
              buffer_new(model->dev, picked * sizeof *tops, "answers", &values);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        pass_logits(&cmd, model, &p);
        top_k(&cmd, p.head.logits->address, ids->address, values->address, picked,
              model->config.vocab, 1);
        ok = cmd_run_once(&cmd) && buffer_read(model->dev, ids, 0, tops, picked * sizeof *tops) &&
             buffer_read(model->dev, values, 0, best, picked * sizeof *best);
    }
    for (uint32_t i = 0; ok && i < count; i++)
        for (uint32_t k = 0; k < questions[i].answers; k++) questions[i].top[k] = tops[at++];
    for (uint32_t i = 0; ok && i < picked; i++)
        if (tops[i] >= model->config.vocab || !isfinite(best[i]))
            ok = pass_blame(model, sequences, count, index, picked, "asking");
    cmd_free(&cmd);
    buffer_free(model->dev, &ids);
    buffer_free(model->dev, &values);
    pass_free(&p);
    free(tops);
    free(best);
    return ok;
}

// As many questions from `first` on as fit into one batch; fills sequences and head rows.
static uint32_t take(const struct question *questions, uint32_t first, uint32_t total,
                     struct sequence *sequences, uint32_t *index, uint32_t *picked)
{
    uint32_t count = 0, rows = 0;
    *picked = 0;
    for (uint32_t i = first; i < total && count < ROWS; i++, count++) {
        const struct question *q = &questions[i];
        if (count && (rows + q->count > ROWS || *picked + q->answers > HEAD_ROWS)) break;
        for (uint32_t k = 0; k < q->answers && *picked < ROWS; k++)
            index[(*picked)++] = rows + q->given - 1 + k;
        sequences[count] = (struct sequence){.tokens = q->tokens, .end = q->count, .slot = rows};
        rows += q->count;
    }
    return count;
}

bool exam_ask(struct exam *exam, const struct model *model, enum question_kind kind)
{
    struct sequence *sequences = mem_new(ROWS, sizeof *sequences, "questions");
    uint32_t *index = mem_new(ROWS, sizeof *index, "questions");
    uint32_t total = exam->first[kind][exam->requests];
    bool ok = sequences && index;
    struct progress bar;
    progress_start(&bar, "asking", "question", total);
    for (uint32_t i = 0, count, picked; ok && i < total; i += count) {
        struct question *q = exam->questions[kind] + i;
        if (q->answers > ROWS)
            ok = fail(STATUS_BAD_DATA, "an answer of %u tokens, wanted at most %d", q->answers,
                      ROWS);
        count = take(exam->questions[kind], i, total, sequences, index, &picked);
        ok = ok && ask_batch(model, q, count, sequences, index, picked);
        progress_step(&bar, count);
    }
    progress_end(&bar);
    free(sequences);
    free(index);
    return ok;
}

// Sum of next-token losses of one block.
static bool block_loss(const struct model *model, const uint32_t *tokens, uint32_t count,
                       double *sum)
{
    struct sequence sequence = {.tokens = tokens, .end = count};
    struct pass p = {0};
    struct buffer *target = NULL, *lse = NULL, *loss = NULL;
    struct cmd cmd = {0};
    uint32_t n = count - 1, *index = mem_new(n, sizeof *index, "rows");
    float *losses = mem_new(n, sizeof *losses, "losses");
    for (uint32_t i = 0; index && i < n; i++) index[i] = i;
    bool ok = index && losses && pass_new(&p, model, &sequence, 1, model->config.layers, false) &&
              pass_head(&p, model, index, n) &&
              buffer_from(model->dev, tokens + 1, n * sizeof *tokens, "targets", &target) &&
              buffer_new(model->dev, n * sizeof(float), "losses", &lse) &&
              buffer_new(model->dev, n * sizeof(float), "losses", &loss);
    if (ok) {
        cmd_start(&cmd, model->dev, false);
        pass_logits(&cmd, model, &p);
        op_cross_entropy(&cmd, (struct cross_entropy_args){
                                   .logits = p.head.logits->address, .target = target->address,
                                   .lse = lse->address, .loss = loss->address, .rows = n,
                                   .cols = model->config.vocab});
        ok = cmd_run_once(&cmd) && buffer_read(model->dev, loss, 0, losses, n * sizeof *losses);
    }
    for (uint32_t i = 0; ok && i < n; i++) *sum += (double)losses[i];
    if (ok && !isfinite(*sum))
        ok = pass_blame(model, &sequence, 1, index, n, "the text's loss");
    cmd_free(&cmd);
    buffer_free(model->dev, &target);
    buffer_free(model->dev, &lse);
    buffer_free(model->dev, &loss);
    pass_free(&p);
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
    progress_start(&bar, "perplexity", "token", count);
    for (uint32_t at = 0; ok && at + 1 < count; at += block) {
        uint32_t now = count - at < block ? count - at : block;
        ok = block_loss(model, tokens + at, now, &sum);
        seen += now - 1;
        progress_step(&bar, now);
    }
    progress_end(&bar);
    if (ok && seen == 0) ok = fail(STATUS_BAD_DATA, "a text of %u tokens, wanted 2", count);
    *perplexity = exp(sum / seen);
    return ok;
}
