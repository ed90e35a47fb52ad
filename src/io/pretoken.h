// Cuts text into the pieces that byte-pair merges never cross, by the model's regular expressions.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "io/weights.h"

struct pretoken;

// What becomes of a pattern's matches, as tokenizer.json names it.
enum split_kind { SPLIT_ISOLATED, SPLIT_REMOVED, SPLIT_PREVIOUS, SPLIT_NEXT, SPLIT_CONTIGUOUS };

struct split {
    const char *pattern; // terminated
    bool literal;        // a text to be found as it is, rather than a regular expression
    bool ours;           // made for PCRE2, rather than for Oniguruma
    bool invert;         // what lies between matches is what `kind` means
    enum split_kind kind;
};

extern const char *const pretoken_number; // one number by itself, ours

// name is the pre-tokenizer's as the file has it, empty if it has none; `where` is for messages.
bool pretoken_new(struct pretoken **pretoken, struct bytes name, const char *where);
void pretoken_free(struct pretoken *pretoken);

// The splits one after the other, each within the pieces of the one before.
bool pretoken_from(struct pretoken **pretoken, const struct split *splits, size_t count,
                   const char *where);

// Whether a piece that is a token as a whole is taken as it is, whatever the merges say.
bool pretoken_whole_words(const struct pretoken *pretoken);

// Calls piece(context, start, end) for every piece of valid UTF-8 text, in order. Not for use by
// two threads at a time.
typedef bool piece_call(void *context, size_t start, size_t end);
bool pretoken_split(const struct pretoken *pretoken, const char *text, size_t size,
                    piece_call *piece, void *context);
