// What the model answers to each request's prompt, before and after the edits.
#pragma once
#include <cjson/cJSON.h>

#include "io/dataset.h"
#include "io/tokenizer.h"
#include "model/model.h"

// Tokens of an answer, prompts at once.
enum { ANSWER_TOKENS = 6, ANSWERS_TOGETHER = 32 };

struct answers {
    uint32_t count;
    uint32_t **prompts; // token ids [count][lengths]
    uint32_t *lengths;
    char **before, **after; // [count]
};

// Only the prompts' tokens, for what asks no unedited model.
bool answers_prompts(struct answers *answers, const struct tokenizer *tokenizer,
                     const struct dataset *data);
bool answers_before(struct answers *answers, const struct model *model,
                    const struct tokenizer *tokenizer, const struct dataset *data);
// As often as wanted: the last answers count.
bool answers_after(struct answers *answers, const struct model *model,
                   const struct tokenizer *tokenizer);
void answers_print(const struct answers *answers, const struct dataset *data);
cJSON *answers_json(const struct answers *answers, const struct dataset *data);
void answers_free(struct answers *answers);
