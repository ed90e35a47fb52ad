#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "eval/eval.h"

// A blank stands between prompt and answer, unless one of them brings it (EasyEdit's rule).
static bool question_new(struct question *q, const struct tokenizer *tokenizer, const char *prompt,
                         const char *answer)
{
    struct token_list given = {0}, wanted = {0};
    size_t size = strlen(answer) + 2;
    char *spaced = mem_new(size, 1, "an answer");
    bool ok = spaced && tokenizer_encode(tokenizer, prompt, strlen(prompt), ENCODE_BOS, &given);
    if (ok) snprintf(spaced, size, "%s%s", answer[0] == ' ' ? "" : " ", answer);
    ok = ok && tokenizer_encode(tokenizer, spaced, strlen(spaced), ENCODE_PLAIN, &wanted);
    if (ok && (given.count == 0 || wanted.count == 0))
        ok = fail(STATUS_BAD_DATA, "prompt '%s' with answer '%s': got no tokens, wanted some",
                  prompt, answer);
    if (ok) {
        *q = (struct question){.given = (uint32_t)given.count, .answers = (uint32_t)wanted.count,
                               .count = (uint32_t)(given.count + wanted.count - 1)};
        q->tokens = mem_new(q->count + 1, sizeof *q->tokens, "a question");
        q->top = mem_new(q->answers, sizeof *q->top, "a question");
        ok = q->tokens && q->top;
    }
    if (ok) {
        memcpy(q->tokens, given.ids, given.count * sizeof *q->tokens);
        memcpy(q->tokens + given.count, wanted.ids, (wanted.count - 1) * sizeof *q->tokens);
        q->answer = wanted.ids;
        wanted.ids = NULL;
    }
    free(spaced);
    token_list_free(&given);
    token_list_free(&wanted);
    return ok;
}

static uint32_t questions_of(const struct request *r, enum question_kind kind)
{
    uint32_t of[ASK_KINDS] = {1, (uint32_t)r->rephrases.count, (uint32_t)r->localities.count,
                              r->target_true ? 1 : 0,
                              r->target_true ? (uint32_t)r->rephrases.count : 0};
    return of[kind];
}

static bool ask_of(struct question *q, const struct tokenizer *tokenizer, const struct request *r,
                   enum question_kind kind, uint32_t i)
{
    if (kind == ASK_REL) return question_new(q, tokenizer, r->prompt, r->target_new);
    if (kind == ASK_GEN) return question_new(q, tokenizer, r->rephrases.items[i], r->target_new);
    if (kind == ASK_TRUE) return question_new(q, tokenizer, r->prompt, r->target_true);
    if (kind == ASK_GEN_TRUE)
        return question_new(q, tokenizer, r->rephrases.items[i], r->target_true);
    // Without a known answer (any text stands for it) only the first token behind the prompt is
    // looked at.
    bool known = i < r->locality_truths.count && r->locality_truths.items[i][0];
    if (!question_new(q, tokenizer, r->localities.items[i],
                      known ? r->locality_truths.items[i] : r->localities.items[i]))
        return false;
    if (!known) {
        q->answers = 1;
        q->count = q->given;
    }
    return true;
}

bool exam_new(struct exam *exam, const struct tokenizer *tokenizer, const struct request *requests,
              uint32_t count)
{
    *exam = (struct exam){.requests = count};
    bool ok = true;
    for (int kind = 0; ok && kind < ASK_KINDS; kind++) {
        uint32_t total = 0;
        exam->first[kind] = mem_new(count + 1, sizeof *exam->first[kind], "questions");
        for (uint32_t i = 0; exam->first[kind] && i < count; i++) {
            exam->first[kind][i] = total;
            total += questions_of(&requests[i], (enum question_kind)kind);
        }
        exam->questions[kind] = mem_new(total, sizeof *exam->questions[kind], "questions");
        ok = exam->first[kind] && exam->questions[kind];
        if (ok) exam->first[kind][count] = total;
        for (uint32_t i = 0; ok && i < count; i++)
            for (uint32_t j = exam->first[kind][i]; ok && j < exam->first[kind][i + 1]; j++)
                ok = ask_of(&exam->questions[kind][j], tokenizer, &requests[i],
                            (enum question_kind)kind, j - exam->first[kind][i]);
    }
    if (!ok) exam_free(exam);
    return ok;
}

void exam_free(struct exam *exam)
{
    for (int kind = 0; kind < ASK_KINDS; kind++) {
        uint32_t total = exam->first[kind] ? exam->first[kind][exam->requests] : 0;
        for (uint32_t i = 0; exam->questions[kind] && i < total; i++) {
            free(exam->questions[kind][i].tokens);
            free(exam->questions[kind][i].answer);
            free(exam->questions[kind][i].top);
            free(exam->questions[kind][i].before);
        }
        free(exam->questions[kind]);
        free(exam->first[kind]);
    }
    *exam = (struct exam){0};
}

// request i's questions: [*first, *end), or none.
static bool range(const struct exam *exam, enum question_kind kind, uint32_t i, uint32_t *first,
                  uint32_t *end)
{
    *first = exam->first[kind][i];
    *end = exam->first[kind][i + 1];
    return *end > *first;
}

double exam_score(const struct exam *exam, enum question_kind kind, uint32_t i,
                  const struct exam *base)
{
    uint32_t right = 0, first, end;
    if (!range(exam, kind, i, &first, &end)) return NAN;
    for (uint32_t j = first; j < end; j++) {
        const struct question *q = &exam->questions[kind][j];
        const uint32_t *unedited = base ? base->questions[kind][j].top : q->before;
        const uint32_t *wanted = kind == ASK_LOC ? unedited : q->answer;
        if (!wanted) return NAN;
        right += memcmp(q->top, wanted, q->answers * sizeof *wanted) == 0;
    }
    return (double)right / (end - first);
}

double exam_success(const struct exam *exam, enum question_kind kind, uint32_t i)
{
    enum question_kind other = kind == ASK_REL ? ASK_TRUE : ASK_GEN_TRUE;
    uint32_t right = 0, first, end, true_first, true_end;
    if (!range(exam, kind, i, &first, &end) || !range(exam, other, i, &true_first, &true_end))
        return NAN;
    for (uint32_t j = 0; j < end - first; j++)
        right += exam->questions[kind][first + j].likelihood >
                 exam->questions[other][true_first + j].likelihood;
    return (double)right / (end - first);
}

double exam_begins(const struct exam *exam, enum question_kind kind, uint32_t i)
{
    uint32_t right = 0, first, end;
    if (!range(exam, kind, i, &first, &end)) return NAN;
    for (uint32_t j = first; j < end; j++) right += exam->questions[kind][j].begins;
    return (double)right / (end - first);
}
