// Hyper-parameters as the command line leaves them.
#pragma once
#include "cli/args.h"
#include "edit/sequence.h"

bool settings_open(struct hparams *hparams, const struct args *args, const struct config *config);
const char *settings_solver(const struct args *args);
const char *settings_guard(const struct args *args);

// Of a run of edits, all but the hyper-parameters and grad.
struct sequence_options settings_sequence(const struct args *args, bool strict);
