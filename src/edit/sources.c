#include "edit/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/status.h"

enum { ASCII_FIRST = 32, ASCII_COUNT = 95 }; // what can be printed

// Tokens of the corpus in the making, its statements' starts among them.
struct making {
    struct corpus *corpus;
    const struct tokenizer *tokenizer;
    uint32_t limit;
    size_t token_capacity, start_capacity;
    bool full;
};

// prompt, a blank and its answer. Longer ones than a block are cut, shorter ones than a prediction
// left out.
static bool statement_add(struct making *m, const char *prompt, const char *answer)
{
    struct corpus *c = m->corpus;
    struct token_list list = {0};
    size_t size = strlen(prompt) + strlen(answer) + 2;
    char *text = mem_new(size, 1, "a statement");
    if (!text) return false;
    snprintf(text, size, "%s%s%s", prompt, answer[0] == ' ' ? "" : " ", answer);
    bool ok = tokenizer_encode(m->tokenizer, text, strlen(text), ENCODE_BOS | ENCODE_PLAIN, &list);
    uint32_t count = list.count < c->block ? (uint32_t)list.count : c->block;
    if (ok && count > 1) {
        m->full = c->count + count > m->limit && c->count > 0;
        ok = m->full || (mem_grow(&c->tokens, &m->token_capacity, c->count + count,
                                  sizeof *c->tokens, "statements") &&
                         mem_grow(&c->starts, &m->start_capacity, c->start_count + 1u,
                                  sizeof *c->starts, "statements"));
        if (ok && !m->full) {
            c->starts[c->start_count++] = c->count;
            memcpy(c->tokens + c->count, list.ids, count * sizeof *list.ids);
            c->count += count;
        }
    }
    free(text);
    token_list_free(&list);
    return ok;
}

static bool request_add(struct making *m, const struct request *r, enum grad_source kind)
{
    bool ok = true;
    if (kind == GRAD_KNOWLEDGE)
        return !r->target_true || statement_add(m, r->prompt, r->target_true);
    for (size_t i = 0; ok && !m->full && i < r->locality_truths.count; i++)
        ok = statement_add(m, r->localities.items[i], r->locality_truths.items[i]);
    return ok;
}

// The paper's statements are outside the edited ones.
static bool statements(struct making *m, const struct source *s, bool all)
{
    bool ok = true;
    for (size_t i = 0; ok && !m->full && i < s->count; i++)
        if (all || i < s->skip_from || i >= s->skip_to)
            ok = request_add(m, &s->requests[i], s->kind);
    return ok;
}

static bool statements_make(struct corpus *c, const struct tokenizer *tokenizer,
                            const struct source *s, uint32_t limit)
{
    struct making m = {.corpus = c, .tokenizer = tokenizer, .limit = limit};
    const char *what = s->kind == GRAD_KNOWLEDGE ? "an old answer"
                                              : "a locality prompt with an answer";
    bool ok = statements(&m, s, false);
    if (ok && !c->count) {
        ok = statements(&m, s, true);
        if (ok && c->count)
            log_warn("--grad-source %s: every record of %s that has %s is edited; grad G comes "
                     "from the edited ones", grad_source_names[s->kind], s->where, what);
    }
    if (ok && !c->count)
        ok = fail(STATUS_BAD_DATA, "--grad-source %s: no record of %s has %s",
                  grad_source_names[s->kind], s->where, what);
    if (ok && !m.full && c->count < limit)
        log_say("%s: %u tokens in %u statements, fewer than the %u asked for", c->source, c->count,
                c->start_count, limit);
    return ok;
}

// A token is seldom more than two such characters.
static bool ascii_make(struct corpus *c, const struct tokenizer *tokenizer, uint32_t limit,
                       uint64_t seed)
{
    size_t size = (size_t)limit * 8;
    char *text = mem_new(size, 1, "random text");
    struct token_list list = {0};
    for (size_t i = 0; text && i < size; i++)
        text[i] = (char)(ASCII_FIRST + random_next(&seed) % ASCII_COUNT);
    bool ok = text && tokenizer_encode(tokenizer, text, size, ENCODE_PLAIN, &list);
    if (ok && list.count < 2)
        ok = fail(STATUS_BAD_DATA, "--grad-source ascii: got %zu tokens, wanted at least 2",
                  list.count);
    if (ok && list.count < limit)
        log_say("%s: %zu tokens, fewer than the %u asked for", c->source, list.count, limit);
    if (ok) {
        c->count = list.count < limit ? (uint32_t)list.count : limit;
        c->tokens = list.ids;
        list.ids = NULL;
    }
    free(text);
    token_list_free(&list);
    return ok;
}

bool corpus_from_source(struct corpus *c, const struct tokenizer *tokenizer,
                        const struct source *s, uint32_t limit, uint32_t block)
{
    *c = (struct corpus){.block = block};
    snprintf(c->source, sizeof c->source, "%s",
             s->kind == GRAD_ASCII ? "random ASCII"
             : s->kind == GRAD_LOCALITY ? "locality prompts" : "knowledge statements");
    bool ok = s->kind == GRAD_ASCII ? ascii_make(c, tokenizer, limit, s->seed)
                                    : statements_make(c, tokenizer, s, limit);
    if (ok) corpus_identify(c);
    if (!ok) corpus_free(c);
    return ok;
}
