#include "base/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "base/status.h"

bool file_there(const char *path)
{
    return embedded_find(path) || access(path, F_OK) == 0;
}

bool file_read(const char *path, char **text, size_t *size)
{
    struct file_map map;
    if (!file_map_open(&map, path)) return false;
    *text = mem_text((const char *)map.data, map.size, path);
    *size = map.size;
    file_map_close(&map);
    return *text != NULL;
}

bool file_out_write(struct file_out *out, const void *data, size_t size)
{
    if (fwrite(data, 1, size, out->stream) == size) return true;
    return fail(STATUS_FAILED, "cannot write %s: %s", out->path, strerror(errno));
}
