// --match JOURNAL: the knob of a control with which |dW_total|_2 is that of another run (O-Edit
// Tables 2 and 9).
#pragma once
#include "cli/args.h"
#include "cli/opened.h"
#include "edit/sequence.h"
#include "io/journal.h"

struct match {
    struct journal journal; // the other run
    double norm;            // its |dW_total|_2
    double knob;            // found
};

// Refuses what cannot be before a device is opened; opens the journal.
bool match_open(struct match *match, const struct args *args, const struct dataset *data);
void match_close(struct match *match); // accepts zero

// Runs all edits with one knob after the other, MATCH_RUNS times at most, each on the model as it
// was opened, and leaves it so: a run with that knob then has the bits it would have had alone. Tells
// every knob and its norm. A knob that comes in whole numbers may miss by more than the tolerance:
// the nearest is taken with a warning; else STATUS_FAILED. options: but for hparams, which
// come from args.
enum { MATCH_RUNS = 10 };
bool match_find(struct match *match, struct opened *opened, const struct args *args,
                const struct dataset *data, const struct sequence_options *options);
