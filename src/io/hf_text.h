// Text on its way through a tokenizer.json: changed, while each byte knows where it came from.
#pragma once
#include "io/hf_tokenizer.h"
#include "io/tokenizer.h"

// start[i], end[i]: bytes of the original that byte i stands for.
struct mapped {
    char *text;
    uint32_t *start, *end; // [size]
    size_t size, text_room, start_room, end_room;
};

void mapped_free(struct mapped *mapped);

// The normaliser's steps over original[start, start + size). plain: nothing is prepended.
bool hf_normalize(const struct hf_tokenizer *hf, const char *original, size_t start, size_t size,
                  bool plain, struct mapped *result);

// An added token's content as the normaliser leaves it.
bool hf_normalized(const struct hf_tokenizer *hf, struct bytes content, struct added *added);

// Appends the tokens of a text; flags as tokenizer_encode has them, BOS apart.
bool hf_encode(const struct tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
               struct token_list *list);
