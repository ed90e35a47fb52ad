// The digests that strict numbers must have: assets/digests.tsv, or another file of that form:
// lines of operator, case and 16 hexadecimal digits between tabs. '#' begins a comment.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct digest {
    const char *op, *name;
    uint64_t value;
};

struct digests {
    struct digest *rows; // [count]
    size_t count, capacity;
    char *text; // the file's, which rows point into
};

bool digests_open(struct digests *digests, const char *path); // NULL: the embedded ones
void digests_free(struct digests *digests);

// NULL if there is none.
const struct digest *digests_find(const struct digests *digests, const char *op, const char *name);

// The same file from what the operators in C give: one line a case that they have.
bool digests_write(FILE *to);
