#define _GNU_SOURCE
#include "ref_inject.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const struct inject_row inject_table[INJECT_COUNT] = {
#define F(name, parameters, arguments, effect, ...) {#name, effect, {__VA_ARGS__}},
    INJECT_FUNCTIONS(F)
#undef F
};

struct inject *inject;

void inject_open(void)
{
    inject = mmap(NULL, sizeof *inject, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(inject != MAP_FAILED);
    *inject = (struct inject){.function = INJECT_NOTHING};
}

static struct { // what the loader has given
    PFN_vkGetInstanceProcAddr instance;
    PFN_vkGetDeviceProcAddr device;
#define F(name, parameters, arguments, effect, ...) PFN_##name name;
    INJECT_FUNCTIONS(F)
#undef F
    PFN_vkCreateDevice open; // behind what is in front of it here
    PFN_vkAllocateMemory allocate;
    PFN_vkGetPhysicalDeviceMemoryProperties memory;
    PFN_vkGetBufferMemoryRequirements requirements;
    VkDevice opened;
    VkResult after; // what a device that is lost, or does not come back, goes on to answer
} real;

static bool waits(enum inject_function f)
{
    return f == INJECT_vkWaitForFences || f == INJECT_vkDeviceWaitIdle;
}

// Is this call the one? The device itself is brought to rest before it is said to be lost or not
// to answer, so that what is given back afterwards is not in use.
static bool fires(enum inject_function f, VkResult *result)
{
    inject->calls[f]++;
    if (real.after == VK_TIMEOUT && waits(f)) {
        inject->endless |= f == INJECT_vkDeviceWaitIdle;
        *result = VK_TIMEOUT;
        return true;
    }
    if (real.after == VK_ERROR_DEVICE_LOST &&
        (waits(f) || f == INJECT_vkQueueSubmit || f == INJECT_vkGetQueryPoolResults)) {
        *result = VK_ERROR_DEVICE_LOST;
        return true;
    }
    if (inject->fired || f != inject->function || inject->calls[f] != inject->at) return false;
    inject->fired = true;
    *result = inject->result;
    if (*result == VK_TIMEOUT || *result == VK_ERROR_DEVICE_LOST) {
        real.after = *result;
        if (real.opened) real.vkDeviceWaitIdle(real.opened);
    }
    return true;
}

#define F(name, parameters, arguments, effect, ...)                                                \
    static VKAPI_ATTR VkResult VKAPI_CALL front_##name parameters                                  \
    {                                                                                              \
        VkResult result = VK_SUCCESS;                                                              \
        return fires(INJECT_##name, &result) ? result : real.name arguments;                       \
    }
INJECT_FUNCTIONS(F)
#undef F

static VKAPI_ATTR VkResult VKAPI_CALL opened(VkPhysicalDevice a, const VkDeviceCreateInfo *b,
                                             const VkAllocationCallbacks *c, VkDevice *d)
{
    VkResult result = real.open(a, b, c, d);
    real.opened = result == VK_SUCCESS ? *d : VK_NULL_HANDLE;
    return result;
}

// The card has memory of type 0, its own, and 1, which the host sees; both are the driver's 0.
static VKAPI_ATTR void VKAPI_CALL card_memory(VkPhysicalDevice a,
                                              VkPhysicalDeviceMemoryProperties *memory)
{
    real.memory(a, memory);
    if (!inject->card) return;
    inject->refused = memory->memoryTypeCount != 1;
    memory->memoryTypeCount = 2;
    memory->memoryTypes[0].propertyFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    memory->memoryTypes[1] = (VkMemoryType){.propertyFlags = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                                             VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                            .heapIndex = memory->memoryTypes[0].heapIndex};
}

static VKAPI_ATTR void VKAPI_CALL card_requirements(VkDevice a, VkBuffer b,
                                                    VkMemoryRequirements *needs)
{
    real.requirements(a, b, needs);
    if (inject->card) needs->memoryTypeBits = 3;
}

static VKAPI_ATTR VkResult VKAPI_CALL card_allocate(VkDevice a, const VkMemoryAllocateInfo *b,
                                                    const VkAllocationCallbacks *c,
                                                    VkDeviceMemory *d)
{
    VkMemoryAllocateInfo info = *b;
    if (inject->card) info.memoryTypeIndex = 0;
    return real.allocate(a, &info, c, d);
}

// Puts ours in front of what the loader gave for `name`.
static PFN_vkVoidFunction in_front(const char *name, PFN_vkVoidFunction given)
{
    if (!given) return NULL;
#define FRONT(function, kept, ours)                                                                \
    if (strcmp(name, #function) == 0) {                                                            \
        real.kept = (PFN_##function)given;                                                         \
        given = (PFN_vkVoidFunction)(ours);                                                        \
    }
    FRONT(vkCreateDevice, open, opened)
    FRONT(vkAllocateMemory, allocate, card_allocate)
    FRONT(vkGetPhysicalDeviceMemoryProperties, memory, card_memory)
    FRONT(vkGetBufferMemoryRequirements, requirements, card_requirements)
#define F(function, parameters, arguments, effect, ...)                                            \
    FRONT(function, function, front_##function)
    INJECT_FUNCTIONS(F)
#undef F
#undef FRONT
    return given;
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL of_device(VkDevice device, const char *name)
{
    return in_front(name, real.device(device, name));
}

static VKAPI_ATTR PFN_vkVoidFunction VKAPI_CALL of_instance(VkInstance instance, const char *name)
{
    PFN_vkVoidFunction given = real.instance(instance, name);
    if (strcmp(name, "vkGetDeviceProcAddr") == 0 && given) {
        real.device = (PFN_vkGetDeviceProcAddr)given;
        return (PFN_vkVoidFunction)of_device;
    }
    return in_front(name, given);
}

// ---- what the linker puts in front: --wrap=NAME makes every NAME of the program __wrap_NAME ----

VkResult __wrap_volkInitialize(void);
VkResult __real_volkInitialize(void);
void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_realloc(void *old, size_t size);

VkResult __wrap_volkInitialize(void)
{
    VkResult result = __real_volkInitialize();
    if (result != VK_SUCCESS || !inject) return result;
    real.instance = vkGetInstanceProcAddr;
    volkInitializeCustom(of_instance);
    return result;
}

static bool starves(void)
{
    if (!inject || !inject->watching) return false;
    uint64_t call = ++inject->calls[INJECT_MEMORY];
    if (inject->function != INJECT_MEMORY || call != inject->at) return false;
    inject->fired = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return starves() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return starves() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return starves() ? NULL : __real_realloc(old, size);
}
