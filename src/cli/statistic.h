// C or grad G of a layer as `oedit stats` and `oedit grad` tell of it, measured here or joined from
// shards.
#pragma once
#include "cli/shard.h"
#include "edit/stats.h"

struct statistic {
    struct origin origin;
    bool grad;                            // else C
    uint32_t block, statements, batches;  // of the text
    uint32_t directions;                  // of grad G that are wanted
    double ridge;                         // of C's factor
    uint64_t seed;
};

// Writes args->out and prints the report. c: C [ffn, ffn]  rows: [dim, dim]  values: [dim]
bool statistic_moment(struct device *dev, const struct statistic *s, const struct args *args,
                      struct buffer *c);
bool statistic_directions(struct device *dev, const struct statistic *s, const struct args *args,
                          struct buffer *rows, const float *values);

// Sums the shard's leaves and writes them, with what they are of, to the part's file.
bool statistic_shard(struct opened *o, const struct statistic *s, const struct args *args,
                     struct shard shard, const struct corpus *corpus);
// What a part says it is of, and the sums in it as they follow each other; everything is checked.
bool statistic_read(const struct part_file *part, struct statistic *s);

// Parts that follow each other and are the whole, joined as if they had never been apart: into the
// cache, args->out and the report.
bool statistic_merge(struct part_file *const *parts, uint32_t count, const struct args *args);
