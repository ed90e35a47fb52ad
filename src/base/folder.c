#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"

static bool thing_of(const char *folder, const char *name, enum folder_thing *what)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = mem_new(size, 1, "a path");
    if (!path) return false;
    snprintf(path, size, "%s/%s", folder, name);
    struct stat info;
    *what = stat(path, &info) != 0 ? THING_OTHER
            : S_ISDIR(info.st_mode) ? THING_FOLDER
            : S_ISREG(info.st_mode) ? THING_FILE : THING_OTHER;
    free(path);
    return true;
}

bool folder_each(const char *path, bool (*on)(void *user, const char *name, enum folder_thing what),
                 void *user)
{
    DIR *folder = opendir(path);
    if (!folder) return fail(STATUS_FAILED, "cannot read folder %s: %s", path, strerror(errno));
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(folder));) {
        enum folder_thing what;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        ok = thing_of(path, entry->d_name, &what) && on(user, entry->d_name, what);
    }
    closedir(folder);
    return ok;
}

static bool remove_one(void *user, const char *name, enum folder_thing what)
{
    const char *folder = user;
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = what == THING_FOLDER ? NULL : mem_new(size, 1, "a path");
    if (!path) return false;
    snprintf(path, size, "%s/%s", folder, name);
    bool ok = unlink(path) == 0;
    free(path);
    return ok;
}

bool folder_remove(const char *path)
{
    char *folder = mem_text(path, strlen(path), "a path");
    bool ok = folder && folder_each(folder, remove_one, folder);
    free(folder);
    return ok && rmdir(path) == 0;
}
