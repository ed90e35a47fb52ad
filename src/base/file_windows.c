#define WIN32_NO_STATUS // names of ours
#define WIN32_LEAN_AND_MEAN
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <windows.h>

#include "base/embedded.h"
#include "base/mem.h"
#include "base/status.h"

// Before main: no stream adds or takes carriage returns.
__attribute__((constructor)) static void streams_plain(void)
{
    _fmode = _O_BINARY;
    for (int stream = 0; stream < 3; stream++) _setmode(stream, _O_BINARY);
}

bool file_map_open(struct file_map *map, const char *path)
{
    const struct embedded *inside = embedded_find(path);
    *map = (struct file_map){0};
    if (inside) {
        *map = (struct file_map){.data = inside->data, .size = inside->size, .embedded = true};
        return true;
    }
    HANDLE file =
        CreateFileA(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        DWORD why = GetLastError(), kind = GetFileAttributesA(path);
        if (kind != INVALID_FILE_ATTRIBUTES && kind & FILE_ATTRIBUTE_DIRECTORY)
            return fail(STATUS_BAD_DATA, "cannot read %s: got a folder, wanted a file", path);
        return fail(STATUS_BAD_DATA, "cannot open %s: %s", path,
                    why == ERROR_FILE_NOT_FOUND || why == ERROR_PATH_NOT_FOUND
                        ? "No such file or directory" : "Windows does not open it");
    }
    LARGE_INTEGER size = {0};
    bool ok = GetFileSizeEx(file, &size) || fail(STATUS_BAD_DATA, "cannot read %s", path);
    if (ok && size.QuadPart > 0) {
        HANDLE section = CreateFileMappingA(file, NULL, PAGE_READONLY, 0, 0, NULL);
        void *data = section ? MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0) : NULL;
        if (section) CloseHandle(section); // the view keeps it
        if (data) *map = (struct file_map){.data = data, .size = (size_t)size.QuadPart};
        else ok = fail(STATUS_NO_MEMORY, "cannot map %s: error %lu", path, GetLastError());
    }
    CloseHandle(file);
    return ok;
}

void file_map_close(struct file_map *map)
{
    if (map->data && !map->embedded) UnmapViewOfFile(map->data);
    *map = (struct file_map){0};
}

void file_watch(void (*leave)(int code))
{
    (void)leave;
}

// NTFS keeps names in a journal of its own; MOVEFILE_WRITE_THROUGH waits for it.
bool file_sync_folder(const char *path)
{
    (void)path;
    return true;
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
    int file = -1;
    for (unsigned i = 0; i < 1000 && file < 0; i++) {
        snprintf(out->temporary, length + 16, "%s.%u.%03u", path,
                 (unsigned)GetCurrentProcessId() % 1000000, i);
        file = _open(out->temporary, _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY | _O_NOINHERIT,
                     _S_IREAD | _S_IWRITE);
        if (file < 0 && errno != EEXIST) break;
    }
    if (file < 0) {
        fail(STATUS_FAILED, "cannot write %s: %s", path, strerror(errno));
        out->temporary[0] = '\0';
        file_out_close(out, false);
        return false;
    }
    out->stream = _fdopen(file, "wb");
    return out->stream != NULL;
}

bool file_out_close(struct file_out *out, bool keep)
{
    bool ok = out->stream != NULL && keep;
    if (out->stream) {
        if (ok && (fflush(out->stream) != 0 || _commit(_fileno(out->stream)) != 0))
            ok = fail(STATUS_FAILED, "cannot write %s: %s", out->path, strerror(errno));
        if (fclose(out->stream) != 0 && ok)
            ok = fail(STATUS_FAILED, "cannot write %s: %s", out->path, strerror(errno));
        if (ok && !MoveFileExA(out->temporary, out->path,
                               MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
            ok = fail(STATUS_FAILED, "cannot rename %s to %s: error %lu", out->temporary, out->path,
                      GetLastError());
        if (!ok) remove(out->temporary);
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
    for (char *c = copy + 1; *c && ok; c++) {
        if ((*c != '/' && *c != '\\') || c[-1] == ':') continue;
        char slash = *c;
        *c = '\0';
        if (!CreateDirectoryA(copy, NULL) && GetLastError() != ERROR_ALREADY_EXISTS)
            ok = fail(STATUS_FAILED, "cannot make folder %s: error %lu", copy, GetLastError());
        *c = slash;
    }
    free(copy);
    return ok;
}

static bool identity(const char *path, BY_HANDLE_FILE_INFORMATION *info)
{
    HANDLE file = CreateFileA(path, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                              OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file == INVALID_HANDLE_VALUE) return false;
    bool ok = GetFileInformationByHandle(file, info);
    CloseHandle(file);
    return ok;
}

bool file_same(const char *left, const char *right)
{
    BY_HANDLE_FILE_INFORMATION a, b;
    return identity(left, &a) && identity(right, &b) &&
           a.dwVolumeSerialNumber == b.dwVolumeSerialNumber &&
           a.nFileIndexHigh == b.nFileIndexHigh && a.nFileIndexLow == b.nFileIndexLow;
}
