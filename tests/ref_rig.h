// A rig for one operator: buffers between bands of a fixed pattern, inputs that must come back
// unchanged, outputs that start as NaN.
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

// A band is in words before and behind; 256 bytes keep alignment.
enum { RIG_BUFFERS = 16, RIG_ERRORS = 64, RIG_BAND = 64 };

#define RIG_EPS 0x1p-24 // relative error of one float operation

struct rig_buffer {
    struct buffer *buffer;
    uint64_t words;
    uint32_t *given; // what it was filled with
    float *content;  // what stood there after rig_run
    bool changes;
};

struct rig {
    struct device *dev;
    struct cmd cmd;
    struct rig_buffer buffers[RIG_BUFFERS];
    uint32_t count;
    uint64_t random;
    struct rig_error { // largest error of all checks of one name, and as a part of its bound
        const char *what;
        double error, part;
    } errors[RIG_ERRORS];
    uint32_t error_count;
};

// cmocka group set-up and tear-down: opens the default device; *state is the rig.
int rig_open(void **state);
int rig_open_as(void **state, const struct device_options *options);
int rig_close(void **state);

// The same with a folder of its own (ref_tiny.h) that holds the cache, and 1400 words in text.txt.
int rig_open_in_folder(void **state);
int rig_close_in_folder(void **state);

// Addresses of fresh payloads. `out` starts as NaN.
fbuf rig_in(struct rig *rig, const void *words, uint64_t count);
fbuf rig_out(struct rig *rig, uint64_t count);
fbuf rig_change(struct rig *rig, const void *words, uint64_t count);

// Runs what rig->cmd has recorded (begun by itself), then checks bands and inputs.
void rig_run(struct rig *rig);
// The same, but says what changed that should not: false, with the buffer's number in the order of
// rig_in, rig_out, rig_change, and the word, counted from its payload.
bool rig_try(struct rig *rig, uint32_t *number, int64_t *word);
const float *rig_floats(const struct rig *rig, fbuf address);  // after rig_run
const uint32_t *rig_words(const struct rig *rig, fbuf address);
void rig_drop(struct rig *rig); // all buffers, before the next case

// |got - want| <= factor * 2^-24 * size[i] (size = NULL: |want[i]|), plus the least that is stored
// (op.glsl).
void rig_near(struct rig *rig, const char *what, fbuf address, const double *want,
              const double *size, uint64_t count, double factor);
void rig_near_host(struct rig *rig, const char *what, const float *got, const double *want,
                   const double *size, uint64_t count, double factor);

// Seeded inputs: uniform in [-scale, scale). To be freed.
float *rig_random(struct rig *rig, uint64_t count, double scale);
uint32_t *rig_random_ids(struct rig *rig, uint64_t count, uint32_t below);
void *rig_memory(uint64_t count, size_t size); // zeroed, never NULL

// Depth of a sum of n terms over a workgroup of 64: n / 64 in a row, then a tree, and some room
// for the few operations before and behind.
double rig_depth(uint64_t n);
