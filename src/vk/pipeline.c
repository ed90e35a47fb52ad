#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "vk/buffer.h"
#include "vk/device.h"
#include "vk/hazard.h"
#include "vk/strict.h"
#include "vk/trace.h"

struct pipeline {
    const struct shader *shader;
    uint32_t local;
    VkPipeline handle;
};

static VkResult pipeline_make(struct device *dev, const struct shader *shader,
                              uint32_t local, VkPipeline *pipeline)
{
    VkShaderModuleCreateInfo code = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = shader->bytes,
                                     .pCode = shader->code};
    uint32_t *strict = NULL;
    if (dev->strict) {
        if (!strict_code(shader, &strict, &code.codeSize)) return VK_ERROR_UNKNOWN;
        code.pCode = strict;
    }
    VkShaderModule module;
    VkResult result = dev->vk.vkCreateShaderModule(dev->handle, &code, NULL, &module);
    free(strict);
    if (result != VK_SUCCESS) return result;
    VkSpecializationMapEntry entry = {.constantID = 0, .offset = 0, .size = sizeof local};
    VkSpecializationInfo special = {.mapEntryCount = local ? 1 : 0,
                                    .pMapEntries = &entry,
                                    .dataSize = sizeof local,
                                    .pData = &local};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT size = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = dev->info.subgroup};
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &special},
        .layout = dev->layout};
    if (shader->matrix_units) {
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
        info.stage.pNext = &size;
    }
    if (dev->inspect)
        info.flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR |
                     VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    result = dev->vk.vkCreateComputePipelines(dev->handle, VK_NULL_HANDLE, 1, &info, NULL,
                                              pipeline);
    dev->vk.vkDestroyShaderModule(dev->handle, module, NULL);
    return result;
}

bool device_pipeline(struct device *dev, const struct shader *shader, uint32_t local,
                     VkPipeline *pipeline)
{
    for (size_t i = 0; i < dev->pipeline_count; i++) {
        const struct pipeline *p = &dev->pipelines[i];
        if (p->shader == shader && p->local == local) {
            *pipeline = p->handle;
            return true;
        }
    }
    // A broadcast from a lane the subgroup does not have gives wrong numbers without a word.
    if (shader->width > dev->info.subgroup)
        return fail(STATUS_NO_DEVICE, "shader %s: got a subgroup of %u lanes, wanted %u",
                    shader->name, dev->info.subgroup, shader->width);
    if (shader->matrix_units && !dev->info.matrix_units)
        return fail(STATUS_NO_DEVICE, "shader %s: %s has no matrix units", shader->name,
                    dev->info.name);
    if (!mem_grow(&dev->pipelines, &dev->pipeline_capacity, dev->pipeline_count + 1,
                  sizeof *dev->pipelines, "pipelines"))
        return false;
    struct pipeline made = {.shader = shader, .local = local};
    double started = log_clock();
    enum host before = account_host(&dev->account, HOST_COMPILE);
    bool ok = device_check(dev, pipeline_make(dev, shader, local, &made.handle), shader->name);
    account_host(&dev->account, before);
    if (!ok) return false;
    log_detail("pipeline %s (%u threads): %.0f ms", shader->name, local,
               1e3 * (log_clock() - started));
    dev->pipelines[dev->pipeline_count++] = made;
    *pipeline = made.handle;
    return true;
}

void device_close(struct device *dev)
{
    if (dev->handle && !dev->stuck) {
        dev->vk.vkDeviceWaitIdle(dev->handle);
        for (size_t i = 0; i < dev->pipeline_count; i++)
            dev->vk.vkDestroyPipeline(dev->handle, dev->pipelines[i].handle, NULL);
        buffers_close(dev);
        if (dev->layout) dev->vk.vkDestroyPipelineLayout(dev->handle, dev->layout, NULL);
        if (dev->commands) dev->vk.vkDestroyCommandPool(dev->handle, dev->commands, NULL);
        dev->vk.vkDestroyDevice(dev->handle, NULL);
    }
    if (dev->stuck) buffers_close(dev); // what the host has of them
    if (dev->messenger && !dev->stuck)
        vkDestroyDebugUtilsMessengerEXT(dev->instance, dev->messenger, NULL);
    if (dev->instance && !dev->stuck) vkDestroyInstance(dev->instance, NULL);
    free(dev->pipelines);
    free(dev->profile);
    free(dev->tuning);
    trace_close(dev);
    hazard_close(dev);
    *dev = (struct device){0};
}
