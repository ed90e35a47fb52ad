#define _POSIX_C_SOURCE 200809L
#define XXH_INLINE_ALL
#include "vk/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"
#include "base/status.h"
#include "vk/buffer.h"

struct trace {
    FILE *stream;
    char *text; // of a trace to memory
    size_t size;
    unsigned long long count;
};

bool trace_open(struct device *dev, const char *path)
{
    dev->trace = mem_new(1, sizeof *dev->trace, "a trace");
    if (!dev->trace) return false;
    dev->clear_new = true; // a trace must not see what somebody left
    struct trace *t = dev->trace;
    t->stream = path ? fopen(path, "w") : open_memstream(&t->text, &t->size);
    return t->stream || fail(STATUS_FAILED, "--trace: cannot write %s: %s",
                             path ? path : "to memory", strerror(errno));
}

const char *trace_text(struct device *dev)
{
    return fflush(dev->trace->stream) == 0 ? dev->trace->text : "";
}

bool trace_add(struct device *dev, const char *op, struct buffer *const *written, uint32_t count)
{
    fprintf(dev->trace->stream, "%llu %s", ++dev->trace->count, op);
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; i++) {
        unsigned char *data = mem_new(written[i]->bytes, 1, "a trace");
        ok = data && buffer_read(dev, written[i], 0, data, written[i]->bytes);
        if (ok) {
            XXH64_hash_t digest = XXH3_64bits(data, written[i]->bytes);
            fprintf(dev->trace->stream, "  %s %016llx", written[i]->name,
                    (unsigned long long)digest);
        }
        free(data);
    }
    return (ok && fputc('\n', dev->trace->stream) != EOF) ||
           fail(STATUS_FAILED, "--trace: cannot write: %s", strerror(errno));
}

void trace_close(struct device *dev)
{
    if (!dev->trace) return;
    if (dev->trace->stream) fclose(dev->trace->stream);
    free(dev->trace->text);
    free(dev->trace);
    dev->trace = NULL;
}
