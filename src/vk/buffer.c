#include "vk/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"

enum { ALIGNMENT = 256 }; // of every buffer; covers all offset alignments seen
// Shaders that unpack 2-byte aligned blocks read one word past the last, so each buffer has slack.
enum { SLACK = 16 };
static const uint64_t BLOCK_BYTES = BUFFER_BLOCK_BYTES;

struct gap { // free bytes of a block
    uint64_t offset, bytes;
};

struct block {
    struct block *next;
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t address, bytes;
    uint8_t *mapped; // NULL: host cannot see it
    bool coherent;
    struct gap *gaps; // sorted by offset, never adjacent
    size_t gap_count, gap_capacity;
    bool staging;
};

static bool memory_type(const struct device *dev, uint32_t allowed, bool staging, uint32_t *type)
{
    // Device memory the host can see (CPU devices, integrated GPUs, resizable BAR) saves staging.
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                                seen = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                       VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags device_order[] = {local | seen, local, seen, 0};
    const VkMemoryPropertyFlags staging_order[] = {seen | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, seen,
                                                   seen, seen};
    uint64_t largest = 0; // a small visible window into a big card must not hold the weights
    for (uint32_t i = 0; i < dev->memory.memoryHeapCount; i++)
        if ((dev->memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            dev->memory.memoryHeaps[i].size > largest)
            largest = dev->memory.memoryHeaps[i].size;
    for (size_t pass = 0; pass < 4; pass++) {
        VkMemoryPropertyFlags wanted = staging ? staging_order[pass] : device_order[pass];
        for (uint32_t i = 0; i < dev->memory.memoryTypeCount; i++) {
            const VkMemoryType *t = &dev->memory.memoryTypes[i];
            if (!(allowed >> i & 1) || (t->propertyFlags & wanted) != wanted) continue;
            if (!staging && pass == 0 && dev->memory.memoryHeaps[t->heapIndex].size < largest)
                continue;
            *type = i;
            return true;
        }
    }
    return fail(STATUS_NO_DEVICE, "%s has no memory type for storage buffers", dev->info.name);
}

static void block_free(struct device *dev, struct block *block)
{
    if (!dev->stuck) {
        dev->vk.vkDestroyBuffer(dev->handle, block->handle, NULL);
        dev->vk.vkFreeMemory(dev->handle, block->memory, NULL);
    }
    free(block->gaps);
    free(block);
}

static bool block_memory(struct device *dev, struct block *block, const char *name)
{
    VkMemoryRequirements needs;
    dev->vk.vkGetBufferMemoryRequirements(dev->handle, block->handle, &needs);
    uint32_t type = 0;
    if (!memory_type(dev, needs.memoryTypeBits, block->staging, &type)) return false;
    VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                       .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .pNext = &flags,
                                 .allocationSize = needs.size,
                                 .memoryTypeIndex = type};
    VkResult result = dev->vk.vkAllocateMemory(dev->handle, &info, NULL, &block->memory);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY)
        return fail(STATUS_NO_MEMORY,
                    "%s: out of device memory for %s: wanted %llu MiB more, %llu MiB are in use of "
                    "%llu MiB on %s",
                    device_phase(dev), name, (unsigned long long)(needs.size >> 20),
                    (unsigned long long)(dev->bytes_used >> 20),
                    (unsigned long long)(dev->info.memory >> 20), dev->info.name);
    if (!device_check(dev, result, "allocating device memory")) return false;
    if (!device_check(dev, dev->vk.vkBindBufferMemory(dev->handle, block->handle, block->memory, 0),
                      "binding device memory"))
        return false;
    const VkMemoryPropertyFlags seen =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    if ((dev->memory.memoryTypes[type].propertyFlags & seen) == seen) {
        void *mapped = NULL;
        if (!device_check(dev, dev->vk.vkMapMemory(dev->handle, block->memory, 0, VK_WHOLE_SIZE, 0,
                                              &mapped),
                          "mapping device memory"))
            return false;
        block->mapped = mapped;
    }
    VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                         .buffer = block->handle};
    block->address = dev->vk.vkGetBufferDeviceAddress(dev->handle, &address);
    return true;
}

static struct block *block_new(struct device *dev, uint64_t bytes, bool staging, const char *name)
{
    struct block *block = mem_new(1, sizeof *block, "a block of device memory");
    if (!block) return NULL;
    block->bytes = bytes;
    block->staging = staging;
    VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                               .size = bytes,
                               .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT |
                                        VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                                        VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                                        VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
    bool ok = device_check(dev, dev->vk.vkCreateBuffer(dev->handle, &info, NULL, &block->handle),
                           "making a buffer") &&
              block_memory(dev, block, name) &&
              mem_grow(&block->gaps, &block->gap_capacity, 1, sizeof *block->gaps, "free list");
    if (!ok) {
        block_free(dev, block);
        return NULL;
    }
    block->gaps[block->gap_count++] = (struct gap){.offset = 0, .bytes = bytes};
    return block;
}

// First fit. Reserves room in the free list beforehand, so that giving back cannot fail.
static bool block_take(struct block *block, uint64_t bytes, uint64_t *offset)
{
    if (!mem_grow(&block->gaps, &block->gap_capacity, block->gap_count + 2, sizeof *block->gaps,
                  "free list"))
        return false;
    for (size_t i = 0; i < block->gap_count; i++) {
        struct gap *gap = &block->gaps[i];
        if (gap->bytes < bytes) continue;
        *offset = gap->offset;
        gap->offset += bytes;
        gap->bytes -= bytes;
        if (gap->bytes == 0) {
            memmove(gap, gap + 1, (block->gap_count - i - 1) * sizeof *gap);
            block->gap_count--;
        }
        return true;
    }
    return false;
}

static void block_give(struct block *block, uint64_t offset, uint64_t bytes)
{
    size_t i = 0;
    while (i < block->gap_count && block->gaps[i].offset < offset) i++;
    bool before = i > 0 && block->gaps[i - 1].offset + block->gaps[i - 1].bytes == offset;
    bool after = i < block->gap_count && offset + bytes == block->gaps[i].offset;
    if (before) {
        block->gaps[i - 1].bytes += bytes + (after ? block->gaps[i].bytes : 0);
        if (!after) return;
        memmove(&block->gaps[i], &block->gaps[i + 1],
                (block->gap_count - i - 1) * sizeof *block->gaps);
        block->gap_count--;
    } else if (after) {
        block->gaps[i].offset = offset;
        block->gaps[i].bytes += bytes;
    } else if (mem_grow(&block->gaps, &block->gap_capacity, block->gap_count + 1,
                        sizeof *block->gaps, "free list")) {
        memmove(&block->gaps[i + 1], &block->gaps[i], (block->gap_count - i) * sizeof *block->gaps);
        block->gaps[i] = (struct gap){.offset = offset, .bytes = bytes};
        block->gap_count++;
    }
}

// Where in the sorted list a buffer of this address stands or belongs.
static size_t place(const struct device *dev, uint64_t address)
{
    size_t low = 0, high = dev->buffer_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (dev->buffers[middle]->address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct buffer *buffer_at(const struct device *dev, uint64_t address)
{
    size_t i = place(dev, address + 1);
    if (i == 0) return NULL;
    struct buffer *buffer = dev->buffers[i - 1];
    return address - buffer->address < buffer->bytes ? buffer : NULL;
}

uint64_t buffer_room(uint64_t bytes)
{
    return (bytes + SLACK + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

bool buffer_apart(uint64_t room)
{
    return room > BLOCK_BYTES / 4;
}

static bool take(struct device *dev, uint64_t bytes, bool staging, struct buffer *buffer)
{
    for (struct block *b = dev->blocks; b; b = b->next)
        if (b->staging == staging && block_take(b, bytes, &buffer->offset)) {
            buffer->block = b;
            return true;
        }
    uint64_t size = buffer_apart(bytes) || staging ? bytes : BLOCK_BYTES;
    if (size > dev->info.allocation && dev->info.allocation)
        return fail(STATUS_NO_MEMORY,
                    "%s: out of device memory for %s: wanted %llu MiB in one piece, %s gives %llu",
                    device_phase(dev), buffer->name, (unsigned long long)(size >> 20),
                    dev->info.name, (unsigned long long)(dev->info.allocation >> 20));
    struct block *block = block_new(dev, size, staging, buffer->name);
    if (!block) return false;
    block->next = dev->blocks;
    dev->blocks = block;
    buffer->block = block;
    return block_take(block, bytes, &buffer->offset);
}

static bool buffer_make(struct device *dev, uint64_t bytes, bool staging, const char *name,
                        struct buffer **out)
{
    *out = NULL;
    if (dev->limit && !staging && dev->bytes_used + buffer_room(bytes) > dev->limit)
        return fail(STATUS_NO_MEMORY,
                    "%s: --vram is too little for %s: wanted %llu MiB more, %llu MiB of %llu MiB "
                    "are in use",
                    device_phase(dev), name, (unsigned long long)(bytes >> 20) + 1,
                    (unsigned long long)(dev->bytes_used >> 20),
                    (unsigned long long)(dev->limit >> 20));
    struct buffer *buffer = mem_new(1, sizeof *buffer, name);
    if (!buffer) return false;
    buffer->name = name;
    buffer->wanted = bytes;
    buffer->bytes = buffer_room(bytes);
    if (!mem_grow(&dev->buffers, &dev->buffer_capacity, dev->buffer_count + 1,
                  sizeof *dev->buffers, "buffers") ||
        !take(dev, buffer->bytes, staging, buffer)) {
        free(buffer);
        return false;
    }
    buffer->address = buffer->block->address + buffer->offset;
    size_t i = place(dev, buffer->address);
    memmove(&dev->buffers[i + 1], &dev->buffers[i], (dev->buffer_count - i) * sizeof *dev->buffers);
    dev->buffers[i] = buffer;
    dev->buffer_count++;
    dev->bytes_used += buffer->bytes;
    if (dev->bytes_used > dev->bytes_peak) dev->bytes_peak = dev->bytes_used;
    *out = buffer;
    return true;
}

static bool buffer_clear(struct device *dev, struct buffer **buffer)
{
    void *zeros = mem_new((*buffer)->bytes, 1, "zeros");
    bool ok = zeros && buffer_write(dev, *buffer, 0, zeros, (*buffer)->bytes);
    free(zeros);
    if (!ok) buffer_free(dev, buffer);
    return ok;
}

bool buffer_new(struct device *dev, uint64_t bytes, const char *name, struct buffer **buffer)
{
    enum host before = account_host(&dev->account, HOST_MEMORY);
    bool ok = buffer_make(dev, bytes, false, name, buffer);
    if (ok && dev->clear_new) ok = buffer_clear(dev, buffer);
    account_host(&dev->account, before);
    return ok;
}

void buffer_free(struct device *dev, struct buffer **out)
{
    struct buffer *buffer = *out;
    *out = NULL;
    if (!buffer) return;
    enum host before = account_host(&dev->account, HOST_MEMORY);
    size_t i = place(dev, buffer->address);
    memmove(&dev->buffers[i], &dev->buffers[i + 1],
            (dev->buffer_count - i - 1) * sizeof *dev->buffers);
    dev->buffer_count--;
    dev->bytes_used -= buffer->bytes;
    struct block *block = buffer->block;
    block_give(block, buffer->offset, buffer->bytes);
    // A block of one large buffer goes back to the driver with it; small ones are kept.
    if (block->bytes != BLOCK_BYTES && block->gap_count == 1 &&
        block->gaps[0].bytes == block->bytes) {
        struct block **link = &dev->blocks;
        while (*link != block) link = &(*link)->next;
        *link = block->next;
        block_free(dev, block);
    }
    free(buffer);
    account_host(&dev->account, before);
}

static bool copy_wait(struct device *dev, const struct buffer *from, uint64_t from_offset,
                      struct buffer *to, uint64_t to_offset, uint64_t bytes)
{
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = dev->commands,
                                        .commandBufferCount = 1};
    VkCommandBuffer commands = VK_NULL_HANDLE;
    VkFenceCreateInfo fence_info = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkFence fence = VK_NULL_HANDLE;
    bool running = false;
    if (!device_check(dev, dev->vk.vkAllocateCommandBuffers(dev->handle, &info, &commands),
                      "copying a buffer"))
        return false;
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                      .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    VkBufferCopy region = {.srcOffset = from->offset + from_offset,
                           .dstOffset = to->offset + to_offset,
                           .size = bytes};
    VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                               .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                               .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT |
                                                VK_ACCESS_MEMORY_WRITE_BIT};
    // The host may read what was copied; it is not one of ALL_COMMANDS.
    VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                             .srcAccessMask = VK_ACCESS_MEMORY_WRITE_BIT,
                             .dstAccessMask = VK_ACCESS_MEMORY_READ_BIT |
                                              VK_ACCESS_MEMORY_WRITE_BIT |
                                              VK_ACCESS_HOST_READ_BIT};
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &commands};
    const VkPipelineStageFlags all = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
    bool ok = device_check(dev, dev->vk.vkBeginCommandBuffer(commands, &begin),
                           "copying a buffer") &&
              device_check(dev, dev->vk.vkCreateFence(dev->handle, &fence_info, NULL, &fence),
                           "making a fence");
    if (ok) {
        dev->vk.vkCmdPipelineBarrier(commands, all, all, 0, 1, &barrier, 0, NULL, 0, NULL);
        dev->vk.vkCmdCopyBuffer(commands, from->block->handle, to->block->handle, 1, &region);
        dev->vk.vkCmdPipelineBarrier(commands, all, all | VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after,
                                     0, NULL, 0, NULL);
        ok = device_check(dev, dev->vk.vkEndCommandBuffer(commands), "copying a buffer") &&
             device_check(dev, dev->vk.vkQueueSubmit(dev->queue, 1, &submit, fence),
                          "copying a buffer") &&
             device_wait(dev, fence, &running);
    }
    if (running && !device_wait(dev, fence, &running) && running) dev->stuck = true;
    if (!dev->stuck) {
        dev->vk.vkDestroyFence(dev->handle, fence, NULL);
        dev->vk.vkFreeCommandBuffers(dev->handle, dev->commands, 1, &commands);
    }
    return ok;
}

// Moves bytes in pieces through memory the host can see.
static bool staged(struct device *dev, struct buffer *buffer, uint64_t offset, uint8_t *read,
                   const uint8_t *write, uint64_t bytes)
{
    const uint64_t piece = bytes < (16u << 20) ? bytes : 16u << 20;
    struct buffer *stage = NULL;
    if (!buffer_make(dev, piece, true, "staging", &stage)) return false;
    uint8_t *mapped = stage->block->mapped + stage->offset;
    bool ok = true;
    for (uint64_t at = 0; ok && at < bytes; at += piece) {
        uint64_t now = bytes - at < piece ? bytes - at : piece;
        if (write) {
            hazard_host(dev, stage, true);
            memcpy(mapped, write + at, now);
            ok = copy_wait(dev, stage, 0, buffer, offset + at, now);
        } else {
            ok = copy_wait(dev, buffer, offset + at, stage, 0, now);
            hazard_host(dev, stage, false);
            if (ok) memcpy(read + at, mapped, now);
        }
    }
    buffer_free(dev, &stage);
    return ok;
}

bool buffer_write(struct device *dev, struct buffer *buffer, uint64_t offset, const void *data,
                  uint64_t bytes)
{
    bool ok = true;
    enum host before = account_host(&dev->account, HOST_MEMORY);
    if (!buffer->block->mapped) {
        ok = staged(dev, buffer, offset, NULL, data, bytes);
    } else {
        hazard_host(dev, buffer, true);
        memcpy(buffer->block->mapped + buffer->offset + offset, data, bytes);
    }
    account_host(&dev->account, before);
    return ok;
}

bool buffer_read(struct device *dev, struct buffer *buffer, uint64_t offset, void *data,
                 uint64_t bytes)
{
    bool ok = true;
    enum host before = account_host(&dev->account, HOST_MEMORY);
    if (!buffer->block->mapped) {
        ok = staged(dev, buffer, offset, data, NULL, bytes);
    } else {
        hazard_host(dev, buffer, false);
        memcpy(data, buffer->block->mapped + buffer->offset + offset, bytes);
    }
    account_host(&dev->account, before);
    return ok;
}

bool buffer_copy(struct device *dev, const struct buffer *from, struct buffer *to, uint64_t bytes)
{
    enum host before = account_host(&dev->account, HOST_MEMORY);
    bool ok = copy_wait(dev, from, 0, to, 0, bytes);
    account_host(&dev->account, before);
    return ok;
}

bool buffer_from(struct device *dev, const void *data, uint64_t bytes, const char *name,
                 struct buffer **buffer)
{
    if (!buffer_new(dev, bytes, name, buffer)) return false;
    if (buffer_write(dev, *buffer, 0, data, bytes)) return true;
    buffer_free(dev, buffer);
    return false;
}

void buffers_close(struct device *dev)
{
    for (size_t i = 0; i < dev->buffer_count; i++) free(dev->buffers[i]);
    free(dev->buffers);
    while (dev->blocks) {
        struct block *block = dev->blocks;
        dev->blocks = block->next;
        block_free(dev, block);
    }
}
