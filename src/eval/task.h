// Downstream tasks without examples (Fig. 3 of the O-Edit paper), asked of a live model.
#pragma once
#include "io/task_file.h"
#include "io/tokenizer.h"
#include "model/model.h"

// The likelier answer, all of them being given: letters, a last word whose every token is on top;
// or what the model writes by itself, read as the paper's harness does. Numbers are always written.
enum task_choose { CHOOSE_LIKELIHOOD, CHOOSE_GENERATE };

struct task_options {
    enum task_choose choose;
    uint32_t tokens; // generated at most; 0: as the form says
};

// What the model made of one item.
struct task_answer {
    bool right, none; // none: the text has no letter, word or number in it
    int32_t chosen;   // a choice, counted from 0; -1: none, or no choice
    char *said;       // generated text; NULL: likelihoods were asked
    double *likelihoods; // log P(answer | prompt) of the choices; of a word: its own; NULL: none
};

struct task_result {
    struct task_answer *answers; // [count]
    uint32_t count, right, none;
    double accuracy, error; // share of right ones, and its standard error
};

// Asks all items, in batches. May be called again for another state of the model.
bool task_run(const struct task_items *items, const struct model *model,
              const struct tokenizer *tokenizer, const struct task_options *options,
              struct task_result *result);
void task_result_free(struct task_result *result); // accepts zero

// The choice a generated text names: the first of the letters A ... (`choices` of them) that stands
// alone. Behind the text's beginning "A" and "I" before a small letter are words. -1: none.
int32_t choice_read(const char *text, uint32_t choices);

// The first word of a text without what stands around it ("'signs'." is signs). False: none.
bool word_first(const char *text, const char **word, size_t *size);
