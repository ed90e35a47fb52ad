// Reporting of edits: JSON lines, answers before and after, provenance.
#pragma once
#include <cjson/cJSON.h>

#include "edit/editor.h"

// One object of everything METHOD asks to be logged of an edit.
cJSON *edit_json(const struct edit *edit);
// The settings of the run: solver, guard, hyper-parameters, contexts, seed; where_json adds the
// device, which does not belong into a file that is the same on all devices.
cJSON *run_json(const struct editor *editor, uint64_t seed);
cJSON *where_json(cJSON *run, const struct editor *editor);
