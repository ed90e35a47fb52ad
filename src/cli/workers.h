// Tasks as processes of this program, each on one of several devices. What fails on one device is
// tried on another; a device that fails again and again gets no more.
#pragma once
#include "base/process.h"
#include "cli/chosen.h"

enum task_state { TASK_WAITING, TASK_RUNNING, TASK_DONE, TASK_FAILED };

struct task {
    const char *id;                       // for messages
    const char *words[10]; // behind those of our own command line, which they override
    const struct task *after;             // not before this one is done; NULL: any time
    enum task_state state;
    int code;         // how its last try ended: exit code, or minus the number of a signal
    uint32_t tries;
    uint32_t failed;  // the device that its last try failed on, in the loader's order, if any
    char said[1024];  // its last line, or why it failed
};

struct workers {
    const struct args *args;
    const struct chosen *devices;
    struct task *tasks; // [count]
    uint32_t count;
    const char *what; // for messages: "run", "shard"
    // Or NULL: how far a running task is, at most `size` bytes of text.
    void (*progress)(void *user, const struct task *task, char *text, size_t size);
    void *user;
};

// Runs all tasks. False with STATUS_INTERRUPTED after Ctrl-C, once all workers have stopped, and if
// a task has failed for good: then all others were run still.
bool workers_run(struct workers *workers);
