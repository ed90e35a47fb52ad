// A file that only grows: locked against other processes, every piece synced before it counts.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct append {
    int file; // valid if path is not NULL
    char *path;
    uint64_t size; // what is kept; a piece that could not be written whole is cut off again
};

// Opens or creates the file and locks it until append_close or the process ends, however it ends.
// Fails with STATUS_FAILED at once if another process has the lock.
bool append_open(struct append *append, const char *path);
void append_close(struct append *append); // accepts zero

// Cuts the file down to `size` bytes.
bool append_cut(struct append *append, uint64_t size);

// Adds a piece; true once it is on the disk (fdatasync).
bool append_add(struct append *append, const void *data, size_t size);
