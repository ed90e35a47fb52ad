#include "ops/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

static void look(struct watch *w, struct cmd *cmd, const struct dispatch *d, uint64_t address)
{
    struct buffer *buffer = buffer_at(cmd->dev, address);
    uint64_t count = (buffer->address + buffer->wanted - address) / 4;
    if (!mem_grow(&w->places, &w->place_capacity, w->place_count + 1, sizeof *w->places,
                  "places")) {
        w->failed = true;
        return;
    }
    w->places[w->place_count++] = (struct fault){.op = d->name, .buffer = buffer->name,
                                                 .part = cmd->part, .number = cmd->number,
                                                 .count = count};
    op_watch(cmd, (struct watch_args){.x = address, .fault = w->words->address,
                                      .n = count < UINT32_MAX ? (uint)count : UINT32_MAX,
                                      .step_ = 1, .place = (uint)w->place_count});
}

// Looks at each buffer that the dispatch wrote, from where it wrote to the end.
static void recorded(void *user, struct cmd *cmd, const struct dispatch *d)
{
    struct watch *w = user;
    if (w->looking || strcmp(d->name, op_names[OP_watch]) == 0) return;
    w->looking = true;
    for (size_t i = 0; d->access[i]; i++) {
        uint64_t address;
        memcpy(&address, (const char *)d->push + i * sizeof address, sizeof address);
        if (d->access[i] != 'r') look(w, cmd, d, address);
    }
    w->looking = false;
}

bool watch_start(struct watch *w, struct device *dev)
{
    static const uint32_t none[FAULT_WORDS];
    *w = (struct watch){.dev = dev};
    if (!buffer_from(dev, none, sizeof none, "a fault", &w->words)) return false;
    dev->recorded = recorded;
    dev->recorded_user = w;
    dev->clear_new = true;
    return true;
}

static bool fault_fail(const struct fault *f, const char *who, const char *remedy)
{
    char part[64] = "";
    if (f->part && f->number == CMD_NO_NUMBER)
        snprintf(part, sizeof part, "%s, ", f->part);
    else if (f->part)
        snprintf(part, sizeof part, "%s %u, ", f->part, f->number);
    return fail(STATUS_BAD_DATA,
                "%s: %s%s to '%s': %u of %llu values are NaN, infinite or over 1e18 (the first is "
                "number %u), wanted finite ones%s%s",
                who, part, f->op, f->buffer, f->bad, (unsigned long long)f->count, f->first,
                remedy ? "; " : "", remedy ? remedy : "");
}

bool watch_end(struct watch *w, const char *who, const char *remedy)
{
    uint32_t words[FAULT_WORDS] = {0};
    struct device *dev = w->dev;
    struct fault found = {0};
    if (dev) {
        dev->recorded = NULL;
        dev->recorded_user = NULL;
        dev->clear_new = false;
    }
    bool ok = dev && w->words && !w->failed &&
              buffer_read(dev, w->words, 0, words, sizeof words);
    if (ok && words[FAULT_PLACE]) {
        found = w->places[words[FAULT_PLACE] - 1];
        found.bad = words[FAULT_COUNT];
        found.first = words[FAULT_FIRST];
    }
    if (dev) buffer_free(dev, &w->words);
    free(w->places);
    *w = (struct watch){0};
    if (ok && found.op) return fault_fail(&found, who, remedy);
    return fail(STATUS_FAILED,
                "%s: a value was not finite, but none is when the same is computed again: the "
                "device or its driver does not repeat itself",
                who);
}
