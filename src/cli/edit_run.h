// Reporting of edits: JSON lines, the settings of a run.
#pragma once
#include <cjson/cJSON.h>

#include "io/journal.h"

// One object of everything METHOD asks to be logged of an edit.
cJSON *edit_json(const struct journal_edit *edit);
// The settings of the run: model, solver, guard, hyper-parameters, contexts, seed, device.
cJSON *run_json(const struct journal_header *header);
