#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/exam_part.h"
#include "model/generate.h"

// Prompts that grow together; tokens beyond the answer's own, where it is spelled in other ones.
enum { TOGETHER = 32, MORE = 4, BAR = 64 };

static size_t blanks(const char *text)
{
    return strspn(text, " \t\r\n");
}

// `text` begins with `wanted`, and the word is over there.
static bool begins(const char *text, const char *wanted)
{
    text += blanks(text);
    wanted += blanks(wanted);
    size_t size = strlen(wanted);
    if (size == 0 || strncmp(text, wanted, size) != 0) return false;
    unsigned char last = (unsigned char)wanted[size - 1], next = (unsigned char)text[size];
    bool inside = isalnum(last) || last >= 0x80;
    return !inside || !(isalnum(next) || next >= 0x80);
}

static bool judge(struct question *q, const struct tokenizer *tokenizer, const struct generated *g)
{
    char *said = NULL, *wanted = NULL;
    size_t size;
    bool ok = tokenizer_decode(tokenizer, g->tokens + g->prompt, g->count - g->prompt, true, &said,
                               &size) &&
              tokenizer_decode(tokenizer, q->answer, q->answers, false, &wanted, &size);
    if (ok) q->begins = begins(said, wanted);
    free(said);
    free(wanted);
    return ok;
}

static bool continue_batch(struct question *const *list, uint32_t count, const struct model *model,
                           const struct tokenizer *tokenizer)
{
    struct generated g[TOGETHER] = {0};
    struct generate_options options = {.top = 1, .stop = tokenizer->vocab.stops,
                                       .stop_count = tokenizer->vocab.stop_count};
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; i++) {
        const struct question *q = list[i];
        if (q->answers + MORE > options.tokens) options.tokens = q->answers + MORE;
        g[i].count = q->given;
        g[i].tokens = mem_new(q->given, sizeof *g[i].tokens, "a prompt");
        ok = g[i].tokens != NULL;
        if (ok) memcpy(g[i].tokens, q->tokens, q->given * sizeof *q->tokens);
    }
    ok = ok && generate(model, g, count, &options, NULL);
    for (uint32_t i = 0; ok && i < count; i++) ok = judge(list[i], tokenizer, &g[i]);
    for (uint32_t i = 0; i < count; i++) free(g[i].tokens);
    return ok;
}

bool exam_continue(struct exam *exam, const struct model *model, const struct tokenizer *tokenizer,
                   struct exam_part part)
{
    uint32_t total = 0;
    struct question **list = exam_list(exam, part, &total);
    bool ok = list != NULL;
    struct progress bar;
    if (total >= BAR) progress_start(&bar, "continuing", "prompt", total);
    for (uint32_t i = 0, count; ok && i < total; i += count) {
        count = total - i < TOGETHER ? total - i : TOGETHER;
        ok = interrupt_check() && continue_batch(list + i, count, model, tokenizer);
        if (total >= BAR) progress_step(&bar, count);
    }
    if (total >= BAR) progress_end(&bar);
    free(list);
    return ok;
}
