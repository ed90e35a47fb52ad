#include "io/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/utf8.h"
#include "io/bpe.h"
#include "io/hf_text.h"
#include "io/pretoken.h"

// Checked here once, so that PCRE2 need not check each run of text again.
static bool utf8_check(const char *text, size_t size)
{
    size_t at = utf8_invalid(text, size);
    return at == size || fail(STATUS_BAD_DATA, "text is not UTF-8: byte 0x%02x at offset %zu",
                              (unsigned char)text[at], at);
}

// Whether the token's text is matched in the raw text rather than made by merges.
static bool matched_raw(enum token_type type)
{
    return type == TOKEN_CONTROL || type == TOKEN_USER_DEFINED || type == TOKEN_UNKNOWN;
}

// The bytes that a token of byte-level text stands for; returns 0 if the text has a character
// from outside of the alphabet. letters maps a character to its byte, -1: none.
static size_t piece_decode(struct bytes token, const int16_t letters[static 512], char *piece)
{
    size_t size = 0;
    for (size_t i = 0; i < token.size; i++) {
        unsigned letter = (unsigned char)token.data[i];
        if (letter >= 0x80) {
            if (letter < 0xc2 || letter > 0xc7 || ++i == token.size) return 0;
            letter = (letter & 0x1f) << 6 | ((unsigned char)token.data[i] & 0x3f);
        }
        if (letters[letter] < 0) return 0;
        piece[size++] = (char)letters[letter];
    }
    return size;
}

// The same of a vocabulary of characters: a byte's own token, or a text with its blanks written
// otherwise. U+2581 is what SentencePiece writes for a blank.
static size_t piece_spell(struct bytes token, char *piece)
{
    size_t size = 0;
    unsigned byte;
    char more;
    if (token.size == 6 && sscanf(token.data, "<0x%02X>%c", &byte, &more) == 1 &&
        token.data[5] == '>') {
        piece[0] = (char)byte;
        return 1;
    }
    for (size_t i = 0; i < token.size;) {
        bool blank = token.size - i >= 3 && memcmp(token.data + i, "\xe2\x96\x81", 3) == 0;
        piece[size++] = blank ? ' ' : token.data[i];
        i += blank ? 3 : 1;
    }
    return size;
}

// What each token stands for, in one block, so that decoding is copying. Special tokens stand for
// their own text, as does a token with characters from outside of the alphabet.
static bool pieces_build(struct tokenizer *tokenizer)
{
    const struct vocab *vocab = &tokenizer->vocab;
    uint16_t alphabet[256];
    int16_t letters[512];
    size_t total = 0;
    for (size_t i = 0; i < 512; i++) letters[i] = -1;
    byte_alphabet(alphabet);
    for (int16_t byte = 0; byte < 256; byte++) letters[alphabet[byte]] = byte;
    for (size_t i = 0; i < vocab->count; i++) total += vocab->tokens[i].size;
    if (total > UINT32_MAX)
        return fail(STATUS_BAD_DATA, "%s: tokens of %zu bytes, wanted under 4 GiB", vocab->where,
                    total);
    tokenizer->pieces = mem_new(total, 1, "the vocabulary");
    tokenizer->piece_at = mem_new(vocab->count + 1, sizeof *tokenizer->piece_at, "the vocabulary");
    if (!tokenizer->pieces || !tokenizer->piece_at) return false;
    uint32_t at = 0;
    for (size_t i = 0; i < vocab->count; i++) {
        struct bytes token = vocab->tokens[i];
        size_t size = 0;
        bool made = !matched_raw((enum token_type)vocab->types[i]);
        if (made && vocab->characters)
            size = piece_spell(token, tokenizer->pieces + at);
        else if (made)
            size = piece_decode(token, letters, tokenizer->pieces + at);
        if (!size && token.size) {
            memcpy(tokenizer->pieces + at, token.data, token.size);
            size = token.size;
        }
        at += (uint32_t)size;
        tokenizer->piece_at[i + 1] = at;
    }
    return true;
}

struct special {
    size_t size;
    uint32_t id;
};

static int special_order(const void *left, const void *right)
{
    const struct special *a = left, *b = right;
    if (a->size != b->size) return a->size > b->size ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

// Sorted by length, so that the first that matches is the longest.
static bool specials_build(struct tokenizer *tokenizer)
{
    const struct vocab *vocab = &tokenizer->vocab;
    struct special *specials = mem_new(vocab->count, sizeof *specials, "special tokens");
    tokenizer->specials = mem_new(vocab->count, sizeof *tokenizer->specials, "special tokens");
    bool ok = specials && tokenizer->specials;
    for (size_t i = 0; ok && i < vocab->count; i++) {
        struct bytes token = vocab->tokens[i];
        if (!matched_raw((enum token_type)vocab->types[i]) || !token.size) continue;
        specials[tokenizer->special_count++] = (struct special){token.size, (uint32_t)i};
        tokenizer->special_first[(unsigned char)token.data[0]] = true;
    }
    if (ok) qsort(specials, tokenizer->special_count, sizeof *specials, special_order);
    for (size_t i = 0; ok && i < tokenizer->special_count; i++)
        tokenizer->specials[i] = specials[i].id;
    free(specials);
    return ok;
}

bool tokenizer_open(struct tokenizer *tokenizer, const struct weights *weights)
{
    *tokenizer = (struct tokenizer){0};
    struct vocab *vocab = &tokenizer->vocab;
    bool ok = weights_vocab(weights, vocab);
    if (ok && vocab->hf) {
        const struct hf_tokenizer *hf = vocab->hf;
        size_t first = hf->turns ? hf->turned_from : 0;
        ok = (!first || pretoken_from(&tokenizer->first, hf->splits, first, vocab->where)) &&
             pretoken_from(&tokenizer->pretoken, hf->splits + first, hf->split_count - first,
                           vocab->where) &&
             bpe_new(&tokenizer->bpe, vocab, vocab->whole_words) && pieces_build(tokenizer);
        for (size_t i = 0; i < vocab->hf->added_count; i++)
            if (vocab->hf->added[i].content.size)
                tokenizer->special_first[(unsigned char)*vocab->hf->added[i].content.data] = true;
        if (!ok) tokenizer_free(tokenizer);
        return ok;
    }
    if (ok && (vocab->model.size != 4 || memcmp(vocab->model.data, "gpt2", 4) != 0))
        ok = fail(STATUS_BAD_DATA, "%s has a tokenizer of kind %.*s, wanted gpt2 (byte-level BPE)",
                  vocab->where, vocab->model.size < 60 ? (int)vocab->model.size : 60,
                  vocab->model.data);
    ok = ok && pretoken_new(&tokenizer->pretoken, vocab->pre, vocab->where) &&
         bpe_new(&tokenizer->bpe, vocab, pretoken_whole_words(tokenizer->pretoken)) &&
         pieces_build(tokenizer) && specials_build(tokenizer);
    if (!ok) tokenizer_free(tokenizer);
    return ok;
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    pretoken_free(tokenizer->pretoken);
    pretoken_free(tokenizer->first);
    bpe_free(tokenizer->bpe);
    free(tokenizer->pieces);
    free(tokenizer->piece_at);
    free(tokenizer->specials);
    vocab_free(&tokenizer->vocab);
    *tokenizer = (struct tokenizer){0};
}

void token_list_free(struct token_list *list)
{
    free(list->ids);
    free(list->spans);
    *list = (struct token_list){0};
}

// The special token that starts at text, the longest one; NULL if none does.
static const struct bytes *special_find(const struct tokenizer *tokenizer, const char *text,
                                        size_t size, uint32_t *id)
{
    if (!tokenizer->special_first[(unsigned char)*text]) return NULL;
    for (size_t i = 0; i < tokenizer->special_count; i++) {
        const struct bytes *token = &tokenizer->vocab.tokens[tokenizer->specials[i]];
        if (token->size > size || memcmp(token->data, text, token->size) != 0) continue;
        *id = tokenizer->specials[i];
        return token;
    }
    return NULL;
}

struct encoding {
    struct bpe *bpe;
    const char *text;
    size_t start; // of the run of ordinary text
    struct token_list *list;
};

static bool encode_piece(void *context, size_t start, size_t end)
{
    const struct encoding *encoding = context;
    return bpe_append(encoding->bpe, encoding->text, encoding->start + start, encoding->start + end,
                      encoding->list);
}

// Ordinary text from encoding->start to end: no special token in it.
static bool encode_run(const struct tokenizer *tokenizer, struct encoding *encoding, size_t end)
{
    return pretoken_split(tokenizer->pretoken, encoding->text + encoding->start,
                          end - encoding->start, encode_piece, encoding);
}

bool tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
                      unsigned flags, struct token_list *list)
{
    const struct vocab *vocab = &tokenizer->vocab;
    list->count = 0;
    if (size >= UINT32_MAX / 4)
        return fail(STATUS_BAD_DATA, "text of %zu bytes, wanted under 1 GiB in one piece", size);
    if (!utf8_check(text, size)) return false;
    if ((flags & ENCODE_BOS) && vocab->add_bos && vocab->bos >= 0 &&
        !token_list_append(list, (uint32_t)vocab->bos, 0, 0))
        return false;
    if (vocab->hf) return hf_encode(tokenizer, text, size, flags, list);
    struct encoding encoding = {.bpe = tokenizer->bpe, .text = text, .list = list};
    // The leftmost special token first, then what stands before it as ordinary text.
    for (size_t at = 0; at < size && !(flags & ENCODE_PLAIN);) {
        uint32_t id;
        const struct bytes *special = special_find(tokenizer, text + at, size - at, &id);
        if (!special) {
            at++;
            continue;
        }
        if (!encode_run(tokenizer, &encoding, at) ||
            !token_list_append(list, id, at, at + special->size))
            return false;
        at += special->size;
        encoding.start = at;
    }
    return encode_run(tokenizer, &encoding, size);
}

struct bytes tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id)
{
    if (id >= tokenizer->vocab.count) return (struct bytes){"", 0};
    uint32_t start = tokenizer->piece_at[id], end = tokenizer->piece_at[id + 1];
    return (struct bytes){tokenizer->pieces + start, end - start};
}

bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->vocab.count && tokenizer->vocab.types[id] == TOKEN_CONTROL;
}

bool tokenizer_decode(const struct tokenizer *tokenizer, const uint32_t *ids, size_t count,
                      bool skip_specials, char **text, size_t *size)
{
    size_t total = 0;
    *text = NULL;
    for (size_t i = 0; i < count; i++) {
        if (ids[i] >= tokenizer->vocab.count)
            return fail(STATUS_BAD_DATA, "token %u is outside of the vocabulary of %zu tokens",
                        ids[i], tokenizer->vocab.count);
        total += tokenizer_piece(tokenizer, ids[i]).size;
    }
    *text = mem_new(total + 1, 1, "text");
    if (!*text) return false;
    *size = 0;
    for (size_t i = 0; i < count; i++) {
        if (skip_specials && tokenizer_is_special(tokenizer, ids[i])) continue;
        struct bytes piece = tokenizer_piece(tokenizer, ids[i]);
        memcpy(*text + *size, piece.data, piece.size);
        *size += piece.size;
    }
    return true;
}

int64_t token_list_ending(const struct token_list *list, size_t end)
{
    for (size_t i = list->count; i-- > 0;)
        if (list->spans[i].end == end && list->spans[i].start < end) return (int64_t)i;
    return -1;
}
