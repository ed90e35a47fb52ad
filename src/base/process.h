// Further processes of this program, each with a command line of its own, and what they say. What
// differs between systems is in process_posix.c and process_windows.c; CMake takes one of them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct process {
    int id;   // 0: none
    int pipe; // its stderr; -1: closed
};

// Whether there can be any here; fails with a line that says why not.
bool process_possible(void);

// Starts this program with the words behind its name, NULL at their end. Its stdin and stdout are
// empty. It ends at once when this process ends, however that ends (Linux).
bool process_start(struct process *process, const char *const *words);

// Waits until one of them says something or ends, or for so long. Zero ones are left out.
void process_wait(struct process *const *processes, size_t count, int milliseconds);

// What it has said since, without waiting: at most `size` bytes; 0: nothing now.
size_t process_read(struct process *process, char *to, size_t size);

// Whether it has ended; then its id is 0, and *code is its exit code, or minus the number of the
// signal that ended it. What it said can still be read, up to process_close.
bool process_ended(struct process *process, int *code);
void process_close(struct process *process); // of one that has ended; accepts zero ids

// Asks it to stop where that loses nothing, as Ctrl-C does (base/interrupt.h).
void process_stop(const struct process *process);
