// Which operator first makes a value that is not finite, or too large to be squared: a look behind
// every dispatch at all it wrote. Slow: for a pass that is known to go wrong, run once more.
#pragma once
#include "ops/ops.h"
#include "vk/buffer.h"

// What a pass leaves in a buffer of FAULT_WORDS words where it records op_watch itself, at a few
// places that all faults reach: one dispatch each.
struct fault {
    const char *op, *buffer; // NULL: nothing was found
    const char *part;        // of the pass, with its number: see cmd_part
    uint32_t number;
    uint32_t bad, first; // how many values of how many, the first one's number
    uint64_t count;
};

struct watch {
    struct device *dev;
    struct buffer *words; // [FAULT_WORDS]
    struct fault *places; // [place_count]: what is looked at, in order
    size_t place_count, place_capacity;
    bool failed, looking;
};

// From now until watch_end every recording on this device is watched, and new buffers start as
// zeros. The pass has to make its own: what stands in older ones beyond what it writes may be
// anything. One watch at a time.
bool watch_start(struct watch *watch, struct device *dev);
// Ends it, started or not. Always fails: with STATUS_BAD_DATA, naming part, operator and buffer, if
// something was found; with STATUS_FAILED if nothing was, since the device then computes one thing
// now and another thing then. `who`: what was computed; `remedy`: what to do about it, or NULL.
bool watch_end(struct watch *watch, const char *who, const char *remedy);
