// The device's own half: vk/cmd.c under other names.
#define cmd_start device_cmd_start
#define cmd_free device_cmd_free
#define cmd_dispatch device_cmd_dispatch
#define cmd_run_once device_cmd_run_once
#define cmd_end device_cmd_end
#define cmd_replay device_cmd_replay
#include "vk/cmd.c"
#undef cmd_start
#undef cmd_free
#undef cmd_dispatch
#undef cmd_run_once
#undef cmd_end
#undef cmd_replay

#include "check/twin.h"
#include "twin_cmd.h"

bool twin_running;
uint64_t twin_dispatches;

struct step { // a recorded dispatch
    enum op op;
    const char *access;
    unsigned char push[CMD_PUSH_MAX];
};

// A recording of the twin is its steps, in the place of a device's segments.
static struct step *steps_of(const struct cmd *cmd)
{
    return (struct step *)(void *)cmd->segments;
}

void cmd_start(struct cmd *cmd, struct device *dev, bool replayed)
{
    device_cmd_start(cmd, dev, replayed);
}

void cmd_free(struct cmd *cmd)
{
    if (twin_running) cmd->segment_count = 0;
    device_cmd_free(cmd);
}

static enum op op_of(const char *name)
{
    int op = 0;
    while (op < OP_COUNT && strcmp(op_names[op], name) != 0) op++;
    assert(op < OP_COUNT);
    return (enum op)op;
}

void cmd_dispatch(struct cmd *cmd, const struct dispatch *d)
{
    if (!twin_running) {
        device_cmd_dispatch(cmd, d);
        return;
    }
    for (int i = 0; i < 3; i++)
        if (d->groups[i] == 0) return;
    struct step *steps = steps_of(cmd), *step;
    if (cmd->failed || !mem_grow(&steps, &cmd->segment_capacity, cmd->segment_count + 1,
                                 sizeof *steps, "a recording")) {
        cmd->failed = true;
        return;
    }
    cmd->segments = (struct segment *)(void *)steps;
    step = &steps[cmd->segment_count++];
    *step = (struct step){.op = op_of(d->name), .access = d->access};
    memcpy(step->push, d->push, d->push_bytes);
}

struct operand {
    struct buffer *buffer;
    unsigned char *copy;
    bool changes;
};

// The copy of the buffer that holds an address, made if need be; NULL: a failure.
static struct operand *operand_at(struct device *dev, struct operand *all, uint64_t address)
{
    struct buffer *buffer = buffer_at(dev, address);
    assert(buffer && "an argument is not inside a live buffer");
    while (all->buffer && all->buffer != buffer) all++;
    if (all->buffer) return all;
    all->buffer = buffer;
    all->copy = mem_new(buffer->bytes, 1, "a copy");
    return all->copy && buffer_read(dev, buffer, 0, all->copy, buffer->bytes) ? all : NULL;
}

static bool step_run(struct device *dev, const struct step *step)
{
    struct operand all[CMD_POINTERS_MAX + 1] = {{0}};
    struct buffer *written[CMD_POINTERS_MAX];
    unsigned char push[CMD_PUSH_MAX];
    uint32_t count = 0;
    bool ok = true;
    memcpy(push, step->push, sizeof push);
    for (size_t i = 0; ok && step->access[i]; i++) {
        uint64_t address;
        memcpy(&address, push + i * sizeof address, sizeof address);
        struct operand *operand = operand_at(dev, all, address);
        ok = operand != NULL;
        if (!ok) break;
        address = (uint64_t)(uintptr_t)(operand->copy + (address - operand->buffer->address));
        memcpy(push + i * sizeof address, &address, sizeof address);
        if (step->access[i] == 'r') continue;
        operand->changes = true;
        written[count++] = operand->buffer;
    }
    if (ok) twin_float[step->op](push);
    twin_dispatches += ok;
    for (struct operand *o = all; o->buffer; o++) {
        if (ok && o->changes) ok = buffer_write(dev, o->buffer, 0, o->copy, o->buffer->bytes);
        free(o->copy);
    }
    return ok && (!dev->trace || trace_add(dev, op_names[step->op], written, count));
}

static bool steps_run(const struct cmd *cmd)
{
    bool ok = !cmd->failed;
    for (size_t i = 0; ok && i < cmd->segment_count; i++)
        ok = step_run(cmd->dev, &steps_of(cmd)[i]);
    return ok;
}

bool cmd_run_once(struct cmd *cmd)
{
    if (!twin_running) return device_cmd_run_once(cmd);
    bool ok = steps_run(cmd);
    cmd->segment_count = 0;
    cmd->failed = false;
    return ok;
}

bool cmd_end(struct cmd *cmd)
{
    return twin_running ? !cmd->failed : device_cmd_end(cmd);
}

bool cmd_replay(struct cmd *cmd)
{
    return twin_running ? steps_run(cmd) : device_cmd_replay(cmd);
}
