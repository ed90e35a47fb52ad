// Matrix units: whether a device has them in the one form the shaders use, halves of 16 x 16 with
// sums in f32, shared by a subgroup; and what opening it then needs (VK_KHR_cooperative_matrix).
#pragma once
#include <stdbool.h>
#include <volk.h>

#ifndef VK_KHR_cooperative_matrix // headers before 1.3.255
#define VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR \
    ((VkStructureType)1000506000)
typedef struct VkPhysicalDeviceCooperativeMatrixFeaturesKHR {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
} VkPhysicalDeviceCooperativeMatrixFeaturesKHR;
#endif

// What must be enabled besides; the caller adds .f12 to its own VkPhysicalDeviceVulkan12Features.
struct cooperative {
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT sizes;
    const char *extensions[2];
};

bool cooperative_has(VkInstance instance, VkPhysicalDevice physical);

// Fills c and hangs it, and the features of `f12`, into the chain that begins with f12.
void cooperative_enable(struct cooperative *c, VkPhysicalDeviceVulkan12Features *f12);

bool extension_has(VkPhysicalDevice physical, const char *name);
