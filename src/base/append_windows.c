#define WIN32_NO_STATUS // names of ours
#define WIN32_LEAN_AND_MEAN
#include "base/append.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <windows.h>

#include "base/mem.h"
#include "base/status.h"

// The lock is one byte far behind what any file holds: Windows' locks keep readers out of what
// they cover.
static bool lock(const struct append *a)
{
    OVERLAPPED place = {.OffsetHigh = 0x7fffffff};
    if (LockFileEx((HANDLE)_get_osfhandle(a->file),
                   LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place))
        return true;
    if (GetLastError() == ERROR_LOCK_VIOLATION || GetLastError() == ERROR_IO_PENDING)
        return fail(STATUS_FAILED, "%s is in use by another run: wait for it, or stop it",
                    a->path);
    return fail(STATUS_FAILED, "cannot lock %s: error %lu", a->path, GetLastError());
}

bool append_open(struct append *a, const char *path)
{
    *a = (struct append){0};
    int file = _open(path, _O_RDWR | _O_CREAT | _O_BINARY | _O_NOINHERIT, _S_IREAD | _S_IWRITE);
    if (file < 0) return fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno));
    a->file = file;
    a->path = mem_text(path, strlen(path), "a path");
    struct _stat64 info;
    bool ok = a->path && lock(a);
    if (ok && (_fstat64(file, &info) != 0 || !S_ISREG(info.st_mode)))
        ok = fail(STATUS_FAILED, "cannot write %s: wanted a file", path);
    if (ok) a->size = (uint64_t)info.st_size;
    if (!ok) {
        if (!a->path) _close(file);
        append_close(a);
    }
    return ok;
}

void append_close(struct append *a)
{
    if (a->path) _close(a->file);
    free(a->path);
    *a = (struct append){0};
}

bool append_cut(struct append *a, uint64_t size)
{
    if (_chsize_s(a->file, (int64_t)size) != 0 || _commit(a->file) != 0)
        return fail(STATUS_FAILED, "cannot cut %s down to %llu bytes: %s", a->path,
                    (unsigned long long)size, strerror(errno));
    a->size = size;
    return true;
}

static bool write_all(const struct append *a, const char *data, size_t size)
{
    if (_lseeki64(a->file, (int64_t)a->size, SEEK_SET) < 0) return false;
    while (size) {
        unsigned part = size < 1u << 30 ? (unsigned)size : 1u << 30;
        int written = _write(a->file, data, part);
        if (written <= 0) return false;
        data += written;
        size -= (size_t)written;
    }
    return _commit(a->file) == 0;
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
