// Folders of the host. What differs between systems is in folder_posix.c and folder_windows.c;
// CMake takes one of them.
#pragma once
#include <stdbool.h>

enum folder_thing { THING_FILE, THING_FOLDER, THING_OTHER };

// Calls `on` for everything in a folder, links followed, in no order; stops where it gives false.
// Fails where the folder cannot be read, or `on` gave false.
bool folder_each(const char *path, bool (*on)(void *user, const char *name, enum folder_thing what),
                 void *user);
bool folder_remove(const char *path); // with its files; false where it holds folders

// A new, empty folder `path`.something; its name is to be freed. NULL: fails.
char *folder_beside(const char *path);
// `from` takes the name `to`. A folder that had it is removed with its files; the name is never
// without a folder (on Windows: for a moment).
bool folder_replace(const char *from, const char *to);
// Makes `to` without copying: a clone, which shares blocks until one of the two is written to, or
// else a second name. False, and nothing said, where the file system can do neither.
bool folder_share(const char *from, const char *to);
