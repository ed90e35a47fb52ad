#include "base/process.h"

#include "base/status.h"

bool process_possible(void)
{
    return fail(STATUS_USAGE,
                "--device: several devices want a process each, which oedit does not "
                "start on Windows; wanted one device, and a call for each with --only "
                "or --shard");
}

bool process_start(struct process *p, const char *const *words)
{
    (void)words;
    *p = (struct process){.pipe = -1};
    return process_possible();
}

void process_wait(struct process *const *processes, size_t count, int milliseconds)
{
    (void)processes, (void)count, (void)milliseconds;
}

size_t process_read(struct process *p, char *to, size_t size)
{
    (void)p, (void)to, (void)size;
    return 0;
}

bool process_ended(struct process *p, int *code)
{
    (void)p, (void)code;
    return false;
}

void process_close(struct process *p)
{
    (void)p;
}

void process_stop(const struct process *p)
{
    (void)p;
}
