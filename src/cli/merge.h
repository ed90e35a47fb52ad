// Inside of cli/merge*.c: what is done with the parts once they fit together.
#pragma once
#include "cli/args.h"
#include "io/part.h"

// Parts of `oedit eval`, which follow each other and are the whole: the report.
bool merge_eval(struct part_file *const *parts, uint32_t count, const struct args *args);
