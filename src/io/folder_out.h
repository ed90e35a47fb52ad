// A folder that appears under its name only when it is complete: written beside it, synced,
// renamed.
#pragma once
#include <stdbool.h>

struct folder_out {
    char *path;      // without a slash at its end
    char *temporary; // ends in '/'
};

// Whether a folder may be written there: there is none, or one that is empty, or one in which
// `ours` (a file's name) stands. Nothing is changed.
bool folder_out_check(const char *path, const char *ours);

bool folder_out_open(struct folder_out *out, const char *path, const char *ours);
// The path of a file in the folder being written, to be freed; NULL without memory.
char *folder_out_path(const struct folder_out *out, const char *name);
// A copy of `from` under `name`, synced. share: blocks may be shared with the source: a clone where
// the file system can, else a hard link.
bool folder_out_copy(const struct folder_out *out, const char *from, const char *name, bool share);
// keep: takes the name; a folder that had it is removed with its files. Otherwise nothing is left.
bool folder_out_close(struct folder_out *out, bool keep);
