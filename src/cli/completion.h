// Completions for shells, written from the tables of commands and options.
#pragma once
#include <stddef.h>

#include "cli/commands.h"

// The script for "bash", "zsh" or "fish" on stdout; another name is STATUS_USAGE.
bool completion_print(const struct command *commands, size_t count, const char *shell);
