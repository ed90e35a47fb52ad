// Byte-pair merges over a byte-level vocabulary, and the alphabet that such vocabularies use.
#pragma once
#include "io/tokenizer.h"

// Byte-level vocabularies write each byte as one visible character: most stand for themselves,
// the others for U+0100 and up. byte_alphabet fills in the character of every byte.
void byte_alphabet(uint16_t alphabet[static 256]);

bool bpe_new(struct bpe **bpe, const struct vocab *vocab, bool whole_words);
void bpe_free(struct bpe *bpe);

// Appends the tokens of one piece of text, text[start, end).
bool bpe_append(struct bpe *bpe, const char *text, size_t start, size_t end,
                struct token_list *list);
bool token_list_append(struct token_list *list, uint32_t id, size_t start, size_t end);
