#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/ask.h"
#include "eval/exam_part.h"

// Rows and looked-at rows of a batch, unless one question alone has more. A bar is worth drawing.
enum { ROWS = 512, HEAD_ROWS = 256, BAR = 64 };

struct question **exam_list(const struct exam *exam, struct exam_part part, uint32_t *count)
{
    uint32_t end = part.first + part.count, total = 0;
    for (int k = 0; k < ASK_KINDS; k++)
        if (part.kinds >> k & 1) total += exam->first[k][end] - exam->first[k][part.first];
    struct question **list = mem_new(total, sizeof *list, "questions");
    *count = 0;
    for (int k = 0; list && k < ASK_KINDS; k++)
        if (part.kinds >> k & 1)
            for (uint32_t i = exam->first[k][part.first]; i < exam->first[k][end]; i++)
                list[(*count)++] = &exam->questions[k][i];
    return list;
}

// One batch in the making, with room for all questions of the list.
struct sheet {
    struct sequence *sequences;
    uint32_t *index, *target, *top;
    float *loss;
    uint32_t picked;
};

static bool sheet_new(struct sheet *s, struct question *const *list, uint32_t count)
{
    uint32_t answers = 0;
    for (uint32_t i = 0; i < count; i++) answers += list[i]->answers;
    *s = (struct sheet){.sequences = mem_new(count, sizeof *s->sequences, "questions"),
                        .index = mem_new(answers, sizeof *s->index, "questions"),
                        .target = mem_new(answers, sizeof *s->target, "questions"),
                        .top = mem_new(answers, sizeof *s->top, "questions"),
                        .loss = mem_new(answers, sizeof *s->loss, "questions")};
    return s->sequences && s->index && s->target && s->top && s->loss;
}

static void sheet_free(struct sheet *s)
{
    free(s->sequences);
    free(s->index);
    free(s->target);
    free(s->top);
    free(s->loss);
}

// As many questions from the list's head as fit into one batch.
static uint32_t sheet_fill(struct sheet *s, struct question *const *list, uint32_t total)
{
    uint32_t count = 0, rows = 0;
    s->picked = 0;
    for (; count < total; count++) {
        const struct question *q = list[count];
        if (count && (rows + q->count > ROWS || s->picked + q->answers > HEAD_ROWS)) break;
        for (uint32_t k = 0; k < q->answers; k++, s->picked++) {
            s->index[s->picked] = rows + q->given - 1 + k;
            s->target[s->picked] = q->answer[k];
        }
        s->sequences[count] = (struct sequence){.tokens = q->tokens, .end = q->count, .slot = rows};
        rows += q->count;
    }
    return count;
}

// Hands the answers out to their questions.
static void sheet_give(const struct sheet *s, struct question *const *list, uint32_t count,
                       struct exam_part part)
{
    for (uint32_t i = 0, at = 0; i < count; at += list[i++]->answers) {
        struct question *q = list[i];
        double sum = 0;
        for (uint32_t k = 0; k < q->answers; k++) sum -= (double)s->loss[at + k];
        if (part.likelihoods) q->likelihood = sum / q->answers;
        if (part.tops) memcpy(q->top, s->top + at, q->answers * sizeof *q->top);
    }
}

bool exam_ask_part(struct exam *exam, const struct model *model, struct exam_part part)
{
    uint32_t total = 0;
    struct question **list = exam_list(exam, part, &total);
    struct sheet s = {0};
    bool ok = list && sheet_new(&s, list, total);
    struct progress bar;
    if (total >= BAR) progress_start(&bar, "asking", "question", total);
    for (uint32_t i = 0, count; ok && i < total; i += count) {
        count = sheet_fill(&s, list + i, total - i);
        ok = interrupt_check() &&
             ask_rows(model, &(struct ask){.sequences = s.sequences, .count = count,
                                           .index = s.index, .target = s.target,
                                           .picked = s.picked, .top = part.tops ? s.top : NULL,
                                           .loss = part.likelihoods ? s.loss : NULL,
                                           .who = "asking"});
        if (ok) sheet_give(&s, list + i, count, part);
        if (total >= BAR) progress_step(&bar, count);
    }
    if (total >= BAR) progress_end(&bar);
    sheet_free(&s);
    free(list);
    return ok;
}

bool exam_ask(struct exam *exam, const struct model *model, enum question_kind kind)
{
    return exam_ask_part(exam, model, (struct exam_part){.kinds = 1u << kind,
                                                         .count = exam->requests, .tops = true});
}

bool exam_unedited(struct exam *exam, const struct model *model, struct exam_part part)
{
    uint32_t total = 0;
    part.tops = true;
    struct question **list = exam_list(exam, part, &total);
    bool ok = list && exam_ask_part(exam, model, part);
    for (uint32_t i = 0; ok && i < total; i++) {
        struct question *q = list[i];
        if (!q->before) q->before = mem_new(q->answers, sizeof *q->before, "a question");
        ok = q->before != NULL;
        if (ok) memcpy(q->before, q->top, q->answers * sizeof *q->top);
    }
    free(list);
    return ok;
}
