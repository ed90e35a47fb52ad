#define WIN32_NO_STATUS // names of ours
#define WIN32_LEAN_AND_MEAN
#include "base/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "base/mem.h"
#include "base/status.h"

// A name that nobody has: the first of a thousand for which `take` succeeds.
static char *name_beside(const char *path, bool (*take)(const char *path, const char *name))
{
    size_t size = strlen(path) + 16;
    char *name = mem_new(size, 1, "a path");
    for (unsigned i = 0; name && i < 1000; i++) {
        snprintf(name, size, "%s.%u.%03u", path, (unsigned)GetCurrentProcessId() % 1000000, i);
        if (take(path, name)) return name;
    }
    if (name) fail(STATUS_FAILED, "cannot write %s: error %lu", path, GetLastError());
    free(name);
    return NULL;
}

static bool make(const char *path, const char *name)
{
    (void)path;
    return CreateDirectoryA(name, NULL);
}

static bool put_aside(const char *path, const char *name)
{
    return MoveFileExA(path, name, MOVEFILE_WRITE_THROUGH);
}

char *folder_beside(const char *path)
{
    return name_beside(path, make);
}

bool folder_replace(const char *from, const char *to)
{
    if (MoveFileExA(from, to, MOVEFILE_WRITE_THROUGH)) return true;
    char *old = name_beside(to, put_aside);
    if (!old) return false;
    bool ok = MoveFileExA(from, to, MOVEFILE_WRITE_THROUGH);
    if (ok) {
        folder_remove(old);
    } else {
        fail(STATUS_FAILED, "cannot rename %s to %s: error %lu", from, to, GetLastError());
        MoveFileExA(old, to, MOVEFILE_WRITE_THROUGH);
    }
    free(old);
    return ok;
}

bool folder_share(const char *from, const char *to)
{
    return CreateHardLinkA(to, from, NULL);
}
