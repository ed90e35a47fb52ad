#define XXH_INLINE_ALL
#include "edit/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "edit/store.h"
#include "model/generate.h"

// Own samples: many short texts, so that every step of the generation is a large batch.
enum { OWN_BLOCK = 128, OWN_TEXTS = 32, OWN_TOP = 50 };

void corpus_identify(struct corpus *c)
{
    c->id = XXH3_64bits_withSeed(c->tokens, c->count * sizeof *c->tokens, c->block);
    if (c->starts)
        c->id = XXH3_64bits_withSeed(c->starts, c->start_count * sizeof *c->starts, c->id);
}

bool corpus_from_file(struct corpus *c, const struct tokenizer *tokenizer, const char *path,
                      uint32_t limit, uint32_t block)
{
    *c = (struct corpus){.block = block};
    const char *slash = strrchr(path, '/');
    snprintf(c->source, sizeof c->source, "%s", slash ? slash + 1 : path);
    char *text = NULL;
    size_t size = 0;
    struct token_list list = {0};
    bool ok = file_read(path, &text, &size);
    // No token is longer than the file needs: read no more of a huge file than may be used.
    if (ok && size / 64 > limit) {
        size = (size_t)limit * 64;
        while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80) size--;
    }
    ok = ok && tokenizer_encode(tokenizer, text, size, ENCODE_PLAIN, &list);
    if (ok && list.count < 2)
        ok = fail(STATUS_BAD_DATA, "--text %s: got %zu tokens, wanted at least 2", path,
                  list.count);
    if (ok && list.count < limit)
        log_say("%s has %zu tokens, fewer than the %u asked for", path, list.count, limit);
    if (ok) {
        c->count = list.count < limit ? (uint32_t)list.count : limit;
        c->tokens = list.ids;
        list.ids = NULL;
        corpus_identify(c);
    }
    free(text);
    token_list_free(&list);
    return ok;
}

bool corpus_from_ids(struct corpus *c, const uint32_t *ids, uint32_t count, uint32_t block)
{
    *c = (struct corpus){.count = count, .block = block, .source = "given tokens"};
    c->tokens = mem_new(count, sizeof *c->tokens, "a text");
    if (!c->tokens) return false;
    memcpy(c->tokens, ids, count * sizeof *ids);
    corpus_identify(c);
    return true;
}

// Fills texts [first, first + OWN_TEXTS) of the corpus.
static bool sample(struct corpus *c, const struct model *model, uint32_t start, uint32_t first,
                   uint64_t seed, struct progress *bar)
{
    struct generated texts[OWN_TEXTS] = {0};
    struct generate_options options = {.tokens = OWN_BLOCK - 1, .top = OWN_TOP, .temperature = 1,
                                       .seed = seed + first};
    bool ok = true;
    for (uint32_t i = 0; ok && i < OWN_TEXTS; i++) {
        texts[i] = (struct generated){.tokens = mem_new(1, sizeof(uint32_t), "a text"), .count = 1};
        ok = texts[i].tokens != NULL;
        if (ok) texts[i].tokens[0] = start;
    }
    ok = ok && generate(model, texts, OWN_TEXTS, &options, bar);
    for (uint32_t i = 0; i < OWN_TEXTS; i++) {
        if (ok) memcpy(c->tokens + (size_t)(first + i) * OWN_BLOCK, texts[i].tokens,
                       OWN_BLOCK * sizeof *c->tokens);
        free(texts[i].tokens);
    }
    return ok;
}

bool corpus_from_model(struct corpus *c, struct model *model, struct weights *weights,
                       const struct tokenizer *tokenizer, uint32_t limit, uint64_t seed)
{
    const uint32_t batch = OWN_TEXTS * OWN_BLOCK;
    *c = (struct corpus){.block = OWN_BLOCK, .source = "the model's own samples"};
    c->count = CEIL(limit, batch) * batch;
    c->tokens = mem_new(c->count, sizeof *c->tokens, "own samples");
    const char *hash = weights_hash(weights);
    if (!c->tokens || !hash) return false;
    char name[96];
    snprintf(name, sizeof name, "own-%s-%u-%llu%s.tokens", hash, c->count, (unsigned long long)seed,
             model->dev->strict ? "-strict" : "");
    log_say("no --text: using %u tokens sampled from the model itself", c->count);
    // Token ids are words like floats are; the store only keeps bits.
    struct lock lock;
    bool ok = store_wait(name, &lock);
    if (ok && !store_load(name, c->count, 1, (float *)(void *)c->tokens)) {
        const struct vocab *vocab = &tokenizer->vocab;
        uint32_t start = vocab->bos >= 0 ? (uint32_t)vocab->bos
                         : vocab->eos >= 0 ? (uint32_t)vocab->eos : 0;
        struct progress bar;
        progress_start(&bar, "sampling text", "token", c->count);
        for (uint32_t i = 0; ok && i < c->count / OWN_BLOCK; i += OWN_TEXTS)
            ok = interrupt_check() && sample(c, model, start, i, seed, &bar);
        progress_end(&bar);
        ok = ok && store_save(name, c->count, 1, (const float *)(const void *)c->tokens);
    }
    lock_drop(&lock);
    if (ok) corpus_identify(c);
    return ok;
}

struct corpus corpus_part(const struct corpus *c, uint32_t limit)
{
    struct corpus part = *c;
    if (limit < part.count) part.count = limit;
    while (part.start_count && part.starts[part.start_count - 1] >= part.count) part.start_count--;
    corpus_identify(&part);
    return part;
}

void corpus_free(struct corpus *c)
{
    free(c->tokens);
    free(c->starts);
    *c = (struct corpus){0};
}

uint32_t corpus_blocks(const struct corpus *c)
{
    return c->starts ? c->start_count : CEIL(c->count, c->block);
}

void corpus_block(const struct corpus *c, uint32_t i, uint32_t *begin, uint32_t *end)
{
    if (c->starts) {
        *begin = c->starts[i];
        *end = i + 1 < c->start_count ? c->starts[i + 1] : c->count;
        return;
    }
    *begin = i * c->block;
    *end = c->count - *begin < c->block ? c->count : *begin + c->block;
}
