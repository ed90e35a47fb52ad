#include "vk/cooperative.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *const matrix_name = "VK_KHR_cooperative_matrix";
static const char *const sizes_name = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;

// The extension's own declarations, under names that no header has.
enum { TYPE_F16 = 0, TYPE_F32 = 1, SCOPE_SUBGROUP = 3, SIDE = 16, FORMS_MAX = 256 };
static const VkStructureType FORM_TYPE = (VkStructureType)1000506001;

struct form { // VkCooperativeMatrixPropertiesKHR: A is m x k, B is k x n
    VkStructureType type;
    void *next;
    uint32_t m, n, k;
    uint32_t a_type, b_type, c_type, result_type;
    VkBool32 saturates;
    uint32_t scope;
};
typedef VkResult(VKAPI_PTR *forms_get)(VkPhysicalDevice, uint32_t *, struct form *);

bool extension_has(VkPhysicalDevice physical, const char *name)
{
    uint32_t count = 0;
    if (vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL) != VK_SUCCESS)
        return false;
    VkExtensionProperties *list = mem_new(count, sizeof *list, "the list of extensions");
    bool found = false;
    if (list && vkEnumerateDeviceExtensionProperties(physical, NULL, &count, list) >= VK_SUCCESS)
        for (uint32_t i = 0; i < count; i++) found |= strcmp(list[i].extensionName, name) == 0;
    free(list);
    return found;
}

static bool form_has(VkInstance instance, VkPhysicalDevice physical)
{
    forms_get get = (forms_get)vkGetInstanceProcAddr(
        instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    struct form forms[FORMS_MAX];
    uint32_t count = FORMS_MAX;
    for (int i = 0; i < FORMS_MAX; i++) forms[i] = (struct form){.type = FORM_TYPE};
    if (!get || get(physical, &count, forms) < VK_SUCCESS) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct form *f = &forms[i];
        if (f->m == SIDE && f->n == SIDE && f->k == SIDE && f->a_type == TYPE_F16 &&
            f->b_type == TYPE_F16 && f->c_type == TYPE_F32 && f->result_type == TYPE_F32 &&
            f->scope == SCOPE_SUBGROUP)
            return true;
    }
    return false;
}

// Subgroups of the device's own size can be asked for, whole ones.
static bool sizes_fit(VkPhysicalDevice physical)
{
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceVulkan11Properties p11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES, .pNext = &sizes};
    VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
                                     .pNext = &p11};
    vkGetPhysicalDeviceProperties2(physical, &p);
    return p11.subgroupSize >= sizes.minSubgroupSize && p11.subgroupSize <= sizes.maxSubgroupSize &&
           (sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
           (p11.subgroupSupportedOperations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT);
}

static void chain(struct cooperative *c, VkPhysicalDeviceVulkan12Features *f12)
{
    *c = (struct cooperative){
        .matrix = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR},
        .sizes = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT},
        .extensions = {matrix_name, sizes_name}};
    c->sizes.pNext = f12->pNext;
    c->matrix.pNext = &c->sizes;
    f12->pNext = &c->matrix;
}

bool cooperative_has(VkInstance instance, VkPhysicalDevice physical)
{
    if (!extension_has(physical, matrix_name) || !extension_has(physical, sizes_name)) return false;
    struct cooperative c;
    VkPhysicalDeviceVulkan12Features f12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    chain(&c, &f12);
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &f12};
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return f12.shaderFloat16 && f12.vulkanMemoryModel && c.matrix.cooperativeMatrix &&
           c.sizes.subgroupSizeControl && c.sizes.computeFullSubgroups && sizes_fit(physical) &&
           form_has(instance, physical);
}

void cooperative_enable(struct cooperative *c, VkPhysicalDeviceVulkan12Features *f12)
{
    chain(c, f12);
    c->matrix.cooperativeMatrix = VK_TRUE;
    c->sizes.subgroupSizeControl = c->sizes.computeFullSubgroups = VK_TRUE;
    f12->shaderFloat16 = f12->vulkanMemoryModel = VK_TRUE;
}
