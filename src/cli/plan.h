// What a run of `oedit edit` will take, before it begins.
#pragma once
#include "cli/opened.h"
#include "edit/need.h"
#include "io/dataset.h"

struct plan {
    struct need need;
    struct need_run run;
    struct hparams hparams;
    struct need_request *requests;
};

// Of the files that are open and what the command line says; no device is asked. settings.h and
// the requests fail as they would in the run.
bool plan_make(struct plan *plan, struct opened *o, const struct args *args,
               const struct dataset *data);
// opened_start for commands that sum C or grad G, or make edits that are not known beforehand: with
// --vram, room is left for MEMIT with O-Edit+ and requests of common length.
bool plan_start(struct opened *o, const struct args *args);
void plan_free(struct plan *plan);

// Whether the device holds it; otherwise STATUS_NO_MEMORY, with the nearest setting that fits.
bool plan_fits(const struct plan *plan, const struct device_info *device);

// The same at the beginning of a run, as a warning: statistics from the cache take less than they
// are counted for.
bool plan_look(struct opened *o, const struct args *args, const struct dataset *data);
