// Faults on purpose, in this process: one call of one Vulkan function fails, or one allocation of
// host memory. Nothing in src/ knows of it: the linker puts these in front (see CMakeLists.txt),
// as it does with volkInitialize, malloc, calloc and realloc.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <volk.h>

// What a failing call means for the run.
enum inject_effect {
    STOPS,    // the run fails
    STOPS_3,  // it fails with STATUS_NO_DEVICE, unless memory is out
    GOES_ON,  // nothing is lost by it: the run ends as if it had not happened
};

// Every Vulkan function of src/ that can fail: its parameters, their names, what it may answer,
// and what that means. test_inject holds this list against the sources.
#define INJECT_FUNCTIONS(F)                                                                        \
    F(vkCreateInstance,                                                                            \
      (const VkInstanceCreateInfo *a, const VkAllocationCallbacks *b, VkInstance *c), (a, b, c),   \
      STOPS_3, VK_ERROR_INCOMPATIBLE_DRIVER, VK_ERROR_OUT_OF_HOST_MEMORY,                          \
      VK_ERROR_INITIALIZATION_FAILED)                                                              \
    F(vkEnumeratePhysicalDevices, (VkInstance a, uint32_t *b, VkPhysicalDevice *c), (a, b, c),     \
      STOPS_3, VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_OUT_OF_HOST_MEMORY,                        \
      VK_ERROR_OUT_OF_DEVICE_MEMORY)                                                               \
    /* Without the list of extensions there are no matrix units, which are not needed. */          \
    F(vkEnumerateDeviceExtensionProperties,                                                        \
      (VkPhysicalDevice a, const char *b, uint32_t *c, VkExtensionProperties *d), (a, b, c, d),    \
      GOES_ON, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)                         \
    F(vkCreateDebugUtilsMessengerEXT,                                                              \
      (VkInstance a, const VkDebugUtilsMessengerCreateInfoEXT *b, const VkAllocationCallbacks *c,  \
       VkDebugUtilsMessengerEXT *d), (a, b, c, d),                                                 \
      STOPS, VK_ERROR_OUT_OF_HOST_MEMORY)                                                          \
    F(vkCreateDevice,                                                                              \
      (VkPhysicalDevice a, const VkDeviceCreateInfo *b, const VkAllocationCallbacks *c,            \
       VkDevice *d), (a, b, c, d),                                                                 \
      STOPS_3, VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_HOST_MEMORY,  \
      VK_ERROR_EXTENSION_NOT_PRESENT, VK_ERROR_FEATURE_NOT_PRESENT, VK_ERROR_TOO_MANY_OBJECTS)     \
    F(vkCreateCommandPool,                                                                         \
      (VkDevice a, const VkCommandPoolCreateInfo *b, const VkAllocationCallbacks *c,               \
       VkCommandPool *d), (a, b, c, d),                                                            \
      STOPS, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)                           \
    F(vkCreatePipelineLayout,                                                                      \
      (VkDevice a, const VkPipelineLayoutCreateInfo *b, const VkAllocationCallbacks *c,            \
       VkPipelineLayout *d), (a, b, c, d),                                                         \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY)                           \
    F(vkCreateBuffer,                                                                              \
      (VkDevice a, const VkBufferCreateInfo *b, const VkAllocationCallbacks *c, VkBuffer *d),      \
      (a, b, c, d),                                                                                \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY)                           \
    F(vkAllocateMemory,                                                                            \
      (VkDevice a, const VkMemoryAllocateInfo *b, const VkAllocationCallbacks *c,                  \
       VkDeviceMemory *d), (a, b, c, d),                                                           \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY,                           \
      VK_ERROR_TOO_MANY_OBJECTS)                                                                   \
    F(vkBindBufferMemory, (VkDevice a, VkBuffer b, VkDeviceMemory c, VkDeviceSize d),              \
      (a, b, c, d), STOPS, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)             \
    F(vkMapMemory,                                                                                 \
      (VkDevice a, VkDeviceMemory b, VkDeviceSize c, VkDeviceSize d, VkMemoryMapFlags e,           \
       void **f), (a, b, c, d, e, f),                                                              \
      STOPS, VK_ERROR_MEMORY_MAP_FAILED, VK_ERROR_OUT_OF_HOST_MEMORY)                              \
    F(vkCreateShaderModule,                                                                        \
      (VkDevice a, const VkShaderModuleCreateInfo *b, const VkAllocationCallbacks *c,              \
       VkShaderModule *d), (a, b, c, d),                                                           \
      STOPS, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)                           \
    F(vkCreateComputePipelines,                                                                    \
      (VkDevice a, VkPipelineCache b, uint32_t c, const VkComputePipelineCreateInfo *d,            \
       const VkAllocationCallbacks *e, VkPipeline *f), (a, b, c, d, e, f),                         \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY)                           \
    F(vkAllocateCommandBuffers,                                                                    \
      (VkDevice a, const VkCommandBufferAllocateInfo *b, VkCommandBuffer *c), (a, b, c),           \
      STOPS, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)                           \
    F(vkBeginCommandBuffer, (VkCommandBuffer a, const VkCommandBufferBeginInfo *b), (a, b),        \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY)                           \
    F(vkEndCommandBuffer, (VkCommandBuffer a), (a),                                                \
      STOPS, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)                           \
    F(vkCreateFence,                                                                               \
      (VkDevice a, const VkFenceCreateInfo *b, const VkAllocationCallbacks *c, VkFence *d),        \
      (a, b, c, d),                                                                                \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY, VK_ERROR_OUT_OF_HOST_MEMORY)                           \
    F(vkQueueSubmit, (VkQueue a, uint32_t b, const VkSubmitInfo *c, VkFence d), (a, b, c, d),      \
      STOPS, VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_DEVICE_LOST,              \
      VK_ERROR_OUT_OF_DEVICE_MEMORY)                                                               \
    F(vkWaitForFences,                                                                             \
      (VkDevice a, uint32_t b, const VkFence *c, VkBool32 d, uint64_t e), (a, b, c, d, e),         \
      STOPS, VK_TIMEOUT, VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_HOST_MEMORY, VK_TIMEOUT,            \
      VK_ERROR_OUT_OF_DEVICE_MEMORY)                                                               \
    F(vkResetFences, (VkDevice a, uint32_t b, const VkFence *c), (a, b, c),                        \
      STOPS, VK_ERROR_OUT_OF_DEVICE_MEMORY)                                                        \
    F(vkCreateQueryPool,                                                                           \
      (VkDevice a, const VkQueryPoolCreateInfo *b, const VkAllocationCallbacks *c,                 \
       VkQueryPool *d), (a, b, c, d),                                                              \
      STOPS, VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY)                           \
    F(vkGetQueryPoolResults,                                                                       \
      (VkDevice a, VkQueryPool b, uint32_t c, uint32_t d, size_t e, void *f, VkDeviceSize g,       \
       VkQueryResultFlags h), (a, b, c, d, e, f, g, h),                                            \
      STOPS, VK_ERROR_DEVICE_LOST, VK_ERROR_OUT_OF_HOST_MEMORY, VK_NOT_READY)                      \
    /* Before everything is given back: who waits for the end has all he wanted. */                \
    F(vkDeviceWaitIdle, (VkDevice a), (a), GOES_ON, VK_ERROR_DEVICE_LOST,                          \
      VK_ERROR_OUT_OF_HOST_MEMORY)

enum inject_function {
#define F(name, parameters, arguments, effect, ...) INJECT_##name,
    INJECT_FUNCTIONS(F)
#undef F
    INJECT_COUNT,
    INJECT_MEMORY = INJECT_COUNT, // an allocation of host memory
    INJECT_NOTHING,
};

enum { INJECT_RESULTS = 6 };

struct inject_row {
    const char *name;
    enum inject_effect effect;
    VkResult results[INJECT_RESULTS]; // zero: no more
};
extern const struct inject_row inject_table[INJECT_COUNT];

// What is to happen and what did: shared with the process that runs it.
struct inject {
    enum inject_function function;
    uint64_t at;     // which of its calls, from 1
    VkResult result; // of that call
    bool card;       // the host does not see the device's memory, as on a card of its own
    bool watching;   // allocations count
    uint64_t calls[INJECT_COUNT + 1];
    bool fired;
    bool refused;    // the card: this driver's memory cannot be shown so
    bool endless;    // after a call that timed out one came that would never have come back
};
extern struct inject *inject;

void inject_open(void); // makes *inject
