// A case, run by a device or in plain C, and what its outputs are worth.
#pragma once
#include "check/cases.h"

// What stands in the buffers afterwards, by pointer; NULL for inputs.
struct outputs {
    uint32_t *words[CMD_POINTERS_MAX]; // of a device, or of the operators in C
    double *exact[CMD_POINTERS_MAX];   // of those in double precision, where made.buffers[i].floats
};
void outputs_free(struct outputs *outputs);

// Runs the case on made.dev. Fails where the device does; *outside says what else it changed: a
// word beside its outputs ("" if none).
enum { TRIAL_TEXT = 160 };
bool trial_device(uint32_t number, const struct made *made, struct outputs *outputs,
                  char outside[TRIAL_TEXT]);

// In plain C with the bits of strict numbers, or in double precision. *known: whether there is one.
bool trial_float(const struct made *made, struct outputs *outputs, bool *known);
bool trial_double(const struct made *made, struct outputs *outputs, bool *known);

// XXH3 (64 bits) over all outputs in order.
uint64_t trial_digest(const struct made *made, const struct outputs *outputs);

struct trial_error {
    double ulp;      // most, in units in the last place of the exact number
    double relative; // most of all, beside the largest exact number of that output
    double part;     // most, as a part of the bound; over 1: wrong
    char where[TRIAL_TEXT]; // the first element that is wrong, "" if none
};

// Outputs of fast numbers beside the exact ones.
void trial_compare(uint32_t number, const struct made *made, const struct outputs *got,
                   const struct outputs *exact, struct trial_error *error);
