// --shard I/N: part I, from 1 on, of N, and its file.
#pragma once
#include "cli/args.h"
#include "cli/opened.h"
#include "io/part.h"

struct shard {
    uint32_t i, n; // n 0: not said
};

// args->shard; fails with STATUS_USAGE.
bool shard_parse(const struct args *args, struct shard *shard);

// [first, end) of `whole` things. The shards 1/n to n/n follow each other and are all of them.
void shard_range(struct shard shard, uint32_t whole, uint32_t *first, uint32_t *end);

// A part's object (io/part.h), to be freed. `of` is `command`'s, which gets the members that all
// have: command, version, precision, whole; may be NULL, and is the object's from now on.
cJSON *shard_about(const struct opened *o, struct shard shard, const char *command, uint32_t whole,
                   cJSON *of);

// args->out, or COMMAND-I-of-N.part in `room`.
const char *shard_path(const struct args *args, struct shard shard, const char *command,
                       char room[static 64]);
