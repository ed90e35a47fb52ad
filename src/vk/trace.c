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
    FILE *stream; // NULL: to memory
    char *text;
    size_t size, capacity;
    unsigned long long count;
};

bool trace_open(struct device *dev, const char *path)
{
    dev->trace = mem_new(1, sizeof *dev->trace, "a trace");
    if (!dev->trace) return false;
    dev->clear_new = true; // a trace must not see what somebody left
    struct trace *t = dev->trace;
    if (!path) return true;
    t->stream = fopen(path, "w");
    return t->stream || fail(STATUS_FAILED, "--trace: cannot write %s: %s", path, strerror(errno));
}

const char *trace_text(struct device *dev)
{
    return dev->trace->text ? dev->trace->text : "";
}

static bool put(struct trace *t, const char *text)
{
    size_t length = strlen(text);
    if (t->stream)
        return fputs(text, t->stream) != EOF ||
               fail(STATUS_FAILED, "--trace: cannot write: %s", strerror(errno));
    if (!mem_grow(&t->text, &t->capacity, t->size + length + 1, 1, "a trace")) return false;
    memcpy(t->text + t->size, text, length + 1);
    t->size += length;
    return true;
}

bool trace_add(struct device *dev, const char *op, struct buffer *const *written, uint32_t count)
{
    struct trace *t = dev->trace;
    char text[128];
    snprintf(text, sizeof text, "%llu %s", ++t->count, op);
    bool ok = put(t, text);
    for (uint32_t i = 0; ok && i < count; i++) {
        unsigned char *data = mem_new(written[i]->bytes, 1, "a trace");
        ok = data && buffer_read(dev, written[i], 0, data, written[i]->bytes);
        if (ok) {
            XXH64_hash_t digest = XXH3_64bits(data, written[i]->bytes);
            snprintf(text, sizeof text, "  %s %016llx", written[i]->name,
                     (unsigned long long)digest);
            ok = put(t, text);
        }
        free(data);
    }
    return ok && put(t, "\n");
}

void trace_close(struct device *dev)
{
    if (!dev->trace) return;
    if (dev->trace->stream) fclose(dev->trace->stream);
    free(dev->trace->text);
    free(dev->trace);
    dev->trace = NULL;
}
