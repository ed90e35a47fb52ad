// What causal tracing found over several prompts and samples of noise, by classes of tokens.
#pragma once
#include "eval/cause.h"
#include "io/dataset.h"
#include "io/tokenizer.h"

// ROME Fig. 1e. A subject of one token is its last, the prompt's last token is nothing else.
enum token_class {
    CLASS_FIRST, CLASS_MIDDLE, CLASS_LAST, CLASS_NEXT, CLASS_FURTHER, CLASS_END, CLASSES
};
extern const char *const class_names[CLASSES];

enum token_class token_class(uint32_t position, const struct cause_prompt *prompt);

struct located {
    uint32_t layers, prompts, runs; // runs: prompts times samples
    double clean, corrupted;        // means of the answers' probabilities
    double *sums[CAUSE_KINDS];      // indirect effects [CLASSES, layers]
    uint32_t counts[CLASSES];       // summands of each
    double *keys, *streams;         // first token's norm over the others' median [layers], means
};

bool located_new(struct located *located, uint32_t layers);
bool located_add(struct located *located, const struct cause *cause,
                 const struct cause_prompt *prompt);
void located_end(struct located *located); // means of what was added
void located_free(struct located *located);

// Average indirect effect; NAN where no prompt had such a token.
double located_effect(const struct located *located, enum cause_kind kind, enum token_class class,
                      uint32_t layer);
// The layer's keys at the first token are those of an attention sink.
bool located_sink(const struct located *located, uint32_t layer);
// Layers by their MLPs' effect at the subject's last token, best first, sinks last. order: [layers]
void located_rank(const struct located *located, uint32_t *order);

// A request's tokens and subject; no answer as yet. tokens are to be freed.
bool cause_prompt_read(struct cause_prompt *prompt, const struct tokenizer *tokenizer,
                       const struct request *request);
