// Rows of `oedit diff`: tensors in which two models or two journals differ.
#pragma once
#include <cjson/cJSON.h>

#include "cli/compare.h"
#include "cli/opened.h"

struct diff_row { // of one tensor
    const char *name, *note;
    uint64_t rows, cols;
    char types[32];
    double base; // |A|_F; 0: not known
    struct size_of size;
};

struct diff {
    cJSON *json; // NULL: print
    uint32_t count;
};

void diff_tell(struct diff *table, const struct diff_row *row);

// What `apply` makes of both journals, args->words. With a guard that finishes what is written
// (PRUNE) that depends on the model: args->model. Opens the device if there is a difference.
bool diff_journals(struct opened *o, const struct args *args, struct diff *table);
