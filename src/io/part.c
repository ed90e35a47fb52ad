#define XXH_INLINE_ALL
#include "io/part.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"

enum { HEAD = 16, SEAL = 8, ALIGN = 8, OBJECT_MOST = 1 << 20 };
static const char magic[8] = {'o', 'e', 'd', 'i', 't', '-', 'p', '1'};

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "numbers are taken from the file as they lie in memory: little endian"
#endif

static bool whole_in(const cJSON *item, uint64_t low, uint64_t high, uint64_t *value)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= (double)low) ||
        !(item->valuedouble <= (double)high) || item->valuedouble != floor(item->valuedouble))
        return false;
    *value = (uint64_t)item->valuedouble;
    return true;
}

static bool range_read(struct part_file *p)
{
    uint64_t first, end, whole;
    if (!part_whole(p, "whole", 1, UINT32_MAX, &whole)) return false;
    if (!whole_in(cJSON_GetObjectItemCaseSensitive(p->about, "first"), 0, whole, &first) ||
        !whole_in(cJSON_GetObjectItemCaseSensitive(p->about, "end"), first, whole, &end))
        return fail(STATUS_BAD_DATA, "%s: its first and end are no range of %llu", p->path,
                    (unsigned long long)whole);
    p->first = (uint32_t)first;
    p->end = (uint32_t)end;
    return true;
}

static bool part_parse(struct part_file *p)
{
    const uint8_t *data = p->map.data;
    const size_t size = p->map.size;
    uint64_t object, seal;
    if (size < sizeof magic || memcmp(data, magic, sizeof magic) != 0)
        return fail(STATUS_BAD_DATA, "%s is no part: wanted a file that --shard wrote", p->path);
    if (size < HEAD + SEAL)
        return fail(STATUS_BAD_DATA, "%s is cut off: it has %zu bytes", p->path, size);
    memcpy(&object, data + sizeof magic, sizeof object);
    memcpy(&seal, data + size - SEAL, sizeof seal);
    const uint64_t got = XXH3_64bits(data, size - SEAL);
    if (got != seal)
        return fail(STATUS_BAD_DATA, "%s is cut off or damaged: %zu bytes with checksum %016llx, "
                                     "wanted %016llx", p->path, size, (unsigned long long)got,
                    (unsigned long long)seal);
    if (object > OBJECT_MOST || object % ALIGN || object > size - HEAD - SEAL)
        return fail(STATUS_BAD_DATA, "%s: an object of %llu bytes in a file of %zu", p->path,
                    (unsigned long long)object, size);
    p->numbers = data + HEAD + object;
    p->bytes = size - HEAD - object - SEAL;
    p->about = json_object((const char *)data + HEAD, object, p->path);
    p->of = cJSON_GetObjectItemCaseSensitive(p->about, "of");
    if (!p->about) return false;
    if (!cJSON_IsObject(p->of)) return fail(STATUS_BAD_DATA, "%s: wanted an object 'of'", p->path);
    return range_read(p);
}

bool part_open(struct part_file *part, const char *path)
{
    *part = (struct part_file){.path = path};
    bool ok = file_map_open(&part->map, path) && part_parse(part);
    if (!ok) part_close(part);
    return ok;
}

void part_close(struct part_file *part)
{
    cJSON_Delete(part->about);
    file_map_close(&part->map);
    *part = (struct part_file){0};
}

static bool wrong(const struct part_file *part, const char *name, const char *wanted)
{
    return fail(STATUS_BAD_DATA, "%s: its '%s' is not %s", part->path, name, wanted);
}

bool part_whole(const struct part_file *part, const char *name, uint64_t low, uint64_t high,
                uint64_t *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(part->of, name);
    return whole_in(item, low, high, value) ||
           fail(STATUS_BAD_DATA, "%s: its '%s' is not a whole number from %llu to %llu", part->path,
                name, (unsigned long long)low, (unsigned long long)high);
}

bool part_text(const struct part_file *part, const char *name, const char *letters, char *text,
               size_t room)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(part->of, name);
    if (!cJSON_IsString(item)) return wrong(part, name, "a text");
    const size_t size = strlen(item->valuestring);
    if (size >= room || (letters && strspn(item->valuestring, letters) != size))
        return wrong(part, name, "such a text as oedit writes");
    memcpy(text, item->valuestring, size + 1);
    return true;
}

bool part_number(const struct part_file *part, const char *name, double *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(part->of, name);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble)) return wrong(part, name, "a number");
    *value = item->valuedouble;
    return true;
}

const char *part_note(const struct part_file *part, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(part->about, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

bool part_start(struct part_out *out, const char *path, const cJSON *about)
{
    char *text = json_text(about, false, "a part");
    *out = (struct part_out){0};
    if (!text) return false;
    static const char blanks[ALIGN] = "        ";
    const uint64_t size = strlen(text), padded = (size + ALIGN - 1) / ALIGN * ALIGN;
    XXH3_state_t *sum = XXH3_createState();
    bool ok = sum || fail(STATUS_NO_MEMORY, "out of host memory for a checksum");
    if (ok) XXH3_64bits_reset(sum);
    out->sum = sum;
    ok = ok && file_out_open(&out->file, path);
    if (!ok) {
        XXH3_freeState(sum);
        out->sum = NULL;
    }
    ok = ok && part_add(out, magic, sizeof magic) && part_add(out, &padded, sizeof padded) &&
         part_add(out, text, size) && part_add(out, blanks, padded - size);
    if (!ok && out->sum) part_end(out, false);
    cJSON_free(text);
    return ok;
}

bool part_add(struct part_out *out, const void *data, uint64_t bytes)
{
    if (bytes) XXH3_64bits_update(out->sum, data, bytes);
    return file_out_write(&out->file, data, bytes);
}

bool part_end(struct part_out *out, bool keep)
{
    if (!out->sum) return false;
    const uint64_t seal = XXH3_64bits_digest(out->sum);
    XXH3_freeState(out->sum);
    out->sum = NULL;
    keep = keep && file_out_write(&out->file, &seal, sizeof seal);
    return file_out_close(&out->file, keep) && keep;
}
