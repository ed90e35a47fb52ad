#include "cli/shard_devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/workers.h"

// A device that is faster than others takes more shards; more of them load the model more often.
enum { A_DEVICE = 2, SHARDS_MOST = CHOSEN_MOST * A_DEVICE };

struct shards {
    struct task tasks[SHARDS_MOST];
    char ids[SHARDS_MOST][32], words[SHARDS_MOST][24];
    char *parts[SHARDS_MOST];
    uint32_t count;
};

static bool shards_plan(struct shards *s, const struct args *args, uint32_t count)
{
    for (; s->count < count; s->count++) {
        const uint32_t i = s->count;
        char name[80];
        snprintf(s->words[i], sizeof s->words[i], "%u/%u", i + 1, count);
        snprintf(s->ids[i], sizeof s->ids[i], "shard %u/%u", i + 1, count);
        snprintf(name, sizeof name, "%.20s-%u-%u-of-%u.part", args->line[0], (unsigned)getpid(),
                 i + 1, count);
        if (!(s->parts[i] = options_cache_path(name))) return false;
        s->tasks[i] = (struct task){.id = s->ids[i],
                                    .words = {"--shard", s->words[i], "--out", s->parts[i]}};
    }
    return true;
}

bool shard_devices(const struct args *args, const struct chosen *devices)
{
    if (args->shard)
        return fail(STATUS_USAGE, "--shard: wanted one device, got %u", devices->count);
    struct shards *s = mem_new(1, sizeof *s, "shards");
    struct args merged = *args;
    char device[16];
    snprintf(device, sizeof device, "%u", devices->devices[0].index);
    bool ok = s && shards_plan(s, args, devices->count * A_DEVICE);
    if (ok) {
        struct workers workers = {.args = args, .devices = devices, .tasks = s->tasks,
                                  .count = s->count, .what = "shard"};
        merged.device = device;
        merged.words = (const char *const *)s->parts;
        merged.word_count = (int)s->count;
        ok = workers_run(&workers) && command_merge(&merged);
    }
    for (uint32_t i = 0; s && i < SHARDS_MOST; i++) {
        if (s->parts[i]) unlink(s->parts[i]);
        free(s->parts[i]);
    }
    free(s);
    return ok;
}
