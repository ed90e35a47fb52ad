// The bits of a device matrix as one number, for the head of a journal.
#pragma once
#include "vk/buffer.h"

// Of the first `bytes` of a buffer, a piece at a time: C of a large model is large. Waits.
bool fingerprint_take(struct device *dev, struct buffer *buffer, uint64_t bytes, uint64_t *digest);
