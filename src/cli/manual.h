// The manual page oedit(1), written from the tables of commands and options.
#pragma once
#include <stddef.h>

#include "cli/commands.h"

void manual_print(const struct command *commands, size_t count); // man(7) on stdout
