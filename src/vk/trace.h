// A trace: what every dispatch wrote, as checksums, one line each. Two traces of strict numbers are
// equal on all devices; where two runs part, the first line that differs names the operator.
#pragma once
#include "vk/device.h"

// Begins to trace, to a file or (path NULL) to memory; every dispatch is then waited for. Before
// the first buffer, which start as zeros.
bool trace_open(struct device *dev, const char *path);

// The lines so far of a trace to memory; valid until the next one.
const char *trace_text(struct device *dev);

// A line: the number, the operator, then name and checksum of each buffer that it wrote.
bool trace_add(struct device *dev, const char *op, struct buffer *const *written, uint32_t count);


void trace_close(struct device *dev);
