#define _GNU_SOURCE
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "base/status.h"

bool file_map_open(struct file_map *map, const char *path)
{
    const struct embedded *inside = embedded_find(path);
    *map = (struct file_map){0};
    if (inside) {
        *map = (struct file_map){.data = inside->data, .size = inside->size, .embedded = true};
        return true;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return fail(STATUS_BAD_DATA, "cannot open %s: %s", path, strerror(errno));
    struct stat info;
    bool ok = fstat(file, &info) == 0 ||
              fail(STATUS_BAD_DATA, "cannot read %s: %s", path, strerror(errno));
    if (ok && !S_ISREG(info.st_mode))
        ok = fail(STATUS_BAD_DATA, "cannot read %s: got %s, wanted a file", path,
                  S_ISDIR(info.st_mode) ? "a folder" : "something that is no file");
    if (ok && info.st_size > 0) {
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
            ok = fail(STATUS_NO_MEMORY, "cannot map %s: %s", path, strerror(errno));
        else
            *map = (struct file_map){.data = data, .size = (size_t)info.st_size};
    }
    close(file);
    return ok;
}

void file_map_close(struct file_map *map)
{
    if (map->data && !map->embedded) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (struct file_map){0};
}

static void (*shorter_leave)(int code);

// Only what is safe in a handler: the name of the file comes from the kernel's list of maps, of
// which a line begins with "first-end", hexadecimal.
static void shorter(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    static const char before[] = "error: a file got shorter while it was read: ";
    uintptr_t bound[2] = {0};
    const uintptr_t at = (uintptr_t)info->si_addr;
    unsigned which = 0;
    bool path = false;
    char c;
    ssize_t said = write(STDERR_FILENO, before, sizeof before - 1);
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    while (maps >= 0 && read(maps, &c, 1) == 1) {
        const bool inside = bound[0] <= at && at < bound[1];
        if (c == '\n' && inside) break;
        path = path || (which == 2 && c == '/');
        if (c == '\n') bound[0] = bound[1] = which = 0;
        else if (path && inside) said = write(STDERR_FILENO, &c, 1);
        else if (which < 2 && (c == '-' || c == ' ')) which++;
        else if (which < 2)
            bound[which] = bound[which] << 4 | (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
        path = path && c != '\n';
    }
    said = write(STDERR_FILENO, "\n", 1);
    (void)said; // nobody is left to tell
    shorter_leave(STATUS_BAD_DATA);
}

void file_watch(void (*leave)(int code))
{
    shorter_leave = leave;
    struct sigaction action = {.sa_sigaction = shorter, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

bool file_sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_text(path, (size_t)(slash - path) + 1, "a path")
                         : mem_text(".", 1, "a path");
    if (!folder) return false;
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Some file systems cannot sync a folder, and say so by EINVAL.
    bool ok = (file >= 0 && (fsync(file) == 0 || errno == EINVAL)) ||
              fail(STATUS_FAILED, "cannot sync folder %s: %s", folder, strerror(errno));
    if (file >= 0) close(file);
    free(folder);
    return ok;
}

// A file without a name leaves nothing behind when the process is killed.
static int open_nameless(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_text(path, (size_t)(slash - path) + 1, "a path")
                         : mem_text(".", 1, "a path");
    if (!folder) return -1;
    // It gets its name through /proc.
    int file = access("/proc/self/fd", X_OK) == 0
                   ? open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
    free(folder);
    return file;
}

// A name beside the path that nobody has, for a file that has none.
static bool give_name(struct file_out *out)
{
    char from[64];
    size_t length = strlen(out->path);
    snprintf(from, sizeof from, "/proc/self/fd/%d", fileno(out->stream));
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(out->temporary, length + 16, "%s.%u.%03u", out->path, (unsigned)getpid() % 1000000,
                 i);
        if (linkat(AT_FDCWD, from, AT_FDCWD, out->temporary, AT_SYMLINK_FOLLOW) == 0) {
            out->nameless = false;
            return true;
        }
        if (errno != EEXIST) break;
    }
    return fail(STATUS_FAILED, "cannot name %s: %s", out->temporary, strerror(errno));
}

bool file_out_open(struct file_out *out, const char *path)
{
    *out = (struct file_out){0};
    size_t length = strlen(path);
    out->path = mem_text(path, length, "a path");
    out->temporary = mem_new(length + 16, 1, "a path");
    if (!out->path || !out->temporary) {
        file_out_close(out, false);
        return false;
    }
    int file = open_nameless(path);
    out->nameless = file >= 0;
    if (file < 0) {
        snprintf(out->temporary, length + 16, "%s.XXXXXX", path);
        file = mkostemp(out->temporary, O_CLOEXEC);
    }
    if (file < 0) {
        fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno));
        out->temporary[0] = '\0';
        file_out_close(out, false);
        return false;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(file, 0666 & ~mask);
    out->stream = fdopen(file, "wb");
    return out->stream != NULL;
}

bool file_out_close(struct file_out *out, bool keep)
{
    bool ok = out->stream != NULL && keep;
    if (out->stream) {
        if (ok && (fflush(out->stream) != 0 || fsync(fileno(out->stream)) != 0))
            ok = fail(STATUS_FAILED, "cannot write %s: %s", out->path, strerror(errno));
        if (ok && out->nameless) ok = give_name(out);
        if (fclose(out->stream) != 0 && ok)
            ok = fail(STATUS_FAILED, "cannot write %s: %s", out->path, strerror(errno));
        if (ok && rename(out->temporary, out->path) != 0)
            ok = fail(STATUS_FAILED, "cannot rename %s to %s: %s", out->temporary, out->path,
                      strerror(errno));
        if (!ok && !out->nameless) unlink(out->temporary);
        ok = ok && file_sync_folder(out->path);
    }
    free(out->path);
    free(out->temporary);
    *out = (struct file_out){0};
    return ok;
}

bool file_make_folders(const char *path)
{
    char *copy = mem_text(path, strlen(path), "a path");
    if (!copy) return false;
    bool ok = true;
    for (char *slash = strchr(copy + 1, '/'); slash && ok; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            ok = fail(STATUS_FAILED, "cannot make folder %s: %s", copy, strerror(errno));
        *slash = '/';
    }
    free(copy);
    return ok;
}

bool file_same(const char *left, const char *right)
{
    struct stat a, b;
    return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}
