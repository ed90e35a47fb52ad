// A task's items answered by writing.
#pragma once
#include "base/log.h"
#include "eval/task.h"

// Fills answers[].said, chosen, right, none.
bool task_write(const struct task_items *items, const struct model *model,
                const struct tokenizer *tokenizer, const struct task_options *options,
                struct task_result *result, struct progress *bar);
