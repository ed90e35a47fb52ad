#define _GNU_SOURCE
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/status.h"

char *folder_beside(const char *path)
{
    size_t size = strlen(path) + sizeof ".XXXXXX";
    char *name = mem_new(size, 1, "a path");
    if (!name) return NULL;
    snprintf(name, size, "%s.XXXXXX", path);
    if (!mkdtemp(name)) {
        fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno));
        free(name);
        return NULL;
    }
    mode_t mask = umask(0);
    umask(mask);
    chmod(name, 0777 & ~mask);
    return name;
}

bool folder_replace(const char *from, const char *to)
{
    // A folder takes the place of an empty one; with another they change places first.
    if (rename(from, to) == 0) return true;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) != 0)
        return fail(STATUS_FAILED, "cannot rename %s to %s: %s", from, to, strerror(errno));
    folder_remove(from);
    return true;
}

bool folder_share(const char *from, const char *to)
{
    int source = open(from, O_RDONLY | O_CLOEXEC);
    int copy = source < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok = copy >= 0 && ioctl(copy, FICLONE, source) == 0 && fsync(copy) == 0;
    if (copy >= 0) close(copy);
    if (source >= 0) close(source);
    if (copy >= 0 && !ok) unlink(to);
    return ok || linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0;
}
