#include "cli/chosen.h"

#include <stdio.h>
#include <string.h>

#include "base/process.h"
#include "base/status.h"
#include "vk/device.h"

enum { DEVICES_MAX = 32 };

static bool add(struct chosen *c, const struct device_info *infos, uint32_t index)
{
    if (c->count == CHOSEN_MOST)
        return fail(STATUS_USAGE, "--device: more than %d devices", CHOSEN_MOST);
    c->devices[c->count].index = index;
    snprintf(c->devices[c->count].name, sizeof c->devices->name, "%s", infos[index].name);
    c->count++;
    return true;
}

// All GPUs; where there is none, all.
static bool add_all(struct chosen *c, const struct device_info *infos, uint32_t count)
{
    enum { CPU = 4 };
    bool gpu = false, ok = true;
    for (uint32_t i = 0; i < count; i++) gpu = gpu || infos[i].rank < CPU;
    for (uint32_t i = 0; ok && i < count; i++)
        if (!gpu || infos[i].rank < CPU) ok = add(c, infos, i);
    return ok;
}

static bool add_listed(struct chosen *c, const struct device_info *infos, uint32_t count,
                       const char *list)
{
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char word[256];
        uint32_t index;
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        if (!*word) return fail(STATUS_USAGE, "--device: got '%s', wanted devices as in 0,1", list);
        if (!device_pick(infos, count, word, &index) || !add(c, infos, index)) return false;
    }
    return true;
}

bool chosen_read(struct chosen *c, const struct args *args)
{
    struct device_info infos[DEVICES_MAX];
    uint32_t count = 0, index;
    const bool all = args->device && strcmp(args->device, "all") == 0;
    *c = (struct chosen){0};
    if (!args->device || (!all && !strchr(args->device, ','))) return true;
    if (!device_list(infos, DEVICES_MAX, &count)) return false;
    if (count > DEVICES_MAX) count = DEVICES_MAX;
    if (!count) return fail(STATUS_NO_DEVICE, "no Vulkan device: the loader found no driver");
    if (!all && device_pick(infos, count, args->device, &index)) return true; // a name with a comma
    status_clear();
    if (!(all ? add_all(c, infos, count) : add_listed(c, infos, count, args->device)) ||
        !process_possible())
        return false;
    if (args->trace || args->profile)
        return fail(STATUS_USAGE, "--%s is of one process, got %u devices",
                    args->trace ? "trace" : "profile", c->count);
    return true;
}
