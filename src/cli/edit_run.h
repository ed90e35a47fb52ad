// Reporting of edits: JSON lines, answers before and after, provenance.
#pragma once
#include <cjson/cJSON.h>

#include "edit/editor.h"

// One object of everything METHOD asks to be logged of an edit.
cJSON *edit_json(const struct edit *edit);
// The settings of the run: solver, guard, hyper-parameters, contexts, seed, device.
cJSON *run_json(const struct editor *editor, uint64_t seed);
