// What likelihoods and writing share, and a task's items answered by writing.
#pragma once
#include "base/log.h"
#include "eval/task.h"

// False, with the prompt's beginning: the text is longer than the model's context.
bool task_fits(const struct task_item *item, size_t tokens, const struct model *model);

// Fills answers[].said, chosen, right, none.
bool task_write(const struct task_items *items, const struct model *model,
                const struct tokenizer *tokenizer, const struct task_options *options,
                struct task_result *result, struct progress *bar);
