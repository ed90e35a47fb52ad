#include "vk/hazard.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "vk/buffer.h"
#include "vk/cmd.h"

enum stage { SHADER, COPY, HOST, STAGES };
// Kind of an access: 2 * stage, and 1 more if it writes.
enum { KINDS = 2 * STAGES };

struct event { // a dispatch, a copy or a barrier
    const char *name; // NULL: a barrier
    enum stage stage;
    uint32_t count;
    struct access {
        uint64_t address;
        bool reads, writes;
    } access[CMD_POINTERS_MAX];
    uint32_t from, to;               // of a barrier: bits by kind
    uint32_t from_stages, to_stages; // bits by stage
};

struct record { // a command buffer
    struct hazard *owner;
    VkCommandBuffer commands;
    struct event *events, next; // next: announced by hazard_dispatch
    size_t count, capacity;
};

struct fence {
    VkFence handle;
    uint64_t submit;
};

struct hazard {
    struct hazard *next;
    struct device *dev;
    struct VolkDeviceTable vk; // as it was
    struct record *records;
    size_t record_count, record_capacity;
    struct fence *fences;
    size_t fence_count, fence_capacity;
    uint64_t now, submits, waited;     // numbers of the last event, submit, and one waited for
    uint64_t visible[KINDS][KINDS];    // the last barrier from this kind of access to that one
    uint64_t finished[STAGES][STAGES]; // the last barrier between these stages
};

// Vulkan's entry points carry no pointer of ours: a command buffer must be found here.
static struct hazard *checked;

static struct record *record_of(VkCommandBuffer commands)
{
    for (struct hazard *h = checked; h; h = h->next)
        for (size_t i = 0; i < h->record_count; i++)
            if (h->records[i].commands == commands) return &h->records[i];
    return NULL;
}

static void report(struct hazard *h, const char *order, const char *what, const char *verb,
                   const struct buffer *buffer, const char *other, const char *missing)
{
    h->dev->validation_errors++;
    log_warn("validation: %s: %s %s '%s', which %s %s, %s", order, what, verb, buffer->name, other,
             strcmp(order, "write after read") == 0 ? "read" : "wrote", missing);
}

static bool check_writes(struct hazard *h, const struct buffer *buffer, enum stage stage,
                         bool writes, const char *what)
{
    const struct hazard_use *use = &buffer->use;
    bool missing = use->written && h->visible[use->write_kind][2 * stage + writes] <= use->written;
    if (missing)
        report(h, writes ? "write after write" : "read after write", what,
               writes ? "writes" : "reads", buffer, use->writer, "without a barrier between them");
    return !missing;
}

static void check_reads(struct hazard *h, const struct buffer *buffer, enum stage stage,
                        const char *what)
{
    const struct hazard_use *use = &buffer->use;
    for (int from = SHADER; from <= COPY; from++)
        if (use->read[from] && h->finished[from][stage] <= use->read[from] &&
            use->read_submit[from] > h->waited)
            report(h, "write after read", what, "writes", buffer, use->reader[from],
                   "without a barrier between them");
}

// All accesses of an event are checked before any of them counts: those of one do not race.
static void run_access(struct hazard *h, const struct event *e)
{
    struct buffer *buffers[CMD_POINTERS_MAX];
    for (uint32_t i = 0; i < e->count; i++) {
        buffers[i] = buffer_at(h->dev, e->access[i].address);
        if (!buffers[i]) {
            h->dev->validation_errors++;
            log_warn("validation: %s is submitted, its argument %u is in no live buffer", e->name,
                     i + 1);
            continue;
        }
        bool right = !e->access[i].reads || check_writes(h, buffers[i], e->stage, false, e->name);
        if (!e->access[i].writes) continue;
        if (right) check_writes(h, buffers[i], e->stage, true, e->name);
        check_reads(h, buffers[i], e->stage, e->name);
    }
    for (uint32_t i = 0; i < e->count; i++) {
        if (!buffers[i]) continue;
        struct hazard_use *use = &buffers[i]->use;
        if (e->access[i].reads) {
            use->read[e->stage] = h->now;
            use->read_submit[e->stage] = h->submits;
            use->reader[e->stage] = e->name;
        }
        if (e->access[i].writes) {
            use->written = h->now;
            use->write_submit = h->submits;
            use->write_kind = 2 * (uint32_t)e->stage + 1;
            use->writer = e->name;
        }
    }
}

static void run_barrier(struct hazard *h, const struct event *e)
{
    for (int i = 0; i < KINDS; i++)
        for (int j = 0; j < KINDS; j++)
            if (e->from >> i & e->to >> j & 1) h->visible[i][j] = h->now;
    for (int i = 0; i < STAGES; i++)
        for (int j = 0; j < STAGES; j++)
            if (e->from_stages >> i & e->to_stages >> j & 1) h->finished[i][j] = h->now;
}

static struct event *add(struct hazard *h, struct record *r)
{
    if (!mem_grow(&r->events, &r->capacity, r->count + 1, sizeof *r->events, "validation")) {
        h->dev->validation_errors++; // from here on nothing would be known
        log_warn("validation: no memory for the check of barriers");
        return NULL;
    }
    return &r->events[r->count++];
}

// ---- what stands between cmd.c, buffer.c and the driver ----

static VKAPI_ATTR VkResult VKAPI_CALL allocate(VkDevice device,
                                               const VkCommandBufferAllocateInfo *info,
                                               VkCommandBuffer *commands)
{
    struct hazard *h = checked;
    while (h->dev->handle != device) h = h->next;
    VkResult result = h->vk.vkAllocateCommandBuffers(device, info, commands);
    if (result != VK_SUCCESS) return result;
    if (!mem_grow(&h->records, &h->record_capacity, h->record_count + info->commandBufferCount,
                  sizeof *h->records, "validation")) {
        h->vk.vkFreeCommandBuffers(device, info->commandPool, info->commandBufferCount, commands);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    for (uint32_t i = 0; i < info->commandBufferCount; i++)
        h->records[h->record_count++] = (struct record){.owner = h, .commands = commands[i]};
    return VK_SUCCESS;
}

static VKAPI_ATTR void VKAPI_CALL give_back(VkDevice device, VkCommandPool pool, uint32_t count,
                                            const VkCommandBuffer *commands)
{
    struct hazard *h = checked;
    while (h->dev->handle != device) h = h->next;
    for (uint32_t i = 0; i < count; i++) {
        struct record *r = record_of(commands[i]);
        if (!r) continue;
        free(r->events);
        *r = h->records[--h->record_count];
    }
    h->vk.vkFreeCommandBuffers(device, pool, count, commands);
}

static VKAPI_ATTR VkResult VKAPI_CALL begin(VkCommandBuffer commands,
                                            const VkCommandBufferBeginInfo *info)
{
    struct record *r = record_of(commands);
    struct hazard *h = r->owner;
    r->count = 0;
    return h->vk.vkBeginCommandBuffer(commands, info);
}

static VKAPI_ATTR void VKAPI_CALL dispatch(VkCommandBuffer commands, uint32_t x, uint32_t y,
                                           uint32_t z)
{
    struct record *r = record_of(commands);
    struct hazard *h = r->owner;
    struct event *e = add(h, r);
    if (e) *e = r->next;
    if (!r->next.name) {
        h->dev->validation_errors++;
        log_warn("validation: a dispatch was recorded without saying what it reads and writes");
        if (e) e->name = "?";
    }
    r->next = (struct event){0};
    h->vk.vkCmdDispatch(commands, x, y, z);
}

static uint64_t address_of(const struct hazard *h, VkBuffer buffer)
{
    VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                      .buffer = buffer};
    return h->vk.vkGetBufferDeviceAddress(h->dev->handle, &info);
}

static VKAPI_ATTR void VKAPI_CALL copy(VkCommandBuffer commands, VkBuffer from, VkBuffer to,
                                       uint32_t count, const VkBufferCopy *regions)
{
    struct record *r = record_of(commands);
    struct hazard *h = r->owner;
    for (uint32_t i = 0; i < count; i++) {
        struct event *e = add(h, r);
        if (!e) continue;
        *e = (struct event){.name = "a copy", .stage = COPY, .count = 2};
        e->access[0] = (struct access){address_of(h, from) + regions[i].srcOffset, true, false};
        e->access[1] = (struct access){address_of(h, to) + regions[i].dstOffset, false, true};
    }
    h->vk.vkCmdCopyBuffer(commands, from, to, count, regions);
}

// VK_PIPELINE_STAGE_ALL_COMMANDS_BIT holds shaders and copies, not the host.
static uint32_t stages_of(VkPipelineStageFlags stages)
{
    const bool all = stages & VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    return (uint32_t)(all || stages & VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT) << SHADER |
           (uint32_t)(all || stages & VK_PIPELINE_STAGE_TRANSFER_BIT) << COPY |
           (uint32_t)((stages & VK_PIPELINE_STAGE_HOST_BIT) != 0) << HOST;
}

static uint32_t kinds_of(uint32_t stages, VkAccessFlags access)
{
    static const VkAccessFlags bits[KINDS] = {
        VK_ACCESS_SHADER_READ_BIT,    VK_ACCESS_SHADER_WRITE_BIT, VK_ACCESS_TRANSFER_READ_BIT,
        VK_ACCESS_TRANSFER_WRITE_BIT, VK_ACCESS_HOST_READ_BIT,    VK_ACCESS_HOST_WRITE_BIT};
    uint32_t kinds = 0;
    for (int i = 0; i < KINDS; i++) {
        VkAccessFlags any = i % 2 ? VK_ACCESS_MEMORY_WRITE_BIT : VK_ACCESS_MEMORY_READ_BIT;
        if (stages >> i / 2 & 1 && access & (bits[i] | any)) kinds |= 1u << i;
    }
    return kinds;
}

static VKAPI_ATTR void VKAPI_CALL
barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to,
        VkDependencyFlags flags, uint32_t count, const VkMemoryBarrier *memory,
        uint32_t buffer_count, const VkBufferMemoryBarrier *buffers, uint32_t image_count,
        const VkImageMemoryBarrier *images)
{
    struct record *r = record_of(commands);
    struct hazard *h = r->owner;
    struct event *e = add(h, r);
    if (e) *e = (struct event){.from_stages = stages_of(from), .to_stages = stages_of(to)};
    for (uint32_t i = 0; e && i < count; i++) {
        e->from |= kinds_of(e->from_stages, memory[i].srcAccessMask);
        e->to |= kinds_of(e->to_stages, memory[i].dstAccessMask);
    }
    h->vk.vkCmdPipelineBarrier(commands, from, to, flags, count, memory, buffer_count, buffers,
                               image_count, images);
}

static void fence_set(struct hazard *h, VkFence handle)
{
    size_t i = 0;
    while (i < h->fence_count && h->fences[i].handle != handle) i++;
    if (i == h->fence_count) {
        if (!mem_grow(&h->fences, &h->fence_capacity, i + 1, sizeof *h->fences, "validation")) {
            h->dev->validation_errors++; // what waits for it would not be known
            return;
        }
        h->fence_count++;
    }
    h->fences[i] = (struct fence){.handle = handle, .submit = h->submits};
}

static VKAPI_ATTR VkResult VKAPI_CALL submit(VkQueue queue, uint32_t count,
                                             const VkSubmitInfo *infos, VkFence fence)
{
    struct hazard *h = checked;
    while (h->dev->queue != queue) h = h->next;
    h->submits++;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < infos[i].commandBufferCount; j++) {
            const struct record *r = record_of(infos[i].pCommandBuffers[j]);
            for (size_t k = 0; k < r->count; k++) {
                h->now++;
                if (r->events[k].name)
                    run_access(h, &r->events[k]);
                else
                    run_barrier(h, &r->events[k]);
            }
        }
    if (fence) fence_set(h, fence);
    return h->vk.vkQueueSubmit(queue, count, infos, fence);
}

// A fence is signalled after everything that was submitted before it.
static VKAPI_ATTR VkResult VKAPI_CALL wait_fences(VkDevice device, uint32_t count,
                                                  const VkFence *fences, VkBool32 all,
                                                  uint64_t nanoseconds)
{
    struct hazard *h = checked;
    while (h->dev->handle != device) h = h->next;
    VkResult result = h->vk.vkWaitForFences(device, count, fences, all, nanoseconds);
    for (size_t i = 0; result == VK_SUCCESS && count == 1 && i < h->fence_count; i++)
        if (h->fences[i].handle == fences[0] && h->fences[i].submit > h->waited)
            h->waited = h->fences[i].submit;
    return result;
}

// ---- what they say themselves ----

void hazard_dispatch(VkCommandBuffer commands, const struct dispatch *d)
{
    struct record *r = record_of(commands);
    r->next = (struct event){.name = d->name, .stage = SHADER};
    for (uint32_t i = 0; d->access[i]; i++) {
        struct access *a = &r->next.access[r->next.count++];
        *a = (struct access){.reads = d->access[i] != 'w', .writes = d->access[i] != 'r'};
        memcpy(&a->address, (const char *)d->push + i * sizeof a->address, sizeof a->address);
    }
}

void hazard_host(struct device *dev, struct buffer *buffer, bool writes)
{
    struct hazard *h = dev->hazard;
    if (!h) return;
    const struct hazard_use *use = &buffer->use;
    const char *verb = writes ? "writes" : "reads", *late = "without waiting for it";
    if (use->write_submit > h->waited)
        report(h, writes ? "write after write" : "read after write", "the host", verb, buffer,
               use->writer, late);
    else if (!writes)
        check_writes(h, buffer, HOST, false, "the host");
    for (int from = SHADER; from <= COPY && writes; from++)
        if (use->read_submit[from] > h->waited)
            report(h, "write after read", "the host", verb, buffer, use->reader[from], late);
}

bool hazard_open(struct device *dev)
{
    struct hazard *h = mem_new(1, sizeof *h, "validation");
    if (!h) return false;
    *h = (struct hazard){.next = checked, .dev = dev, .vk = dev->vk};
    checked = dev->hazard = h;
    dev->vk.vkAllocateCommandBuffers = allocate;
    dev->vk.vkFreeCommandBuffers = give_back;
    dev->vk.vkBeginCommandBuffer = begin;
    dev->vk.vkCmdDispatch = dispatch;
    dev->vk.vkCmdCopyBuffer = copy;
    dev->vk.vkCmdPipelineBarrier = barrier;
    dev->vk.vkQueueSubmit = submit;
    dev->vk.vkWaitForFences = wait_fences;
    return true;
}

void hazard_close(struct device *dev)
{
    struct hazard *h = dev->hazard, **link = &checked;
    if (!h) return;
    while (*link != h) link = &(*link)->next;
    *link = h->next;
    dev->vk = h->vk;
    for (size_t i = 0; i < h->record_count; i++) free(h->records[i].events);
    free(h->records);
    free(h->fences);
    free(h);
    dev->hazard = NULL;
}
