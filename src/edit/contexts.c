#include "edit/contexts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "model/generate.h"

static const char *const starts[] = {"The", "Therefore", "Because", "I", "You"};
enum { STARTS = 5, TOP = 5 }; // ROME samples among the 5 best

// Line ends would put the prompt into another paragraph; the published prefixes have none. The
// blank that some tokenizers put before a text goes, and so do bytes of a character that was not
// finished.
static void tidy(char *text)
{
    size_t size = strlen(text), kept = 0;
    for (size_t at = *text == ' ', step; at < size; at += step) {
        size_t whole = utf8_size(text + at, size - at);
        bool line = text[at] == '\n' || text[at] == '\r';
        step = whole ? whole : 1;
        memmove(text + kept, text + at, whole);
        if (line) text[kept] = ' ';
        kept += whole;
    }
    text[kept] = '\0';
}

static bool copy_given(struct contexts *c, const struct hparams *h)
{
    for (uint32_t i = 0; i < h->context_text_count; i++, c->count++) {
        c->texts[i] = mem_text(h->context_texts[i], strlen(h->context_texts[i]), "contexts");
        if (!c->texts[i]) return false;
    }
    return true;
}

// `count` prefixes of `tokens` new tokens, from the starts in turn.
static bool sample(struct contexts *c, const struct model *model,
                   const struct tokenizer *tokenizer, uint32_t count, uint32_t tokens,
                   uint64_t seed)
{
    struct generated *texts = mem_new(count, sizeof *texts, "contexts");
    struct token_list start = {0};
    struct generate_options options = {.tokens = tokens, .top = TOP, .temperature = 1,
                                       .seed = seed + tokens};
    bool ok = texts != NULL;
    for (uint32_t i = 0; ok && i < count; i++) {
        const char *word = starts[i % STARTS];
        ok = tokenizer_encode(tokenizer, word, strlen(word), ENCODE_BOS, &start);
        texts[i].tokens = ok ? mem_new(start.count, sizeof *start.ids, "contexts") : NULL;
        ok = ok && texts[i].tokens;
        if (!ok) break;
        memcpy(texts[i].tokens, start.ids, start.count * sizeof *start.ids);
        texts[i].count = (uint32_t)start.count;
    }
    ok = ok && generate(model, texts, count, &options, NULL);
    for (uint32_t i = 0; ok && i < count; i++) {
        size_t size;
        ok = tokenizer_decode(tokenizer, texts[i].tokens, texts[i].count, true,
                              &c->texts[c->count], &size);
        if (ok) tidy(c->texts[c->count++]);
    }
    for (uint32_t i = 0; texts && i < count; i++) free(texts[i].tokens);
    free(texts);
    token_list_free(&start);
    return ok;
}

bool contexts_new(struct contexts *c, const struct model *model, const struct tokenizer *tokenizer,
                  const struct hparams *h, uint64_t seed)
{
    uint32_t given = h->context_text_count;
    *c = (struct contexts){0};
    c->texts = mem_new(given ? given : h->contexts, sizeof *c->texts, "contexts");
    bool ok = c->texts != NULL;
    if (ok && given) {
        ok = copy_given(c, h);
    } else if (ok) {
        // Half of each length, rounded down to whole rounds of the starts.
        uint32_t longer = h->contexts, shorter = 0;
        if (h->context_short != h->context_long) shorter = h->contexts / 2 / STARTS * STARTS;
        longer -= shorter;
        ok = (!longer || sample(c, model, tokenizer, longer, h->context_long, seed)) &&
             (!shorter || sample(c, model, tokenizer, shorter, h->context_short, seed));
    }
    if (!ok) contexts_free(c);
    return ok;
}

void contexts_free(struct contexts *c)
{
    for (uint32_t i = 0; i < c->count; i++) free(c->texts[i]);
    free(c->texts);
    *c = (struct contexts){0};
}
