// Text as blocks of tokens, for C and grad G.
#pragma once
#include "io/tokenizer.h"
#include "model/model.h"

struct corpus {
    uint32_t *tokens; // [count]
    uint32_t count, block; // the last block may be shorter
    uint32_t *starts;      // where each text begins [start_count]; NULL: one text, cut into blocks
    uint32_t start_count;
    uint64_t id;           // hash of tokens, starts and block
    bool unkept;           // what is made of it neither comes from the cache nor goes there
    char source[64];       // for messages: where it is from
};

// The first `limit` tokens of a file; fewer, said so, if the file is shorter.
bool corpus_from_file(struct corpus *corpus, const struct tokenizer *tokenizer, const char *path,
                      uint32_t limit, uint32_t block);
// `count` given tokens, copied.
bool corpus_from_ids(struct corpus *corpus, const uint32_t *ids, uint32_t count, uint32_t block);
// At least `limit` tokens sampled from the model itself, 32 texts at a time; kept in the cache.
bool corpus_from_model(struct corpus *corpus, struct model *model, struct weights *weights,
                       const struct tokenizer *tokenizer, uint32_t limit, uint64_t seed);
void corpus_identify(struct corpus *corpus); // sets id
void corpus_free(struct corpus *corpus);
// Its first `limit` tokens, in the same memory: not to be freed.
struct corpus corpus_part(const struct corpus *corpus, uint32_t limit);

uint32_t corpus_blocks(const struct corpus *corpus);
// Block i as [begin, end) of tokens.
void corpus_block(const struct corpus *corpus, uint32_t i, uint32_t *begin, uint32_t *end);
