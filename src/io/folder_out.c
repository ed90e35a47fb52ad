#include "io/folder_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/mem.h"
#include "base/status.h"

static char *joined(const char *folder, const char *between, const char *name)
{
    size_t size = strlen(folder) + strlen(between) + strlen(name) + 1;
    char *path = mem_new(size, 1, "a path");
    if (path) snprintf(path, size, "%s%s%s", folder, between, name);
    return path;
}

struct seen {
    const char *ours;
    bool empty, known, flat;
};

static bool see(void *user, const char *name, enum folder_thing what)
{
    struct seen *seen = user;
    seen->empty = false;
    seen->known = seen->known || strcmp(name, seen->ours) == 0;
    seen->flat = seen->flat && what != THING_FOLDER;
    return true;
}

bool folder_out_check(const char *path, const char *ours)
{
    struct stat info;
    if (stat(path, &info) != 0) return true;
    if (!S_ISDIR(info.st_mode))
        return fail(STATUS_FAILED, "cannot write %s: got a file, wanted a new folder", path);
    struct seen seen = {.ours = ours, .empty = true, .flat = true};
    if (!folder_each(path, see, &seen)) return false;
    return seen.empty || (seen.known && seen.flat) ||
           fail(STATUS_FAILED, "cannot write %s: it holds other files, wanted a new folder", path);
}

bool folder_out_open(struct folder_out *out, const char *path, const char *ours)
{
    *out = (struct folder_out){0};
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    if (!folder_out_check(path, ours)) return false;
    out->path = mem_text(path, length, "a path");
    char *made = out->path ? folder_beside(out->path) : NULL;
    if (made) out->temporary = joined(made, "/", "");
    if (made && !out->temporary) folder_remove(made);
    bool ok = out->temporary != NULL;
    free(made);
    if (!ok) folder_out_close(out, false);
    return ok;
}

char *folder_out_path(const struct folder_out *out, const char *name)
{
    return joined(out->temporary, "", name);
}

bool folder_out_copy(const struct folder_out *out, const char *from, const char *name, bool share)
{
    char *to = folder_out_path(out, name);
    struct file_map map = {0};
    struct file_out file = {0};
    bool ok = to != NULL;
    if (ok && !(share && folder_share(from, to))) {
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
        ok = from && folder_replace(from, out->path);
        free(from);
        ok = ok && file_sync_folder(out->path);
    }
    if (!ok && out->temporary) folder_remove(out->temporary);
    free(out->path);
    free(out->temporary);
    *out = (struct folder_out){0};
    return ok;
}
