// Inside of edit/need.h: what its two halves share.
#pragma once
#include "edit/need.h"

// Sets of phases: one, from one on, from one to another.
#define AT(phase) (1u << (phase))
#define FROM(phase) ((AT(NEED_PHASES) - 1) & ~(AT(phase) - 1))
#define SPAN(first, last) (FROM(first) & ~FROM((last) + 1))

struct need_work {
    struct need *need;
    const struct need_run *run;
    const struct config *c;
    const struct hparams *h;
    uint64_t dim, ffn, sites, top;          // edited layers; the highest of them
    uint64_t prefixes, prefix_tokens, prefix_longest;
    struct rows prepared;                   // the largest batch of requests
    uint64_t pairs;                         // of one edit, at most
};

void need_item(struct need *need, const char *name, unsigned phases, struct amount device,
               uint64_t host);
uint64_t need_stored(const struct need_work *work, const struct tensor *tensor); // its bytes

// Edits and what guards remember of them, behind the text's statistics.
void need_edits(struct need_work *work);
