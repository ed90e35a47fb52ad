// Ctrl-C and SIGTERM as a question that long work asks itself between its steps.
#pragma once
#include <stdbool.h>

// From now on the first SIGINT or SIGTERM is only noted; a second one ends the process.
void interrupt_watch(void);

// False, with STATUS_INTERRUPTED, once a signal came. To be asked where stopping loses nothing.
bool interrupt_check(void);
