// Cuts text into the pieces that byte-pair merges never cross, by the model's regular expressions.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "io/weights.h"

struct pretoken;

// name is the pre-tokenizer's as the file has it, empty if it has none; `where` is for messages.
bool pretoken_new(struct pretoken **pretoken, struct bytes name, const char *where);
void pretoken_free(struct pretoken *pretoken);

// Whether a piece that is a token as a whole is taken as it is, whatever the merges say.
bool pretoken_whole_words(const struct pretoken *pretoken);

// Calls piece(context, start, end) for every piece of valid UTF-8 text, in order. Not for use by
// two threads at a time.
typedef bool piece_call(void *context, size_t start, size_t end);
bool pretoken_split(const struct pretoken *pretoken, const char *text, size_t size,
                    piece_call *piece, void *context);
