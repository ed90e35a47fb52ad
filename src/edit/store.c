#define XXH_INLINE_ALL
#include "edit/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"

struct header {
    char magic[8];
    uint64_t rows, cols, checksum;
};

static struct header header_of(uint64_t rows, uint64_t cols, const float *data)
{
    struct header h = {.magic = "oedit-1", .rows = rows, .cols = cols};
    h.checksum = XXH3_64bits(data, rows * cols * sizeof *data);
    return h;
}

bool store_has(const char *name)
{
    char *path = options_cache_path(name);
    const bool has = path && access(path, R_OK) == 0;
    free(path);
    status_clear();
    return has;
}

bool store_load(const char *name, uint64_t rows, uint64_t cols, float *data)
{
    char *path = store_has(name) ? options_cache_path(name) : NULL;
    if (!path) {
        status_clear();
        return false;
    }
    struct file_map map;
    uint64_t bytes = rows * cols * sizeof *data;
    bool ok = file_map_open(&map, path) && map.size == sizeof(struct header) + bytes;
    if (ok) {
        memcpy(data, map.data + sizeof(struct header), bytes);
        struct header h = header_of(rows, cols, data);
        ok = memcmp(&h, map.data, sizeof h) == 0;
    }
    if (!ok) log_warn("%s is damaged and made anew", path);
    file_map_close(&map);
    free(path);
    status_clear();
    return ok;
}

bool store_wait(const char *name, struct lock *lock)
{
    *lock = (struct lock){0};
    char *path = store_has(name) ? NULL : options_cache_path(name);
    if (!path) {
        status_clear();
        return true;
    }
    const size_t size = strlen(path) + sizeof ".lock";
    char *beside = mem_new(size, 1, "a path");
    if (beside) snprintf(beside, size, "%s.lock", path);
    bool ok = beside && lock_take(lock, beside);
    free(beside);
    free(path);
    return ok;
}

bool store_save(const char *name, uint64_t rows, uint64_t cols, const float *data)
{
    char *path = options_cache_path(name);
    if (!path) return false;
    struct header h = header_of(rows, cols, data);
    struct file_out out;
    bool ok = file_out_open(&out, path);
    if (ok) {
        ok = file_out_write(&out, &h, sizeof h) &&
             file_out_write(&out, data, rows * cols * sizeof *data);
        ok = file_out_close(&out, ok) && ok;
    }
    free(path);
    return ok;
}
