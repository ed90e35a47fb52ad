#define WIN32_NO_STATUS // names of ours
#define WIN32_LEAN_AND_MEAN
#include "base/lock.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/mem.h"

bool lock_take(struct lock *l, const char *path)
{
    bool told = false;
    *l = (struct lock){.path = mem_text(path, strlen(path), "a path")};
    while (l->path) {
        // Nobody else may open it until it is closed, and then it is gone.
        HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_ALWAYS,
                                  FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE, NULL);
        if (file != INVALID_HANDLE_VALUE) l->handle = file;
        if (l->handle || GetLastError() != ERROR_SHARING_VIOLATION) return true;
        if (!told) log_say("waiting for another process: %s", path);
        told = true;
        if (!interrupt_check()) break;
        Sleep(100);
    }
    lock_drop(l);
    return false;
}

void lock_drop(struct lock *l)
{
    if (l->handle) CloseHandle(l->handle);
    free(l->path);
    *l = (struct lock){0};
}
