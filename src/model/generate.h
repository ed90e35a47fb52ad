// Text from the model: many texts at once, greedy or sampled.
#pragma once
#include "model/forward.h"

// One text: its prompt, then what was generated behind it.
struct generated {
    uint32_t *tokens; // [count]
    uint32_t count, prompt;
    bool stopped; // by a stop token, which is not kept, or by `enough`
};

struct generate_options {
    uint32_t tokens;      // new ones, at most
    uint32_t top;         // sampled among this many best; 1: greedy
    float temperature;    // 0: greedy
    uint64_t seed;
    const uint32_t *stop; // ids that end a text
    uint32_t stop_count;
    // Or NULL: says of a text, after each token of it, whether it is long enough.
    bool (*enough)(void *user, const struct generated *text);
    void *user;
};

// texts[i].tokens holds the prompt of texts[i].count tokens in memory from malloc, which is grown.
// All texts advance together, in one batch. `bar` (or NULL) is stepped a generated token.
struct progress;
bool generate(const struct model *model, struct generated *texts, size_t count,
              const struct generate_options *options, struct progress *bar);
