// What `oedit eval` measured of one model, here or in shards: a request's scores and a block's loss
// each count as one thing to do, requests first.
#pragma once
#include "cli/shard.h"
#include "eval/measures.h"

struct evaluation {
    unsigned which; // bit m: measure m; perplexity by losses.blocks
    bool base;      // Loc was measured
    uint32_t requests;
    int64_t *ids; // [requests]
    struct marks marks;
    struct losses losses; // zero: no text
};

bool evaluation_new(struct evaluation *e, unsigned which, uint32_t requests);
void evaluation_free(struct evaluation *e); // accepts zero

// Requests and blocks of [first, end) of everything there is to do.
struct evaluation_span {
    uint32_t request, requests_end, block, blocks_end;
};
struct evaluation_span evaluation_span(const struct evaluation *e, uint32_t first, uint32_t end);

// The report on stdout, and as JSON in args->out.
bool evaluation_print(const struct evaluation *e, const struct args *args);

// The part's file. `of` is the object's from now on.
bool evaluation_shard(const struct opened *o, const struct evaluation *e, const struct args *args,
                      struct shard shard, cJSON *of);
// Adds to `of` what evaluation_read needs.
void evaluation_of(const struct evaluation *e, cJSON *of);
