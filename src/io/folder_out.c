#define _GNU_SOURCE
#include "io/folder_out.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

static char *joined(const char *folder, const char *between, const char *name)
{
    size_t size = strlen(folder) + strlen(between) + strlen(name) + 1;
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s%s%s", folder, between, name);
    return path;
}

bool folder_out_check(const char *path, const char *ours)
{
    struct stat info;
    if (stat(path, &info) != 0) return true;
    if (!S_ISDIR(info.st_mode))
        return fail(STATUS_FAILED, "cannot write %s: got a file, wanted a new folder", path);
    DIR *folder = opendir(path);
    if (!folder) return fail(STATUS_FAILED, "cannot read folder %s: %s", path, strerror(errno));
    bool empty = true, known = false, flat = true;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        empty = false;
        known = known || strcmp(entry->d_name, ours) == 0;
        if (fstatat(dirfd(folder), entry->d_name, &info, 0) == 0 && S_ISDIR(info.st_mode))
            flat = false;
    }
    closedir(folder);
    return empty || (known && flat) ||
           fail(STATUS_FAILED, "cannot write %s: it holds other files, wanted a new folder", path);
}

// All files of a folder, then itself.
static bool folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder) return false;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    return rmdir(path) == 0;
}

bool folder_out_open(struct folder_out *out, const char *path, const char *ours)
{
    *out = (struct folder_out){0};
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (!folder_out_check(path, ours)) return false;
    out->path = mem_text(path, length, "a path");
    char *pattern = out->path ? joined(out->path, ".", "XXXXXX") : NULL;
    bool ok = pattern && (mkdtemp(pattern) ||
                          fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno)));
    mode_t mask = umask(0);
    umask(mask);
    if (ok) chmod(pattern, 0777 & ~mask);
    if (ok) out->temporary = joined(pattern, "/", "");
    if (ok && !out->temporary) rmdir(pattern);
    ok = ok && out->temporary;
    free(pattern);
    if (!ok) folder_out_close(out, false);
    return ok;
}

char *folder_out_path(const struct folder_out *out, const char *name)
{
    return joined(out->temporary, "", name);
}

// A clone shares blocks until one of the two is written to. A link is the same file.
static bool shared(const char *from, const char *to)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int copy = source < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok = copy >= 0 && ioctl(copy, FICLONE, source) == 0 && fsync(copy) == 0;
    if (copy >= 0) close(copy);
    if (source >= 0) close(source);
    if (copy >= 0 && !ok) unlink(to);
    return ok || linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0;
}

bool folder_out_copy(const struct folder_out *out, const char *from, const char *name, bool share)
{
    char *to = folder_out_path(out, name);
    struct file_map map = {0};
    struct file_out file = {0};
    bool ok = to != NULL;
    if (ok && !(share && shared(from, to))) {
        ok = file_map_open(&map, from) && file_out_open(&file, to);
        if (ok) ok = file_out_close(&file, file_out_write(&file, map.data, map.size));
        file_map_close(&map);
    }
    free(to);
    return ok;
}

bool folder_out_close(struct folder_out *out, bool keep)
{
    bool ok = keep && out->temporary && file_sync_folder(out->temporary);
    if (ok) {
        char *from = mem_text(out->temporary, strlen(out->temporary) - 1, "a path");
        ok = from != NULL;
        // A folder takes the place of an empty one; with another they change places first.
        if (ok && rename(from, out->path) != 0) {
            ok = renameat2(AT_FDCWD, from, AT_FDCWD, out->path, RENAME_EXCHANGE) == 0 ||
                 fail(STATUS_FAILED, "cannot rename %s to %s: %s", from, out->path,
                      strerror(errno));
            if (ok) folder_remove(from);
        }
        free(from);
        ok = ok && file_sync_folder(out->path);
    }
    if (!ok && out->temporary) folder_remove(out->temporary);
    free(out->path);
    free(out->temporary);
    *out = (struct folder_out){0};
    return ok;
}
