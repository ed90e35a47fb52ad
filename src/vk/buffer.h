// Buffers: pieces of a few large device allocations, known to shaders by 64-bit address.
#pragma once
#include "vk/device.h"
#include "vk/hazard.h"

// A live buffer. Its address goes into push constants; address + offset is fine inside it.
struct buffer {
    uint64_t address;
    uint64_t bytes;  // with slack behind
    uint64_t wanted; // without
    struct block *block;
    uint64_t offset; // in the block
    const char *name;
    // Hazard state of the recording in progress: read or written since the last barrier.
    uint32_t read_at, written_at;
    struct hazard_use use; // with --validate only
};

// Fails with STATUS_NO_MEMORY, naming `name` and the bytes wanted. The content is undefined.
bool buffer_new(struct device *dev, uint64_t bytes, const char *name, struct buffer **buffer);
void buffer_free(struct device *dev, struct buffer **buffer); // accepts NULL, sets NULL

// Copies between host memory and a buffer; waits. Through a staging buffer where device memory
// cannot be mapped. Data of unfinished submits must not be touched: the caller has waited.
bool buffer_write(struct device *dev, struct buffer *buffer, uint64_t offset, const void *data,
                  uint64_t bytes);
bool buffer_read(struct device *dev, struct buffer *buffer, uint64_t offset, void *data,
                 uint64_t bytes);

// Copies by the driver's own means between buffers; runs and waits.
bool buffer_copy(struct device *dev, const struct buffer *from, struct buffer *to, uint64_t bytes);

// A new buffer with a copy of `data` in it.
bool buffer_from(struct device *dev, const void *data, uint64_t bytes, const char *name,
                 struct buffer **buffer);

// What a buffer of `bytes` counts for in dev->bytes_used, and whether one of so many has a device
// allocation of its own; the others share such of BUFFER_BLOCK_BYTES.
enum { BUFFER_BLOCK_BYTES = 64 << 20 };
uint64_t buffer_room(uint64_t bytes);
bool buffer_apart(uint64_t room);

// The live buffer that holds an address, or NULL.
struct buffer *buffer_at(const struct device *dev, uint64_t address);

void buffers_close(struct device *dev); // all of them; called by device_close
