// A journal's edits as a LoRA adapter.
#pragma once
#include "cli/args.h"
#include "cli/opened.h"
#include "io/journal.h"

// Writes args->lora and args->peft, those that are given, of args->rank (0: as many as there are
// edits). Weights and device of `opened` are open.
bool journal_adapter(const struct journal *journal, struct opened *opened, const struct args *args);
