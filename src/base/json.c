#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "base/utf8.h"

static _Thread_local bool ended; // cJSON's memory, since the last text

static void *memory_new(size_t size)
{
    void *memory = malloc(size);
    if (memory) return memory;
    ended = true;
    fail(STATUS_NO_MEMORY, "out of host memory for JSON: wanted %zu bytes", size);
    return NULL;
}

static void memory_free(void *memory)
{
    free(memory);
}

void json_watch(void)
{
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = memory_new, .free_fn = memory_free});
}

char *json_text(const cJSON *root, bool pretty, const char *what)
{
    char *text = ended ? NULL : pretty ? cJSON_Print(root) : cJSON_PrintUnformatted(root);
    ended = false;
    if (!text) fail(STATUS_NO_MEMORY, "out of host memory for %s", what);
    return text;
}

bool json_line(const cJSON *root, struct append *to)
{
    char *text = json_text(root, false, "a line");
    size_t length = text ? strlen(text) : 0;
    if (text) text[length] = '\n'; // in place of the end
    bool ok = text && append_add(to, text, length + 1);
    cJSON_free(text);
    return ok;
}

void json_number(cJSON *to, const char *name, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(to, name, value);
    else
        cJSON_AddNullToObject(to, name);
}

bool json_append(cJSON *list, cJSON *item)
{
    if (cJSON_AddItemToArray(list, item)) return true;
    cJSON_Delete(item);
    return false;
}

bool json_member(cJSON *object, const char *name, cJSON *item)
{
    if (cJSON_AddItemToObject(object, name, item)) return true;
    cJSON_Delete(item);
    return false;
}

void json_push(cJSON *list, double value)
{
    json_append(list, isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

bool json_put(const cJSON *root, bool pretty)
{
    char *text = json_text(root, pretty, "the report");
    if (text) puts(text);
    cJSON_free(text);
    return text != NULL;
}

cJSON *json_object(const char *text, size_t size, const char *path)
{
    size_t valid = utf8_invalid(text, size);
    if (valid < size) {
        fail(STATUS_BAD_DATA, "%s is not UTF-8: byte 0x%02x at offset %zu", path,
             (unsigned char)text[valid], valid);
        return NULL;
    }
    const char *end = text;
    cJSON *root = size ? cJSON_ParseWithLengthOpts(text, size, &end, false) : NULL;
    size_t at = (size_t)(end - text);
    while (root && at < size && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r'))) at++;
    if (root && cJSON_IsObject(root) && at == size) return root;
    if (root && !cJSON_IsObject(root))
        fail(STATUS_BAD_DATA, "%s: wanted a JSON object", path);
    else
        fail(STATUS_BAD_DATA, "%s is no JSON: offset %zu of %zu bytes", path, at, size);
    cJSON_Delete(root);
    return NULL;
}

cJSON *json_file(const char *path)
{
    struct file_map map;
    if (!file_map_open(&map, path)) return NULL;
    cJSON *root = json_object((const char *)map.data, map.size, path);
    file_map_close(&map);
    return root;
}
