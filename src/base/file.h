// Files of the host: mapped for reading, written whole or not at all. What differs between systems
// is in file_posix.c and file_windows.c; CMake takes one of them.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// A file mapped for reading. Bytes past a truncation by somebody else raise SIGBUS, see file_watch;
// nothing here writes to a mapped file.
struct file_map {
    const uint8_t *data;
    size_t size;
    bool embedded; // not mapped: it lies in the program (base/embedded.h)
};

bool file_map_open(struct file_map *map, const char *path); // fails on a folder, a missing file
void file_map_close(struct file_map *map);

// Whether there is something of that name, embedded files included.
bool file_there(const char *path);

// From now on a mapped file that somebody makes shorter while it is read ends the process with one
// line and leave(STATUS_BAD_DATA), which must be safe in a handler of signals. What was written
// whole before is whole. Windows does not let a mapped file be made shorter.
void file_watch(void (*leave)(int code));

// Reads a whole text file into memory, terminated by '\0' (not counted in *size).
bool file_read(const char *path, char **text, size_t *size);

// A file that appears under its name only when it is complete: written beside it without a name
// (or, where the file system cannot do that, under a temporary one), synced, renamed.
// file_out_close(false) or a crash leaves the old file as it was.
struct file_out {
    FILE *stream;
    char *path, *temporary;
    bool nameless; // as yet
};

bool file_out_open(struct file_out *out, const char *path);
bool file_out_write(struct file_out *out, const void *data, size_t size);
bool file_out_close(struct file_out *out, bool keep); // false if the file could not be kept

// Makes a new or renamed name in the file's folder survive a power cut.
bool file_sync_folder(const char *path);

bool file_make_folders(const char *path); // all folders of a path that ends in '/', as mkdir -p

bool file_same(const char *left, const char *right); // one file, under whatever names or links
