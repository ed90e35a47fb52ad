// A few facts in words that every tiny model knows, as requests of the double-precision editor.
#pragma once
#include "io/tokenizer.h"
#include "ref_edit.h"

enum { FACTS = 3, FACT_CONTEXTS = 3 };

extern const char *const fact_contexts[FACT_CONTEXTS]; // prefixes of their prompts
extern const char *const facts[FACTS][3];              // prompt, subject, new answer

void fact_request(const struct tokenizer *tokenizer, uint32_t number, struct ref_request *request);
void fact_request_free(struct ref_request *request);
