#include "io/safetensors_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/status.h"

static cJSON *pair(double first, double second)
{
    cJSON *list = cJSON_CreateArray();
    json_push(list, first);
    json_push(list, second);
    return list;
}

// The header: an object from names to type, shape, place. NULL if there is no memory.
static char *header(const char *format, const struct tensor *tensors, size_t count)
{
    cJSON *root = cJSON_CreateObject(), *meta = cJSON_AddObjectToObject(root, "__metadata__");
    uint64_t at = 0;
    cJSON_AddStringToObject(meta, "format", format);
    for (size_t i = 0; i < count; i++) {
        const struct tensor *t = &tensors[i];
        cJSON *entry = cJSON_AddObjectToObject(root, t->name);
        cJSON_AddStringToObject(entry, "dtype", dtype_table[t->dtype].name);
        json_member(entry, "shape", pair((double)t->rows, (double)t->cols));
        json_member(entry, "data_offsets", pair((double)at, (double)(at + t->bytes)));
        at += t->bytes;
    }
    char *text = json_text(root, false, "a safetensors header");
    cJSON_Delete(root);
    return text;
}

bool safetensors_write_new(const char *path, const char *format, const struct tensor *tensors,
                           size_t count)
{
    char *text = header(format, tensors, count);
    if (!text) return false;
    // 8 bytes of its size, then the header, with blanks up to a multiple of 8.
    uint64_t used = strlen(text), size = (used + 7) / 8 * 8;
    struct file_out file = {0};
    bool ok = file_out_open(&file, path);
    if (ok) {
        ok = file_out_write(&file, &size, sizeof size) && file_out_write(&file, text, used) &&
             file_out_write(&file, "       ", size - used);
        for (size_t i = 0; ok && i < count; i++)
            ok = file_out_write(&file, tensors[i].data, tensors[i].bytes);
        ok = file_out_close(&file, ok) && ok;
    }
    cJSON_free(text);
    return ok;
}
