#define _GNU_SOURCE
#include "base/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

static bool lock(const struct append *a)
{
    // flock and not fcntl: those locks would go when any other handle of the file is closed.
    if (flock(a->file, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK)
        return fail(STATUS_FAILED, "%s is in use by another run: wait for it, or stop it",
                    a->path);
    return fail(STATUS_FAILED, "cannot lock %s: %s", a->path, strerror(errno));
}

bool append_open(struct append *a, const char *path)
{
    *a = (struct append){0};
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno));
    a->file = file;
    a->path = mem_text(path, strlen(path), "a path");
    struct stat info;
    bool ok = a->path && lock(a);
    if (ok && (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)))
        ok = fail(STATUS_FAILED, "cannot write %s: wanted a file", path);
    if (ok && info.st_nlink == 0) // its owner removed it between our open and our lock
        ok = fail(STATUS_FAILED, "%s is in use by another run: try again", path);
    if (ok) a->size = (uint64_t)info.st_size;
    ok = ok && file_sync_folder(path);
    if (!ok) {
        if (!a->path) close(file);
        append_close(a);
    }
    return ok;
}

void append_close(struct append *a)
{
    if (a->path) close(a->file);
    free(a->path);
    *a = (struct append){0};
}

bool append_cut(struct append *a, uint64_t size)
{
    if (ftruncate(a->file, (off_t)size) != 0 || fdatasync(a->file) != 0)
        return fail(STATUS_FAILED, "cannot cut %s down to %llu bytes: %s", a->path,
                    (unsigned long long)size, strerror(errno));
    a->size = size;
    return true;
}

static bool write_all(const struct append *a, const char *data, size_t size)
{
    for (uint64_t at = a->size; size;) {
        ssize_t written = pwrite(a->file, data, size, (off_t)at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        data += written;
        size -= (size_t)written;
        at += (uint64_t)written;
    }
    return fdatasync(a->file) == 0;
}

bool append_add(struct append *a, const void *data, size_t size)
{
    if (write_all(a, data, size)) {
        a->size += size;
        return true;
    }
    fail(STATUS_FAILED, "cannot write %s: %s", a->path, strerror(errno));
    append_cut(a, a->size); // what fails here, too, is a torn tail, which readers know
    return false;
}
