// Files of records: a JSON array of objects, or objects one after the other (JSONL).
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

// One record while it is read: what error messages name.
struct record {
    const cJSON *object; // any JSON value in an array; else an object
    const char *path;
    size_t number; // from 1
};

// The value, or NULL where the key is missing or null.
const cJSON *record_member(const cJSON *object, const char *key);

// object[key], which must be a text that is not blank: *text, to be freed.
bool record_text(const struct record *record, const cJSON *object, const char *key, char **text);

bool text_blank(const char *text); // only blanks, or nothing at all

// Called for each record; false stops the reading with its failure.
typedef bool (*record_take)(void *user, const struct record *record);

struct records_options {
    size_t skip;  // records left out at the start
    size_t limit; // at most so many; 0: all that there are
};

// Reads a file, record by record. A value that is no record, malformed JSON (with its line) and a
// file without records, or with none behind those skipped, fail with STATUS_BAD_DATA.
bool records_read(const char *path, struct records_options options, record_take take, void *user);
