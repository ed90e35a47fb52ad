#define _GNU_SOURCE
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "ref_folder.h"

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static char path[64];
    static int file = -1;
    if (file < 0) {
        log_level_set(LOG_QUIET);
        file = memfd_create("fuzz", 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (file < 0 || ftruncate(file, 0) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    return path;
}

static char path[] = "/tmp/oedit-fuzz-XXXXXX";

static void folder_remove(void)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors"};
    for (size_t i = 0; i < 3; i++) {
        char file[64];
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
}

const char *fuzz_folder(void)
{
    static bool made;
    if (made) return path;
    log_level_set(LOG_QUIET);
    if (!mkdtemp(path)) abort();
    atexit(folder_remove);
    hf_folder(path);
    made = true;
    return path;
}
