#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/status.h"
#include "cli/commands.h"
#include "vk/device.h"

enum { DEVICES_MAX = 32 };

static bool print_json(const struct device_info *infos, uint32_t count)
{
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "devices");
    for (uint32_t i = 0; i < count; i++) {
        cJSON *d = cJSON_CreateObject();
        cJSON_AddNumberToObject(d, "index", i);
        cJSON_AddStringToObject(d, "name", infos[i].name);
        cJSON_AddStringToObject(d, "driver", infos[i].driver);
        cJSON_AddStringToObject(d, "type", infos[i].type);
        cJSON_AddStringToObject(d, "vulkan", infos[i].version);
        cJSON_AddNumberToObject(d, "memory", (double)infos[i].memory);
        cJSON_AddNumberToObject(d, "largest_allocation", (double)infos[i].allocation);
        cJSON_AddNumberToObject(d, "subgroup", infos[i].subgroup);
        cJSON_AddNumberToObject(d, "shared_memory", infos[i].shared_bytes);
        cJSON_AddNumberToObject(d, "invocations", infos[i].invocations);
        cJSON_AddBoolToObject(d, "matrix_units", infos[i].matrix_units);
        json_append(list, d);
    }
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

bool command_devices(const struct args *args)
{
    struct device_info infos[DEVICES_MAX];
    uint32_t count = 0;
    if (!device_list(infos, DEVICES_MAX, &count)) return false;
    if (args->json && !print_json(infos, count)) return false;
    for (uint32_t i = 0; i < count && !args->json; i++) {
        const struct device_info *d = &infos[i];
        printf("%u: %s | %s | %s | Vulkan %s | %llu MiB, %llu MiB at once | subgroup %u | "
               "%u threads, %u KiB shared a workgroup | matrix units: %s\n",
               i, d->name, d->driver, d->type, d->version, (unsigned long long)(d->memory >> 20),
               (unsigned long long)(d->allocation >> 20), d->subgroup, d->invocations,
               d->shared_bytes >> 10, d->matrix_units ? "yes" : "no");
    }
    if (count == 0) return fail(STATUS_NO_DEVICE, "no Vulkan device: the loader found no driver");
    return true;
}
