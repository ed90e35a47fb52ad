#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/mem.h"
#include "eval/task_part.h"
#include "model/generate.h"

// Texts that grow together, and the rows of their prompts.
enum { TOGETHER = 32, ROWS = 2048 };

// A model without a stop of its own goes on with questions that it makes up.
static const char next_question[] = "Question:";

struct writing {
    const struct tokenizer *tokenizer;
    enum task_kind kind;
};

// Whether all that is read of a text is there: a line with something on it; of numbers, what stands
// before another question.
static bool enough(void *user, const struct generated *g)
{
    const struct writing *w = user;
    char *text = NULL;
    size_t size;
    // The last tokens are enough to find a word in.
    uint32_t fresh = g->count - g->prompt, tail = w->kind == TASK_NUMBER && fresh > 8 ? 8 : fresh;
    if (!tokenizer_decode(w->tokenizer, g->tokens + g->count - tail, tail, true, &text, &size))
        return true; // task_write decodes it again, and fails
    const char *from = text + strspn(text, " \t\r\n");
    bool over = w->kind == TASK_NUMBER ? strstr(text, next_question) != NULL
                                       : strchr(from, '\n') != NULL;
    free(text);
    return over;
}

static void read_word(const struct task_item *item, struct task_answer *a)
{
    const char *said, *wanted;
    size_t said_size, wanted_size;
    a->none = !word_first(a->said, &said, &said_size);
    // A "last word" of signs alone is taken as it stands.
    if (!word_first(item->wanted, &wanted, &wanted_size)) {
        const char *text = a->said + strspn(a->said, " \t\r\n");
        a->right = strncmp(text, item->wanted, strlen(item->wanted)) == 0;
        return;
    }
    a->right = !a->none && said_size == wanted_size && memcmp(said, wanted, wanted_size) == 0;
}

static void read_number(const struct task_item *item, struct task_answer *a)
{
    double number;
    const char *end = strstr(a->said, next_question);
    size_t size = end ? (size_t)(end - a->said) : strlen(a->said);
    a->none = !number_last(a->said, size, &number);
    a->right = !a->none && fabs(number - item->number) <= 1e-9 * fmax(1, fabs(item->number));
}

static void answer_read(const struct task_item *item, enum task_kind kind, struct task_answer *a)
{
    a->chosen = -1;
    if (kind == TASK_WORD) {
        read_word(item, a);
    } else if (kind == TASK_NUMBER) {
        read_number(item, a);
    } else {
        a->chosen = choice_read(a->said, item->choices);
        a->none = a->chosen < 0;
        a->right = !a->none && (item->right >> a->chosen & 1);
    }
}

// Prompts from item `first` on, as many as go together.
static bool prompts_take(const struct task_items *items, uint32_t first,
                         const struct model *model, const struct tokenizer *tokenizer,
                         struct generated *g, uint32_t *count)
{
    uint32_t rows = 0;
    bool ok = true;
    for (*count = 0; ok && first + *count < items->count && *count < TOGETHER; (*count)++) {
        const struct task_item *item = &items->items[first + *count];
        struct token_list list = {0};
        ok = tokenizer_encode(tokenizer, item->prompt, strlen(item->prompt), ENCODE_BOS, &list) &&
             task_fits(item, list.count, model);
        rows += (uint32_t)list.count;
        bool full = *count && rows > ROWS;
        if (ok && !full) {
            g[*count] = (struct generated){.tokens = list.ids, .count = (uint32_t)list.count};
            list.ids = NULL;
        }
        token_list_free(&list);
        if (full) break;
    }
    return ok;
}

bool task_write(const struct task_items *items, const struct model *model,
                const struct tokenizer *tokenizer, const struct task_options *options,
                struct task_result *r, struct progress *bar)
{
    struct writing w = {tokenizer, items->form->kind};
    struct generate_options how = {.tokens = options->tokens ? options->tokens
                                                             : items->form->tokens,
                                   .top = 1, .stop = tokenizer->vocab.stops,
                                   .stop_count = tokenizer->vocab.stop_count,
                                   .enough = enough, .user = &w};
    bool ok = true;
    for (uint32_t i = 0, count = 0; ok && i < r->count; i += count) {
        struct generated g[TOGETHER] = {0};
        ok = interrupt_check() && prompts_take(items, i, model, tokenizer, g, &count) &&
             generate(model, g, count, &how, NULL);
        for (uint32_t k = 0; ok && k < count; k++) {
            struct task_answer *a = &r->answers[i + k];
            size_t size;
            ok = tokenizer_decode(tokenizer, g[k].tokens + g[k].prompt, g[k].count - g[k].prompt,
                                  true, &a->said, &size);
            if (ok) answer_read(&items->items[i + k], w.kind, a);
        }
        for (uint32_t k = 0; k < TOGETHER; k++) free(g[k].tokens);
        progress_step(bar, count);
    }
    return ok;
}
