#include "vk/cmd.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "vk/buffer.h"
#include "vk/hazard.h"
#include "vk/trace.h"

// A submit should take this long; drivers reset devices that are busy for seconds.
static const double SUBMIT_SECONDS = 0.2;
enum { QUERIES = 4096, IN_FLIGHT = 4 };

struct timed { // a dispatch with timestamps 2i and 2i + 1
    const char *name;
    double flops, bytes;
};

struct segment {
    VkCommandBuffer commands;
    VkFence fence;
    VkQueryPool queries; // with --profile only
    struct timed *timed;
    size_t timed_count;
    struct work work; // of one run
    double submitted;
    bool running;
    const char *traced; // with a trace: the one operator in it, and what it writes
    struct buffer *written[CMD_POINTERS_MAX];
    uint32_t written_count;
    cmd_act *act; // of the host, before it is submitted
    void *user;
    uint32_t number;
    size_t after; // the pieces that act waits for
};

void cmd_start(struct cmd *cmd, struct device *dev, bool replayed)
{
    *cmd = (struct cmd){.dev = dev, .replayed = replayed, .serial = ++dev->recordings};
}

void cmd_part(struct cmd *cmd, const char *part, uint32_t number)
{
    cmd->part = part;
    cmd->number = number;
}

static void barrier(struct cmd *cmd, VkAccessFlags from, VkPipelineStageFlags from_stage,
                    VkAccessFlags to, VkPipelineStageFlags to_stage)
{
    VkMemoryBarrier memory = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                              .srcAccessMask = from,
                              .dstAccessMask = to};
    VkCommandBuffer commands = cmd->segments[cmd->segment_count - 1].commands;
    cmd->dev->vk.vkCmdPipelineBarrier(commands, from_stage, to_stage, 0, 1, &memory, 0, NULL, 0,
                                      NULL);
    cmd->epoch = ++cmd->dev->epoch;
}

static void barrier_compute(struct cmd *cmd)
{
    barrier(cmd, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
}

static void segment_free(struct device *dev, struct segment *s)
{
    if (s->running && !device_wait(dev, s->fence, &s->running) && s->running) dev->stuck = true;
    if (!dev->stuck) {
        if (s->commands) dev->vk.vkFreeCommandBuffers(dev->handle, dev->commands, 1, &s->commands);
        dev->vk.vkDestroyFence(dev->handle, s->fence, NULL);
        dev->vk.vkDestroyQueryPool(dev->handle, s->queries, NULL);
    }
    free(s->timed);
    *s = (struct segment){0};
}

static bool segment_make(struct cmd *cmd, struct segment *segment)
{
    struct device *dev = cmd->dev;
    VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                        .commandPool = dev->commands,
                                        .commandBufferCount = 1};
    VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                     .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                     .queryCount = 2 * QUERIES};
    if (!device_check(dev, dev->vk.vkAllocateCommandBuffers(dev->handle, &info, &segment->commands),
                      "making a command buffer") ||
        !device_check(dev, dev->vk.vkCreateFence(dev->handle, &fence, NULL, &segment->fence),
                      "making a fence"))
        return false;
    if (!dev->profile) return true;
    segment->timed = mem_new(QUERIES, sizeof *segment->timed, "the profile");
    return segment->timed &&
           device_check(dev,
                        dev->vk.vkCreateQueryPool(dev->handle, &queries, NULL, &segment->queries),
                        "making a query pool");
}

static bool segment_open(struct cmd *cmd)
{
    struct device *dev = cmd->dev;
    if (!mem_grow(&cmd->segments, &cmd->segment_capacity, cmd->segment_count + 1,
                  sizeof *cmd->segments, "command buffers"))
        return false;
    struct segment *segment = &cmd->segments[cmd->segment_count++];
    *segment = (struct segment){0};
    VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    if (!segment_make(cmd, segment) ||
        !device_check(dev, dev->vk.vkBeginCommandBuffer(segment->commands, &begin), "recording"))
        return false;
    cmd->open = true;
    cmd->cost = 0;
    segment->work.submits = 1;
    if (segment->queries)
        dev->vk.vkCmdResetQueryPool(segment->commands, segment->queries, 0, 2 * QUERIES);
    // Whatever ran before, on this queue or the host, is done and visible.
    barrier(cmd, VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_HOST_WRITE_BIT,
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_HOST_BIT,
            VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT,
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT);
    return true;
}

static bool segment_close(struct cmd *cmd)
{
    if (!cmd->open) return true;
    cmd->open = false;
    struct segment *segment = &cmd->segments[cmd->segment_count - 1];
    barrier(cmd, VK_ACCESS_SHADER_WRITE_BIT, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT,
            VK_ACCESS_HOST_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT,
            VK_PIPELINE_STAGE_HOST_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT);
    return device_check(cmd->dev, cmd->dev->vk.vkEndCommandBuffer(segment->commands), "recording");
}

static bool segment_wait(struct cmd *cmd, struct segment *segment);

static bool segment_act(struct cmd *cmd, const struct segment *segment)
{
    bool ok = true;
    if (!segment->act) return true;
    for (size_t i = 0; ok && i < segment->after; i++) ok = segment_wait(cmd, &cmd->segments[i]);
    return ok && segment->act(segment->user, segment->number);
}

static bool segment_submit(struct cmd *cmd, struct segment *segment)
{
    struct device *dev = cmd->dev;
    if (!segment_act(cmd, segment)) return false;
    VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                           .commandBufferCount = 1,
                           .pCommandBuffers = &segment->commands};
    segment->submitted = log_clock();
    enum host before = account_host(&dev->account, HOST_DEVICE);
    segment->running = device_check(
        dev, dev->vk.vkQueueSubmit(dev->queue, 1, &submit, segment->fence), "submitting");
    if (segment->running) account_work(&dev->account, &segment->work);
    account_host(&dev->account, before);
    return segment->running;
}

static bool segment_times(struct cmd *cmd, struct segment *segment)
{
    struct device *dev = cmd->dev;
    if (!segment->timed_count) return true;
    uint64_t *ticks = mem_new(2 * segment->timed_count, sizeof *ticks, "the profile");
    if (!ticks) return false;
    uint32_t count = (uint32_t)(2 * segment->timed_count);
    bool ok = device_check(dev, dev->vk.vkGetQueryPoolResults(
                               dev->handle, segment->queries, 0, count, count * sizeof *ticks,
                               ticks, sizeof *ticks,
                               VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                           "reading timestamps");
    for (size_t i = 0; ok && i < segment->timed_count; i++) {
        const struct timed *t = &segment->timed[i];
        double seconds = (double)(ticks[2 * i + 1] - ticks[2 * i]) * dev->tick_seconds;
        device_profile_add(dev, t->name, seconds, t->flops, t->bytes);
        account_timed(&dev->account, seconds);
    }
    free(ticks);
    return ok;
}

static bool segment_wait(struct cmd *cmd, struct segment *segment)
{
    struct device *dev = cmd->dev;
    if (!segment->running) return true;
    enum host before = account_host(&dev->account, HOST_DEVICE);
    bool ok = device_wait(dev, segment->fence, &segment->running) &&
              device_check(dev, dev->vk.vkResetFences(dev->handle, 1, &segment->fence),
                           "resetting a fence") &&
              segment_times(cmd, segment) &&
              (!segment->traced ||
               trace_add(dev, segment->traced, segment->written, segment->written_count));
    account_host(&dev->account, before);
    return ok;
}

// Learns how fast the device is, so that the next recordings are cut to SUBMIT_SECONDS.
static void learn(struct device *dev, double cost, double seconds)
{
    if (cost < 1e7 || seconds <= 0) return;
    double rate = cost / seconds;
    dev->rate = 0.5 * dev->rate + 0.5 * (rate < 4 * dev->rate ? rate : 4 * dev->rate);
}

// While a one-time recording grows, its finished pieces already run.
static bool segment_send(struct cmd *cmd)
{
    const bool profile = cmd->dev->profile != NULL;
    if (!segment_close(cmd)) return false;
    if (cmd->segment_count - cmd->waited >= IN_FLIGHT) {
        struct segment *oldest = &cmd->segments[cmd->waited++];
        double cost = oldest->work.flops + oldest->work.bytes;
        if (!segment_wait(cmd, oldest)) return false;
        if (!profile) learn(cmd->dev, cost, (log_clock() - oldest->submitted) / IN_FLIGHT);
        segment_free(cmd->dev, oldest); // a long recording must not pile up
    }
    struct segment *last = &cmd->segments[cmd->segment_count - 1];
    if (!segment_submit(cmd, last)) return false;
    if (!profile && !cmd->dev->trace) return true;
    // A profile is to account for the wall time: the host waits, nothing overlaps.
    if (!segment_wait(cmd, last)) return false;
    learn(cmd->dev, last->work.flops + last->work.bytes, log_clock() - last->submitted);
    return true;
}

// Reading after a write, writing after a read or a write, in the same buffer: wait.
static bool hazards(struct cmd *cmd, const struct dispatch *d, struct buffer **buffers)
{
    bool wait = false;
    for (size_t i = 0; d->access[i]; i++) {
        uint64_t address;
        memcpy(&address, (const char *)d->push + i * sizeof address, sizeof address);
        buffers[i] = buffer_at(cmd->dev, address);
        assert(buffers[i] && "an argument is not inside a live buffer");
        bool writes = d->access[i] != 'r';
        if (buffers[i]->written_at == cmd->epoch) wait = true;
        if (writes && buffers[i]->read_at == cmd->epoch) wait = true;
    }
    return wait;
}

static void record(struct cmd *cmd, const struct dispatch *d, VkPipeline pipeline)
{
    struct device *dev = cmd->dev;
    struct segment *segment = &cmd->segments[cmd->segment_count - 1];
    VkCommandBuffer commands = segment->commands;
    dev->vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    dev->vk.vkCmdPushConstants(commands, dev->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                               d->push_bytes, d->push);
    uint32_t query = (uint32_t)(2 * segment->timed_count);
    if (segment->queries)
        dev->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                    segment->queries, query);
    if (dev->hazard) hazard_dispatch(commands, d);
    dev->vk.vkCmdDispatch(commands, d->groups[0], d->groups[1], d->groups[2]);
    if (!segment->queries) return;
    barrier_compute(cmd); // so that the time is this dispatch's own
    dev->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, segment->queries,
                                query + 1);
    segment->timed[segment->timed_count++] =
        (struct timed){.name = d->name, .flops = d->flops, .bytes = d->bytes};
}

static bool try_dispatch(struct cmd *cmd, const struct dispatch *d)
{
    double cost = d->flops + d->bytes;
    struct segment *last = cmd->open ? &cmd->segments[cmd->segment_count - 1] : NULL;
    bool full = cmd->open && (cmd->cost + cost > cmd->dev->rate * SUBMIT_SECONDS ||
                              last->timed_count == QUERIES || last->traced);
    if (full && cmd->cost > 0 && !(cmd->replayed ? segment_close(cmd) : segment_send(cmd)))
        return false;
    if (!cmd->open && !segment_open(cmd)) return false;
    VkPipeline pipeline;
    if (!device_pipeline(cmd->dev, d->shader, d->local, &pipeline)) return false;
    struct buffer *buffers[CMD_POINTERS_MAX];
    if (hazards(cmd, d, buffers)) barrier_compute(cmd);
    struct segment *segment = &cmd->segments[cmd->segment_count - 1];
    if (cmd->dev->trace) segment->traced = d->name;
    for (size_t i = 0; d->access[i]; i++) {
        if (d->access[i] != 'r') buffers[i]->written_at = cmd->epoch;
        if (d->access[i] != 'r' && cmd->dev->trace)
            segment->written[segment->written_count++] = buffers[i];
        if (d->access[i] != 'w') buffers[i]->read_at = cmd->epoch;
    }
    record(cmd, d, pipeline);
    struct work *work = &segment->work;
    work->flops += d->flops;
    work->bytes += d->bytes;
    work->dispatches++;
    cmd->cost += cost;
    cmd->total_cost += cost;
    return true;
}

void cmd_dispatch(struct cmd *cmd, const struct dispatch *dispatch)
{
    for (int i = 0; i < 3; i++) {
        if (dispatch->groups[i] == 0) return; // nothing to do
        assert(dispatch->groups[i] <= 65535);
    }
    if (cmd->failed) return;
    enum host before = account_host(&cmd->dev->account, HOST_RECORD);
    cmd->failed = !try_dispatch(cmd, dispatch);
    account_host(&cmd->dev->account, before);
    if (cmd->dev->recorded && !cmd->failed)
        cmd->dev->recorded(cmd->dev->recorded_user, cmd, dispatch);
}

size_t cmd_pieces(const struct cmd *cmd)
{
    return cmd->segment_count;
}

void cmd_host(struct cmd *cmd, size_t after, cmd_act *act, void *user, uint32_t number)
{
    if (cmd->failed) return;
    enum host before = account_host(&cmd->dev->account, HOST_RECORD);
    cmd->failed = (cmd->open && !(cmd->replayed ? segment_close(cmd) : segment_send(cmd))) ||
                  !segment_open(cmd);
    account_host(&cmd->dev->account, before);
    if (cmd->failed) return;
    struct segment *segment = &cmd->segments[cmd->segment_count - 1];
    segment->act = act;
    segment->user = user;
    segment->number = number;
    segment->after = after;
}

static void segments_drop(struct cmd *cmd)
{
    enum host before = account_host(&cmd->dev->account, HOST_RECORD);
    for (size_t i = 0; i < cmd->segment_count; i++) segment_free(cmd->dev, &cmd->segments[i]);
    account_host(&cmd->dev->account, before);
    cmd->segment_count = cmd->waited = 0;
    cmd->open = false;
    cmd->cost = cmd->total_cost = 0;
    cmd->serial = ++cmd->dev->recordings;
}

void cmd_free(struct cmd *cmd)
{
    if (cmd->dev) segments_drop(cmd);
    free(cmd->segments);
    *cmd = (struct cmd){0};
}

bool cmd_run_once(struct cmd *cmd)
{
    bool ok = !cmd->failed;
    if (ok && cmd->open) ok = segment_send(cmd);
    for (; ok && cmd->waited < cmd->segment_count; cmd->waited++)
        ok = segment_wait(cmd, &cmd->segments[cmd->waited]);
    segments_drop(cmd);
    cmd->failed = false;
    return ok;
}

bool cmd_end(struct cmd *cmd)
{
    return !cmd->failed && segment_close(cmd);
}

bool cmd_replay(struct cmd *cmd)
{
    double started = log_clock();
    bool ok = true;
    const bool trace = cmd->dev->trace != NULL;
    for (size_t i = 0; ok && i < cmd->segment_count; i++)
        ok = segment_submit(cmd, &cmd->segments[i]) &&
             (!trace || segment_wait(cmd, &cmd->segments[i]));
    for (size_t i = 0; ok && i < cmd->segment_count; i++) ok = segment_wait(cmd, &cmd->segments[i]);
    if (ok) learn(cmd->dev, cmd->total_cost, log_clock() - started);
    return ok;
}
