#define _GNU_SOURCE
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"

// *busy: somebody has it, or had it until just now and removed the file.
static FILE *try(const char *path, bool *busy)
{
    struct stat info;
    FILE *file = NULL;
    int number = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    *busy = false;
    if (number < 0) return NULL;
    if (flock(number, LOCK_EX | LOCK_NB) != 0) *busy = errno == EWOULDBLOCK;
    else if (fstat(number, &info) != 0 || info.st_nlink == 0) *busy = true;
    else file = fdopen(number, "r+");
    if (!file) close(number);
    return file;
}

bool lock_take(struct lock *l, const char *path)
{
    const struct timespec moment = {.tv_nsec = 100000000};
    bool busy = true, told = false;
    *l = (struct lock){.path = mem_text(path, strlen(path), "a path")};
    while (l->path) {
        l->handle = try(path, &busy);
        if (!busy) return true;
        if (!told) log_say("waiting for another process: %s", path);
        told = true;
        if (!interrupt_check()) break;
        nanosleep(&moment, NULL);
    }
    lock_drop(l);
    return false;
}

// Removed while it is held: who opened it before finds a file without a name, and opens anew.
void lock_drop(struct lock *l)
{
    if (l->handle) {
        unlink(l->path);
        fclose(l->handle);
    }
    free(l->path);
    *l = (struct lock){0};
}
