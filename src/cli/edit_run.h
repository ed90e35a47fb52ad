// Reporting of edits: JSON lines, the settings of a run.
#pragma once
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "io/dataset.h"
#include "io/journal.h"
#include "vk/device.h"

// One object of everything METHOD asks to be logged of an edit.
cJSON *edit_json(const struct journal_edit *edit);
// The settings of the run: model, solver, guard, hyper-parameters, contexts, seed; where_json adds
// the device, which the journal of a strict run leaves out: it is the same on all of them.
cJSON *run_json(const struct journal_header *header);
cJSON *where_json(cJSON *run, const struct device *dev);

// What the command line asks to be edited: --requests, or --prompt, --subject and --target.
bool edit_requests(struct dataset *data, const struct args *args);
