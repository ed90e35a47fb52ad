#include "eval/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "eval/ask.h"
#include "eval/task_part.h"

enum { ROWS = 512, HEAD_ROWS = 128 };

void task_result_free(struct task_result *r)
{
    for (uint32_t i = 0; r->answers && i < r->count; i++) {
        free(r->answers[i].said);
        free(r->answers[i].likelihoods);
    }
    free(r->answers);
    *r = (struct task_result){0};
}

// A prompt with its possible answers behind it, each as tokens. Answers of one token share one
// text: they are looked up in the same row.
struct trial {
    struct token_list *answers; // [count]
    struct token_list prompt;
    uint32_t count, texts, rows, picked;
};

static void trial_free(struct trial *t)
{
    for (uint32_t i = 0; t->answers && i < t->count; i++) token_list_free(&t->answers[i]);
    free(t->answers);
    token_list_free(&t->prompt);
    *t = (struct trial){0};
}

bool task_fits(const struct task_item *item, size_t tokens, const struct model *model)
{
    return tokens <= model->positions ||
           fail(STATUS_BAD_DATA,
                "prompt '%.60s...': got %zu tokens, wanted at most %u, the model's "
                "context; --limit and --skip choose other records",
                item->prompt, tokens, model->positions);
}

// " A", " B", ... or " word".
static bool trial_new(struct trial *t, const struct task_item *item, const struct model *model,
                      const struct tokenizer *tokenizer)
{
    *t = (struct trial){.count = item->choices ? item->choices : 1};
    size_t size = strlen(item->wanted) + 2;
    char *answer = mem_new(size, 1, "an answer");
    t->answers = mem_new(t->count, sizeof *t->answers, "answers");
    bool ok = answer && t->answers &&
              tokenizer_encode(tokenizer, item->prompt, strlen(item->prompt), ENCODE_BOS,
                               &t->prompt);
    bool single = true;
    for (uint32_t i = 0; ok && i < t->count; i++) {
        answer[0] = ' ';
        memcpy(answer + 1, item->wanted, size - 1);
        if (item->choices) answer[1] = (char)('A' + i);
        ok = tokenizer_encode(tokenizer, answer, strlen(answer), ENCODE_PLAIN, &t->answers[i]);
        if (ok && (t->prompt.count == 0 || t->answers[i].count == 0))
            ok = fail(STATUS_BAD_DATA, "prompt '%s' with answer '%s': got no tokens, wanted some",
                      item->prompt, answer);
        ok = ok && task_fits(item, t->prompt.count + t->answers[i].count - 1, model);
        if (!ok) break;
        single = single && t->answers[i].count == 1;
        t->picked += (uint32_t)t->answers[i].count;
        t->rows += (uint32_t)(t->prompt.count + t->answers[i].count - 1);
    }
    t->texts = single ? 1 : t->count;
    if (ok && single) t->rows = (uint32_t)t->prompt.count;
    free(answer);
    if (!ok) trial_free(t);
    return ok;
}

// Trials that run together.
struct batch_of {
    struct trial trials[HEAD_ROWS];
    uint32_t first, count, texts, rows, picked;
    struct sequence *sequences;
    uint32_t *tokens, *index, *target, *top;
    float *loss;
};

// As many items from `first` on as fit.
static bool batch_fill(struct batch_of *b, const struct task_items *items, uint32_t first,
                       const struct model *model, const struct tokenizer *tokenizer)
{
    *b = (struct batch_of){.first = first};
    for (size_t i = first; i < items->count && b->count < HEAD_ROWS; i++) {
        struct trial *t = &b->trials[b->count];
        if (!trial_new(t, &items->items[i], model, tokenizer)) return false;
        if (b->count && (b->rows + t->rows > ROWS || b->picked + t->picked > HEAD_ROWS)) {
            trial_free(t);
            return true;
        }
        b->count++;
        b->texts += t->texts;
        b->rows += t->rows;
        b->picked += t->picked;
    }
    return true;
}

static void batch_free_all(struct batch_of *b)
{
    for (uint32_t i = 0; i < b->count; i++) trial_free(&b->trials[i]);
    free(b->sequences);
    free(b->tokens);
    free(b->index);
    free(b->target);
    free(b->top);
    free(b->loss);
    *b = (struct batch_of){0};
}

// Lays the texts out, row after row.
static bool batch_lay(struct batch_of *b)
{
    b->sequences = mem_new(b->texts, sizeof *b->sequences, "texts");
    b->tokens = mem_new(b->rows, sizeof *b->tokens, "texts");
    b->index = mem_new(b->picked, sizeof *b->index, "texts");
    b->target = mem_new(b->picked, sizeof *b->target, "texts");
    b->top = mem_new(b->picked, sizeof *b->top, "texts");
    b->loss = mem_new(b->picked, sizeof *b->loss, "texts");
    if (!b->sequences || !b->tokens || !b->index || !b->target || !b->top || !b->loss) return false;
    uint32_t row = 0, at = 0, text = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct trial *t = &b->trials[i];
        uint32_t given = (uint32_t)t->prompt.count;
        for (uint32_t a = 0; a < t->count; a++) {
            const struct token_list *answer = &t->answers[a];
            uint32_t rows = given + (uint32_t)answer->count - 1;
            bool shared = t->texts == 1 && a > 0;
            if (shared) row -= rows;
            for (uint32_t k = 0; k < answer->count; k++, at++) {
                b->index[at] = row + given - 1 + k;
                b->target[at] = answer->ids[k];
            }
            memcpy(b->tokens + row, t->prompt.ids, given * sizeof *b->tokens);
            memcpy(b->tokens + row + given, answer->ids, (answer->count - 1) * sizeof *b->tokens);
            if (!shared)
                b->sequences[text++] =
                    (struct sequence){.tokens = b->tokens + row, .end = rows, .slot = row};
            row += rows;
        }
    }
    return true;
}

// From the losses to each item's answer.
static bool batch_read(const struct batch_of *b, const struct task_items *items,
                       struct task_result *r)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const struct trial *t = &b->trials[i];
        const struct task_item *item = &items->items[b->first + i];
        struct task_answer *answer = &r->answers[b->first + i];
        bool on_top = true;
        uint32_t best = 0;
        answer->likelihoods = mem_new(t->count, sizeof *answer->likelihoods, "an answer");
        if (!answer->likelihoods) return false;
        for (uint32_t a = 0; a < t->count; a++) {
            for (uint32_t k = 0; k < t->answers[a].count; k++, at++) {
                answer->likelihoods[a] -= (double)b->loss[at];
                on_top = on_top && b->top[at] == b->target[at];
            }
            if (answer->likelihoods[a] > answer->likelihoods[best]) best = a;
        }
        answer->chosen = item->choices ? (int32_t)best : -1;
        answer->right = item->choices ? item->right >> best & 1 : on_top;
    }
    return true;
}

static bool run_likelihood(const struct task_items *items, const struct model *model,
                           const struct tokenizer *tokenizer, struct task_result *r,
                           struct progress *bar)
{
    struct batch_of *b = mem_new(1, sizeof *b, "a batch");
    bool ok = b != NULL;
    for (uint32_t i = 0, count = 0; ok && i < r->count; i += count) {
        ok = interrupt_check() && batch_fill(b, items, i, model, tokenizer) &&
             batch_lay(b) &&
             ask_rows(model, &(struct ask){.sequences = b->sequences, .count = b->texts,
                                           .index = b->index, .target = b->target,
                                           .picked = b->picked, .top = b->top, .loss = b->loss,
                                           .who = "a task"}) &&
             batch_read(b, items, r);
        count = b->count;
        progress_step(bar, count);
        batch_free_all(b);
    }
    free(b);
    return ok;
}

bool task_run(const struct task_items *items, const struct model *model,
              const struct tokenizer *tokenizer, const struct task_options *options,
              struct task_result *r)
{
    *r = (struct task_result){.count = (uint32_t)items->count};
    r->answers = mem_new(r->count, sizeof *r->answers, "answers");
    bool write = options->choose == CHOOSE_GENERATE || items->form->kind == TASK_NUMBER;
    struct progress bar;
    progress_start(&bar, items->form->name, "item", r->count);
    bool ok = r->answers && (write ? task_write(items, model, tokenizer, options, r, &bar)
                                   : run_likelihood(items, model, tokenizer, r, &bar));
    progress_end(&bar);
    for (uint32_t i = 0; ok && i < r->count; i++) {
        r->right += r->answers[i].right;
        r->none += r->answers[i].none;
    }
    r->accuracy = r->count ? (double)r->right / r->count : (double)NAN;
    r->error = sqrt(r->accuracy * (1 - r->accuracy) / r->count);
    if (!ok) task_result_free(r);
    return ok;
}
