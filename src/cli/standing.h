// The word "demo" on the command line: the model, requests and text that lie in the program.
#pragma once
#include "cli/args.h"

// Puts embedded names for the word (base/embedded.h), the demo's text where its model is given
// without one, and its model where a command only reads one and none is given.
void standing_take(struct args *args, unsigned command);
