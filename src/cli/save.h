// The edited model as a file: everything as it was but the edited matrix, and where it comes from.
#pragma once
#include "cli/opened.h"
#include "edit/editor.h"
#include "io/dataset.h"

// data (or NULL): the requests, for the provenance.
bool save_model(struct opened *opened, struct editor *editor, const char *path, enum dtype dtype,
                uint64_t seed, const struct dataset *data);
