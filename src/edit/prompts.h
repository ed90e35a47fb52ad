// One request as token rows: its prompt behind each prefix, and the essence prompt of the KL term.
#pragma once
#include "io/dataset.h"
#include "io/tokenizer.h"

// A prompt with its target but for the last token of it (what is not fed is not needed).
struct prompt {
    uint32_t *tokens; // [count]
    uint32_t count;
    uint32_t given;   // tokens of the prompt itself; the rest is target
    uint32_t lookup;  // the subject's last token
};

struct prompts {
    struct prompt *items; // [count]: plain, prefixed ones, and last the KL prompt
    uint32_t count;
    uint32_t *target;     // [target_count]
    uint32_t target_count;
};

// `prefixes`: texts s_j; prompt j is s_j + ". " + prompt (METHOD 1.1). A subject that does not end
// on a token boundary fails with STATUS_BAD_DATA, naming prompt, subject and the tokens.
bool prompts_new(struct prompts *prompts, const struct tokenizer *tokenizer,
                 const struct request *request, char *const *prefixes, uint32_t prefix_count);
void prompts_free(struct prompts *prompts);

// The tokens of " " + text, as it continues a prompt; EasyEdit's and ROME's rule.
bool prompts_continuation(const struct tokenizer *tokenizer, const char *text,
                          struct token_list *list);
