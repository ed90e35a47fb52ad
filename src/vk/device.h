// The device: chosen, checked for what the shaders need, opened; its pipelines and its profile.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <volk.h>

#include "vk/account.h"

struct device_options {
    const char *name; // index into the list, or a part of the name; NULL: the best one
    bool validate;    // Khronos validation layer and vk/hazard.h, errors counted
    bool profile;     // time every dispatch; nothing overlaps then
    bool inspect;     // pipelines keep what the compiler says of them (tools/amd_stats.c)
    bool strict;      // the same bits on every device (vk/strict.h)
    double started;   // log_clock() when the program began; 0: now
};

// What --list-devices and every report say about a device.
struct device_info {
    char name[256], driver[256];
    const char *type; // "discrete GPU", "integrated GPU", "virtual GPU", "CPU", "other"
    uint32_t rank;    // smaller is preferred; a CPU device is always last
    char version[16]; // of the API
    uint32_t api, subgroup, invocations, shared_bytes, push_bytes;
    bool int64;       // 64-bit integers in shaders
    uint64_t memory, allocation; // bytes of the largest device-local heap, of one allocation
    bool matrix_units; // of the form that vk/cooperative.h says
};

struct shader { // one SPIR-V module, embedded
    const char *name;
    const uint32_t *code;
    size_t bytes;
    uint32_t width; // lanes it broadcasts over: the subgroup must have as many, or 0
    bool matrix_units; // it uses them, by whole subgroups of the device's size
};

struct profile_row { // sums over all dispatches of one name
    const char *name;
    uint64_t calls;
    double seconds, flops, bytes;
};

struct cmd;
struct dispatch;
struct block;    // device memory, carved into buffers
struct buffer;
struct pipeline; // shader + specialisation
struct trace;
struct hazard;

struct device {
    struct device_info info;
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDevice physical;
    VkDevice handle;
    struct VolkDeviceTable vk; // every call after device creation goes through this table
    VkQueue queue;
    VkCommandPool commands;
    VkPipelineLayout layout; // 128 bytes of push constants, nothing else
    VkPhysicalDeviceMemoryProperties memory;
    double tick_seconds; // of a timestamp
    double rate;         // flops + bytes a second seen so far: keeps submits short
    struct block *blocks;
    struct buffer **buffers; // live ones, sorted by address
    size_t buffer_count, buffer_capacity;
    uint64_t bytes_used, bytes_peak;
    struct pipeline *pipelines; // made so far
    size_t pipeline_count, pipeline_capacity;
    void *tuning;        // of ops/tune.h, freed at close
    struct profile_row *profile; // NULL unless asked for
    size_t profile_count, profile_capacity;
    struct trace *trace;    // of vk/trace.h, NULL unless asked for
    struct hazard *hazard;  // of vk/hazard.h, NULL unless asked for
    struct account account; // where time and work go
    uint32_t epoch; // barriers recorded so far; recordings must not be interleaved
    uint64_t recordings; // begun so far
    uint64_t limit; // bytes that buffers may take; 0: what the device has
    uint32_t validation_errors;
    bool inspect, strict;
    bool stuck; // a submit has not come back: nothing is waited for or given back any more
    // For a diagnosis (ops/watch.h): told of each dispatch behind its recording, and may record
    // more; new buffers start as zeros instead of whatever was there.
    void (*recorded)(void *user, struct cmd *cmd, const struct dispatch *dispatch);
    void *recorded_user;
    bool clear_new;
};

// Lists at most `capacity` devices in the loader's order; *count is how many there are.
// Fails with STATUS_NO_DEVICE when Vulkan itself is missing.
bool device_list(struct device_info *infos, uint32_t capacity, uint32_t *count);

// Which of them device_options.name means; fails with STATUS_NO_DEVICE if none.
bool device_pick(const struct device_info *infos, uint32_t count, const char *name,
                 uint32_t *index);

bool device_open(struct device *dev, const struct device_options *options);
void device_close(struct device *dev);

// The pipeline of a shader with constant_id 0 set; made at first use, kept until close.
bool device_pipeline(struct device *dev, const struct shader *shader, uint32_t local,
                     VkPipeline *pipeline);

// A VkResult as a failure with its phase and the right exit code; true for VK_SUCCESS.
bool device_check(struct device *dev, VkResult result, const char *what);
const char *device_phase(const struct device *dev); // of the program, for messages

// Waits for a submit. One that takes minutes never comes back: that fails, and the device is stuck.
// *running: whether the device may still be at it.
bool device_wait(struct device *dev, VkFence fence, bool *running);

void device_profile_add(struct device *dev, const char *name, double seconds, double flops,
                        double bytes);
