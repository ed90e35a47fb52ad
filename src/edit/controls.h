// Controls (O-Edit sec. 5.3, Tables 2 and 9): guards that make dW_total smaller and know nothing of
// what they should stay clear of. Each has one knob, hparams.knob.
#pragma once
#include "edit/editor.h"

struct control {
    const struct guard *guard;
    const char *knob;   // what it is, for messages
    double least, most; // it lies over the one and not over the other
    bool open;          // and under `most`
    bool whole;         // it is a whole number
    bool optional;      // without it the guard does something of its own
    bool falls;         // |dW_total| falls while it grows
};

extern const struct control controls[];
enum { CONTROLS = 4 };
const struct control *control_find(const char *guard); // NULL: is none

// The hyper-parameters as the guard has them: `fewer-steps` sets the steps. Fails with STATUS_USAGE
// on a knob that is none, or is missing. Once more changes nothing.
bool control_settle(struct hparams *hparams, const char *guard);
