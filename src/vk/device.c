#include "vk/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "vk/buffer.h"
#include "vk/cooperative.h"
#include "vk/hazard.h"

// No submit is meant to take a second (vk/cmd.c), on any device. The wait is cut into turns: a
// program that was stopped for hours, or a laptop that slept, has lost one of them.
enum { WAIT_SECONDS = 120, WAIT_TURNS = 12 };

static const char *result_name(VkResult result)
{
    switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "out of device memory";
    case VK_ERROR_INITIALIZATION_FAILED: return "initialisation failed";
    case VK_ERROR_DEVICE_LOST: return "device lost";
    case VK_ERROR_MEMORY_MAP_FAILED: return "mapping failed";
    case VK_ERROR_LAYER_NOT_PRESENT: return "layer not present";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "extension not present";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "feature not present";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "incompatible driver";
    case VK_TIMEOUT: return "no answer in time";
    default: return "unexpected result";
    }
}

static enum status status_of(VkResult result, bool opened)
{
    if (result == VK_ERROR_OUT_OF_HOST_MEMORY || result == VK_ERROR_OUT_OF_DEVICE_MEMORY)
        return STATUS_NO_MEMORY;
    return opened ? STATUS_FAILED : STATUS_NO_DEVICE;
}

const char *device_phase(const struct device *dev)
{
    const char *name = account_now(&dev->account);
    return *name ? name : "device";
}

bool device_check(struct device *dev, VkResult result, const char *what)
{
    if (result == VK_SUCCESS) return true;
    return fail(status_of(result, dev->handle != NULL), "%s: %s: %s (VkResult %d)",
                device_phase(dev), what, result_name(result), (int)result);
}

bool device_wait(struct device *dev, VkFence fence, bool *running)
{
    if (dev->stuck) return false;
    VkResult result = VK_TIMEOUT;
    for (int i = 0; i < WAIT_TURNS && result == VK_TIMEOUT; i++)
        result = dev->vk.vkWaitForFences(dev->handle, 1, &fence, VK_TRUE,
                                         WAIT_SECONDS / WAIT_TURNS * 1000000000ull);
    *running = result != VK_SUCCESS && result != VK_ERROR_DEVICE_LOST;
    dev->stuck = result == VK_TIMEOUT;
    if (dev->stuck)
        return fail(STATUS_FAILED, "%s: the device has not answered for %d seconds",
                    device_phase(dev), WAIT_SECONDS);
    return device_check(dev, result, "waiting for the device");
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *user)
{
    (void)types;
    struct device *dev = user;
    if (severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT) {
        dev->validation_errors++;
        log_warn("validation: %s", data->pMessage);
    }
    return VK_FALSE;
}

static bool instance_open(VkInstance *instance, bool validate)
{
    if (volkInitialize() != VK_SUCCESS)
        return fail(STATUS_NO_DEVICE, "no Vulkan loader: libvulkan.so.1 was not found; install "
                                      "your GPU's driver, or mesa-vulkan-drivers for the CPU");
    const char *layer = "VK_LAYER_KHRONOS_validation";
    const char *extension = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    VkApplicationInfo app = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                             .pApplicationName = "oedit",
                             .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                 .pApplicationInfo = &app,
                                 .enabledLayerCount = validate ? 1 : 0,
                                 .ppEnabledLayerNames = &layer,
                                 .enabledExtensionCount = validate ? 1 : 0,
                                 .ppEnabledExtensionNames = &extension};
    VkResult result = vkCreateInstance(&info, NULL, instance);
    if (result == VK_ERROR_LAYER_NOT_PRESENT)
        return fail(STATUS_USAGE, "--validate: the layer %s is not installed", layer);
    if (result != VK_SUCCESS)
        return fail(status_of(result, false), "no usable Vulkan driver: %s (VkResult %d)",
                    result_name(result), (int)result);
    volkLoadInstanceOnly(*instance);
    return true;
}

static const char *type_name(VkPhysicalDeviceType type, uint32_t *rank)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: *rank = 0; return "discrete GPU";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: *rank = 1; return "integrated GPU";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: *rank = 2; return "virtual GPU";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: *rank = 4; return "CPU";
    default: *rank = 3; return "other";
    }
}

static void info_read(VkInstance instance, VkPhysicalDevice physical, struct device_info *info)
{
    VkPhysicalDeviceVulkan12Properties p12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES};
    VkPhysicalDeviceVulkan11Properties p11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &p12};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &p11};
    VkPhysicalDeviceProperties first;
    vkGetPhysicalDeviceProperties(physical, &first);
    *info = (struct device_info){.api = first.apiVersion};
    snprintf(info->version, sizeof info->version, "%u.%u", VK_API_VERSION_MAJOR(first.apiVersion),
             VK_API_VERSION_MINOR(first.apiVersion));
    p.properties = first;
    if (first.apiVersion >= VK_API_VERSION_1_2) vkGetPhysicalDeviceProperties2(physical, &p);
    snprintf(info->name, sizeof info->name, "%s", p.properties.deviceName);
    snprintf(info->driver, sizeof info->driver, "%.120s %.120s", p12.driverName, p12.driverInfo);
    info->type = type_name(p.properties.deviceType, &info->rank);
    info->subgroup = p11.subgroupSize;
    info->invocations = p.properties.limits.maxComputeWorkGroupInvocations;
    info->shared_bytes = p.properties.limits.maxComputeSharedMemorySize;
    info->push_bytes = p.properties.limits.maxPushConstantsSize;
    info->allocation = p11.maxMemoryAllocationSize;
    VkPhysicalDeviceFeatures features;
    vkGetPhysicalDeviceFeatures(physical, &features);
    info->int64 = features.shaderInt64;
    info->matrix_units =
        first.apiVersion >= VK_API_VERSION_1_2 && cooperative_has(instance, physical);
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++)
        if ((memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) &&
            memory.memoryHeaps[i].size > info->memory)
            info->memory = memory.memoryHeaps[i].size;
}

enum { DEVICES_MAX = 32, EXTENSIONS_MAX = 4 };

bool device_list(struct device_info *infos, uint32_t capacity, uint32_t *count)
{
    VkInstance instance = VK_NULL_HANDLE;
    if (!instance_open(&instance, false)) return false;
    VkPhysicalDevice physical[DEVICES_MAX];
    *count = DEVICES_MAX;
    VkResult result = vkEnumeratePhysicalDevices(instance, count, physical);
    bool ok = result == VK_INCOMPLETE || result == VK_SUCCESS;
    if (!ok)
        fail(status_of(result, false), "listing devices: %s (VkResult %d)", result_name(result),
             (int)result);
    for (uint32_t i = 0; ok && i < *count && i < capacity; i++)
        info_read(instance, physical[i], &infos[i]);
    vkDestroyInstance(instance, NULL);
    return ok;
}

// Case-blind search of a part in a name.
static bool contains(const char *name, const char *part)
{
    size_t length = strlen(part);
    for (; *name; name++) {
        size_t i = 0;
        while (i < length && name[i] &&
               tolower((unsigned char)name[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length) return true;
    }
    return false;
}

bool device_pick(const struct device_info *infos, uint32_t count, const char *wanted,
                 uint32_t *index)
{
    char *end = NULL;
    unsigned long number = wanted && *wanted ? strtoul(wanted, &end, 10) : 0;
    *index = UINT32_MAX;
    if (wanted && end && *end == '\0') {
        *index = (uint32_t)number;
        return number < count ||
               fail(STATUS_NO_DEVICE, "--device %s: wanted 0 to %u (see oedit devices)", wanted,
                    count - 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (wanted && !contains(infos[i].name, wanted) && !contains(infos[i].driver, wanted))
            continue;
        if (*index == UINT32_MAX || infos[i].rank < infos[*index].rank) *index = i;
    }
    return *index != UINT32_MAX ||
           fail(STATUS_NO_DEVICE, "--device %s: no device or driver of that name (see oedit "
                                  "devices)", wanted);
}

static bool choose(struct device *dev, const char *wanted)
{
    VkPhysicalDevice physical[DEVICES_MAX];
    uint32_t count = DEVICES_MAX, best;
    VkResult result = vkEnumeratePhysicalDevices(dev->instance, &count, physical);
    if (result != VK_INCOMPLETE && !device_check(dev, result, "listing devices")) return false;
    if (count == 0)
        return fail(STATUS_NO_DEVICE, "no Vulkan device: the loader found no driver; install your "
                                      "GPU's driver, or mesa-vulkan-drivers for the CPU");
    struct device_info infos[DEVICES_MAX];
    for (uint32_t i = 0; i < count; i++) info_read(dev->instance, physical[i], &infos[i]);
    if (!device_pick(infos, count, wanted, &best)) return false;
    dev->physical = physical[best];
    dev->info = infos[best];
    return true;
}

// Everything the shaders rely on, by name; the poorest device we promise to run on is SwiftShader.
static bool requirements(const struct device *dev, VkPhysicalDeviceVulkan12Features *wanted)
{
    const struct device_info *info = &dev->info;
    const char *missing = NULL;
    if (info->api < VK_API_VERSION_1_2)
        return fail(STATUS_NO_DEVICE, "%s: got Vulkan %s, wanted 1.2", info->name,
                    info->version);
    VkPhysicalDeviceVulkan12Features have = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &have};
    vkGetPhysicalDeviceFeatures2(dev->physical, &features);
    VkPhysicalDeviceVulkan11Properties p11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &p11};
    vkGetPhysicalDeviceProperties2(dev->physical, &p);
    if (!have.bufferDeviceAddress) missing = "bufferDeviceAddress";
    if (!(p11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_BALLOT_BIT) ||
        !(p11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT))
        missing = "subgroup ballot operations in compute shaders";
    if (info->subgroup < 4) missing = "a subgroup of 4 lanes or more";
    if (info->push_bytes < 128) missing = "128 bytes of push constants";
    if (info->invocations < 256) missing = "256 invocations a workgroup";
    if (info->shared_bytes < 16384) missing = "16 KiB of shared memory";
    if (missing) return fail(STATUS_NO_DEVICE, "%s lacks %s", info->name, missing);
    *wanted = (VkPhysicalDeviceVulkan12Features){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
        .bufferDeviceAddress = VK_TRUE};
    return true;
}

static bool queue_family(const struct device *dev, uint32_t *family, uint32_t *timestamp_bits)
{
    VkQueueFamilyProperties families[16];
    uint32_t count = 16;
    vkGetPhysicalDeviceQueueFamilyProperties(dev->physical, &count, families);
    for (uint32_t i = 0; i < count; i++)
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            *family = i;
            *timestamp_bits = families[i].timestampValidBits;
            return true;
        }
    return fail(STATUS_NO_DEVICE, "%s has no compute queue", dev->info.name);
}

// What a device is opened with beyond its requirements.
struct extras {
    const char *extensions[EXTENSIONS_MAX];
    uint32_t count;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR inspection;
    struct cooperative cooperative;
};

// Hangs the extras' features into the chain that begins with `wanted`.
static bool extras_choose(const struct device *dev, struct extras *extras,
                          VkPhysicalDeviceVulkan12Features *wanted)
{
    const char *name = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    extras->inspection = (VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    if (dev->inspect) {
        if (!extension_has(dev->physical, name))
            return fail(STATUS_NO_DEVICE, "%s lacks %s", dev->info.name, name);
        extras->extensions[extras->count++] = name;
        wanted->pNext = &extras->inspection;
    }
    if (dev->info.matrix_units) {
        cooperative_enable(&extras->cooperative, wanted);
        for (int i = 0; i < 2; i++)
            extras->extensions[extras->count++] = extras->cooperative.extensions[i];
    }
    return true;
}

static bool handle_open(struct device *dev, bool profile)
{
    VkPhysicalDeviceVulkan12Features wanted;
    struct extras extras = {0};
    uint32_t family = 0, bits = 0;
    if (!requirements(dev, &wanted) || !queue_family(dev, &family, &bits) ||
        !extras_choose(dev, &extras, &wanted))
        return false;
    if (profile && bits == 0)
        return fail(STATUS_NO_DEVICE, "--profile: %s has no timestamps", dev->info.name);
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                     .queueFamilyIndex = family,
                                     .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkPhysicalDeviceFeatures features = {.shaderInt64 = dev->info.int64};
    VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                               .pNext = &wanted,
                               .queueCreateInfoCount = 1,
                               .pQueueCreateInfos = &queue,
                               .enabledExtensionCount = extras.count,
                               .ppEnabledExtensionNames = extras.extensions,
                               .pEnabledFeatures = &features};
    VkDevice handle = VK_NULL_HANDLE;
    if (!device_check(dev, vkCreateDevice(dev->physical, &info, NULL, &handle),
                      "opening the device"))
        return false;
    dev->handle = handle;
    volkLoadDeviceTable(&dev->vk, dev->handle);
    dev->vk.vkGetDeviceQueue(dev->handle, family, 0, &dev->queue);
    vkGetPhysicalDeviceMemoryProperties(dev->physical, &dev->memory);
    VkPhysicalDeviceProperties properties;
    vkGetPhysicalDeviceProperties(dev->physical, &properties);
    dev->tick_seconds = 1e-9 * (double)properties.limits.timestampPeriod;
    VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                    .queueFamilyIndex = family};
    VkPushConstantRange range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = 128};
    VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                         .pushConstantRangeCount = 1,
                                         .pPushConstantRanges = &range};
    return device_check(dev, dev->vk.vkCreateCommandPool(dev->handle, &pool, NULL, &dev->commands),
                        "making a command pool") &&
           device_check(dev,
                        dev->vk.vkCreatePipelineLayout(dev->handle, &layout, NULL, &dev->layout),
                        "making a pipeline layout");
}

bool device_open(struct device *dev, const struct device_options *options)
{
    *dev = (struct device){.rate = 1e9, .inspect = options->inspect, .strict = options->strict};
    account_start(&dev->account, options->started > 0 ? options->started : log_clock());
    account_phase(&dev->account, "open device");
    if (!instance_open(&dev->instance, options->validate)) return false;
    bool ok = true;
    if (options->validate) {
        VkDebugUtilsMessengerCreateInfoEXT info = {
            .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
            .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
            .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
            .pfnUserCallback = on_message,
            .pUserData = dev};
        ok = device_check(dev, vkCreateDebugUtilsMessengerEXT(dev->instance, &info, NULL,
                                                              &dev->messenger),
                          "listening to --validate");
    }
    ok = ok && choose(dev, options->name);
    if (options->strict) dev->info.matrix_units = false; // they add as they like
    ok = ok && handle_open(dev, options->profile) && (!options->validate || hazard_open(dev));
    if (ok && options->profile) {
        dev->profile = mem_new(1, sizeof *dev->profile, "the profile");
        dev->profile_capacity = 1;
        ok = dev->profile != NULL;
    }
    account_phase(&dev->account, "");
    if (!ok) device_close(dev);
    return ok;
}

void device_profile_add(struct device *dev, const char *name, double seconds, double flops,
                        double bytes)
{
    size_t i = 0;
    while (i < dev->profile_count && strcmp(dev->profile[i].name, name) != 0) i++;
    if (i == dev->profile_count) {
        if (!mem_grow(&dev->profile, &dev->profile_capacity, i + 1, sizeof *dev->profile,
                      "the profile"))
            return;
        dev->profile[dev->profile_count++] = (struct profile_row){.name = name};
    }
    struct profile_row *row = &dev->profile[i];
    row->calls++;
    row->seconds += seconds;
    row->flops += flops;
    row->bytes += bytes;
}
