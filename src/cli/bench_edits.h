// Edits to be measured: an editor with its requests, run again and again on the same model.
#pragma once
#include "cli/bench.h"
#include "cli/bench_need.h"
#include "edit/editor.h"

struct edits {
    struct bench *bench;
    struct editor editor;
    struct dataset data;
    char name[48];           // solver and guard
    struct bench_need need;  // of one edit, on the average
    uint32_t steps;          // of all requests of the last run
};

bool edits_open(struct edits *edits, struct bench *bench, const char *solver);
void edits_close(struct edits *edits); // accepts zero

// What one edit takes at least, with the editor's layer and contexts as they are now.
bool edits_need(struct edits *edits);

// All requests one after the other, then everything is undone. before, after: the account.
bool edits_run(struct edits *edits, struct account *before, struct account *after);

// Fills seconds and work of one edit in a phase between two looks at the account.
double edits_phase(const struct edits *edits, const struct account *before,
                   const struct account *after, const char *phase, struct bench_row *row);
