// Which values of an edit's dW = u w^T are written: all of them, or with the control `zero` a
// random share (O-Edit sec. 5.3, method 2). A mask is a function of seed, edit and place, so that a
// pair and the journal's header say all.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct journal; // its header's names are common words

struct mask {
    uint32_t seed;
    uint32_t zeros; // the share that is left out, of 2^32; 0: nothing is
};

// share: [0, 1)
struct mask mask_of(uint64_t seed, double share);

// Of the run that made a journal. Fails with STATUS_BAD_DATA if its guard is `zero` and its numbers
// are none.
bool mask_read(const struct journal *journal, struct mask *mask);

// Fails with STATUS_USAGE, naming the command, if the journal's edits are more than their pairs.
bool mask_refuse(const struct journal *journal, const char *command);
