// What cJSON leaves open: its texts and trees come out smaller, without a word, where memory ends.
#pragma once
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/append.h"

// From now on, in the whole process, cJSON's running out of memory is a failure of ours.
void json_watch(void);

// The tree as text, to be freed by cJSON_free; NULL with fail(STATUS_NO_MEMORY) naming `what` where
// memory ended now or, under json_watch, since the last call: the tree then lacks something.
char *json_text(const cJSON *root, bool pretty, const char *what);

// The tree as one line behind the file's last: one write, whole or torn.
bool json_line(const cJSON *root, struct append *to);

// to[name] = value; null for what JSON has no word for.
void json_number(cJSON *to, const char *name, double value);
// Puts an item, which is then the list's or object's. Where one of them could not be made, or there
// is no memory to join them, the item is freed: false, which json_text tells again. json_push: a
// number, or null as json_number has it.
bool json_append(cJSON *list, cJSON *item);
bool json_member(cJSON *object, const char *name, cJSON *item);
void json_push(cJSON *list, double value);

bool json_put(const cJSON *root, bool pretty); // the same as a line on stdout

// An object out of `size` bytes of UTF-8 with nothing behind it, to be freed by cJSON_Delete; NULL
// with fail(STATUS_BAD_DATA) that names `path` and the place.
cJSON *json_object(const char *text, size_t size, const char *path);
cJSON *json_file(const char *path); // the same of a whole file
