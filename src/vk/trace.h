// A trace: what every dispatch wrote, as checksums, one line each. Two traces of strict numbers are
// equal on all devices; where two runs part, the first line that differs names the operator.
#pragma once
#include "vk/device.h"

// Begins to trace; every dispatch is then waited for. Before the first buffer, which start as zeros.
bool trace_open(struct device *dev, const char *path);

// A line: the number, the operator, then name and checksum of each buffer that it wrote.
bool trace_add(struct device *dev, const char *op, struct buffer *const *written, uint32_t count);

void trace_close(struct device *dev);
