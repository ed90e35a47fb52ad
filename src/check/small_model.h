// A model made of nothing but integers, for `oedit selftest`: three layers, a vocabulary of whole
// words, weights in four types. The same file on every machine.
#pragma once
#include <stdbool.h>
#include <stdint.h>

bool small_model_write(const char *path); // as GGUF

// Some text for its statistics: tokens, to be freed. NULL on failure.
uint32_t *small_model_text(uint32_t count);

// Facts made of its words.
struct small_fact {
    const char *prompt, *subject, *target;
};
enum { SMALL_FACTS = 3 };
extern const struct small_fact small_facts[SMALL_FACTS];
