// Ctrl-C, SIGTERM and a terminal's end as a question that long work asks itself between its steps.
#pragma once
#include <stdbool.h>

// From now on the first SIGINT, SIGTERM or SIGHUP is only noted; a second one of the first two ends
// the process.
void interrupt_watch(void);

// Before a read that may take as long as a person does: a signal only ends the read, and what
// came before is forgotten. interrupt_watch follows the read.
void interrupt_wait(void);

// Whether Ctrl-C came. If so it is forgotten, and the next signal is noted as the first one was:
// what it was to stop is over.
bool interrupt_by_person(void);

// False, with STATUS_INTERRUPTED, once a signal came. To be asked where stopping loses nothing.
bool interrupt_check(void);
