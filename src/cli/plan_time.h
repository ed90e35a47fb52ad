// How long an edit takes at least, from its work and what the device was measured to do.
#pragma once
#include "cli/plan.h"

struct plan_time {
    double flops, bytes;           // of an edit that takes all its steps
    double peak_flops, peak_bytes; // a second, by the probes of `oedit bench`
    double seconds;                // each part at the peak that holds it back
};

// Only for solvers that optimise a value; the others leave *time zero. Runs the probes.
bool plan_time(const struct plan *plan, struct opened *o, const struct args *args,
               const struct dataset *data, struct plan_time *time);
