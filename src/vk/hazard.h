// A checker of barriers, for --validate: the Khronos layer does not see what shaders touch through
// addresses. It knows nothing of how cmd.c derives barriers: it stands between us and the driver,
// keeps what each command buffer holds, and at every submit walks through it by the rules of the
// Vulkan specification, 7.1 (execution and memory dependencies), one buffer as a whole.
// A report is a warning that names both operators and the buffer, counted in validation_errors.
//   read after write, write after write  wanted: a barrier after the write that makes it visible to
//                                        that access; a fence alone makes nothing visible to
//                                        shaders
//   write after read                     wanted: a barrier or a fence waited for
//   the host after the device            wanted: a wait, and for reads a barrier to the host
// Chains of barriers through a third stage, and barriers of single buffers, are not understood: we
// use none.
#pragma once
#include "vk/device.h"

struct dispatch;

// What the device did last to a buffer; numbers count what was submitted, 0: never.
struct hazard_use {
    uint64_t written, write_submit, read[2], read_submit[2]; // read: by shaders, by copies
    uint32_t write_kind;
    const char *writer, *reader[2];
};

// Begins to check; before the first command buffer. Devices are used by one thread.
bool hazard_open(struct device *dev);
void hazard_close(struct device *dev); // may run twice

// The next vkCmdDispatch into `commands` is this one.
void hazard_dispatch(VkCommandBuffer commands, const struct dispatch *dispatch);

// The host is about to read or write a buffer; nothing without hazard_open.
void hazard_host(struct device *dev, struct buffer *buffer, bool writes);
