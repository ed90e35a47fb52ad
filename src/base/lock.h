// A lock between processes: what one makes, others wait for. What differs between systems is in
// lock_posix.c and lock_windows.c; CMake takes one of them.
#pragma once
#include <stdbool.h>

struct lock {
    void *handle; // NULL: not held
    char *path;
};

// Takes the lock of that name, a file that is there while somebody has it; waits for others, and
// says so once. It goes with the process, however that ends. Where there are no locks (some network
// file systems) it is taken without one. Fails only with STATUS_INTERRUPTED, or out of memory.
bool lock_take(struct lock *lock, const char *path);
void lock_drop(struct lock *lock); // accepts zero
