// Text to token ids and back: BPE as the model's file describes it.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "io/weights.h"

struct pretoken;
struct bpe;

// Bytes [start, end) of the text that a token stands for. A BOS token has start = end = 0.
struct span {
    uint32_t start, end;
};

struct token_list {
    uint32_t *ids;      // [count]
    struct span *spans; // [count]
    size_t count, id_capacity, span_capacity;
};

enum encode_flags {
    ENCODE_BOS = 1,   // puts the BOS token first, if the model wants one (add_bos)
    ENCODE_PLAIN = 2, // the text of a special token is ordinary text
    ENCODE_CONTINUES = 4, // the text goes on with another: nothing is put before it
};

struct tokenizer {
    struct vocab vocab; // points into the weights, which must stay open
    struct pretoken *pretoken;
    struct pretoken *first; // what cuts before the text is changed; NULL: nothing does
    struct bpe *bpe;
    char *pieces;       // the bytes of all tokens
    uint32_t *piece_at; // [count + 1]
    uint32_t *specials; // ids of the tokens that are matched in the raw text, longest first
    size_t special_count;
    bool special_first[256]; // the first bytes of all specials
};

bool tokenizer_open(struct tokenizer *tokenizer, const struct weights *weights);
void tokenizer_free(struct tokenizer *tokenizer);

// Replaces the list's contents. Text that is not UTF-8 is refused with the byte's offset.
bool tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t size,
                      unsigned flags, struct token_list *list);
void token_list_free(struct token_list *list);

// The bytes of ids[0..count), terminated by a '\0' that *size does not count; to be freed. A
// token may end inside a UTF-8 character. Ids outside of the vocabulary are refused.
bool tokenizer_decode(const struct tokenizer *tokenizer, const uint32_t *ids, size_t count,
                      bool skip_specials, char **text, size_t *size);

// The bytes of one token (empty if the id is outside), and whether it is a control token.
struct bytes tokenizer_piece(const struct tokenizer *tokenizer, uint32_t id);
bool tokenizer_is_special(const struct tokenizer *tokenizer, uint32_t id);

// The token that ends exactly at byte `end` of the text, or -1 if none does (no token boundary).
int64_t token_list_ending(const struct token_list *list, size_t end);
