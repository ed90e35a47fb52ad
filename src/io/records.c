#include "io/records.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "base/utf8.h"

// A file under way: `number` records were seen, `taken` of them given on.
struct reader {
    const char *path, *text, *end;
    size_t number, taken;
    struct records_options options;
    record_take take;
    void *user;
};

const cJSON *record_member(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNull(value) ? NULL : value;
}

bool text_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

bool record_utf8(const struct record *record, const char *key, const char *text)
{
    const size_t size = strlen(text), at = utf8_invalid(text, size);
    return at == size ||
           fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is not UTF-8: byte 0x%02x at offset %zu "
                                 "of the text", record->path, record->number, key,
                (unsigned)(unsigned char)text[at], at);
}

bool record_text(const struct record *record, const cJSON *object, const char *key, char **text)
{
    const cJSON *value = record_member(object, key);
    if (!value)
        return fail(STATUS_BAD_DATA, "%s, record %zu: key \"%s\" is missing", record->path,
                    record->number, key);
    if (!cJSON_IsString(value))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is no text", record->path,
                    record->number, key);
    if (text_blank(value->valuestring))
        return fail(STATUS_BAD_DATA, "%s, record %zu: \"%s\" is empty", record->path,
                    record->number, key);
    if (!record_utf8(record, key, value->valuestring)) return false;
    *text = mem_text(value->valuestring, strlen(value->valuestring), "a record");
    return *text != NULL;
}

static size_t line_of(const struct reader *reader, const char *at)
{
    size_t line = 1;
    for (const char *c = reader->text; c < at; c++) line += *c == '\n';
    return line;
}

static bool reader_done(const struct reader *reader)
{
    return reader->options.limit && reader->taken >= reader->options.limit;
}

// One record, unless it is skipped or enough are there.
static bool reader_take(struct reader *reader, const cJSON *object)
{
    struct record record = {object, reader->path, ++reader->number};
    if (reader->number <= reader->options.skip || reader_done(reader)) return true;
    reader->taken++;
    return reader->take(reader->user, &record);
}

// Reads one JSON value at *at: a record, or an array of records.
static bool reader_value(struct reader *reader, const char **at)
{
    const char *stop = *at;
    cJSON *value = cJSON_ParseWithLengthOpts(*at, (size_t)(reader->end - *at), &stop, false);
    if (!value)
        return fail(STATUS_BAD_DATA, "%s, line %zu: malformed JSON at byte %zu", reader->path,
                    line_of(reader, stop), (size_t)(stop - reader->text));
    bool ok = true;
    if (cJSON_IsArray(value)) {
        for (const cJSON *item = value->child; item && ok; item = item->next)
            ok = reader_take(reader, item);
    } else if (cJSON_IsObject(value)) {
        ok = reader_take(reader, value);
    } else {
        ok = fail(STATUS_BAD_DATA, "%s, line %zu: a JSON value that is no record {...}",
                  reader->path, line_of(reader, *at));
    }
    cJSON_Delete(value);
    *at = stop;
    return ok;
}

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
    return at;
}

bool records_read(const char *path, struct records_options options, record_take take, void *user)
{
    char *text = NULL;
    size_t size = 0;
    if (!file_read(path, &text, &size)) return false;
    struct reader reader = {.path = path, .text = text, .end = text + size, .options = options,
                            .take = take, .user = user};
    const char *at = text;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) at += 3; // byte order mark
    bool ok = true;
    at = skip_blanks(at, reader.end);
    while (ok && at < reader.end && !reader_done(&reader)) {
        ok = reader_value(&reader, &at);
        at = skip_blanks(at, reader.end);
    }
    if (ok && reader.number == 0) ok = fail(STATUS_BAD_DATA, "%s has no records", path);
    if (ok && reader.taken == 0)
        ok = fail(STATUS_BAD_DATA, "%s has %zu records, wanted some after the first %zu", path,
                  reader.number, options.skip);
    free(text);
    return ok;
}
