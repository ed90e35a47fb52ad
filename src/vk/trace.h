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

// Somebody who looks at every dispatch, before it runs and afterwards: the operator, its access
// string and its arguments. false ends the run, after fail().
typedef bool (*trace_look)(void *user, struct device *dev, const char *op, const char *access,
                           const void *push, bool after);
void trace_watch(struct device *dev, trace_look look, void *user);
bool trace_show(struct device *dev, const char *op, const char *access, const void *push,
                bool after);

void trace_close(struct device *dev);
