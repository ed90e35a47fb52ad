// A shard's file: partial results, what they are of, and a checksum over all of it. Little-endian:
//   "oedit-p1", the bytes of the JSON object (64 bits), the object, blanks up to a multiple of 8;
//   the numbers; XXH3 (64 bits) of everything before it.
// The object says {"of": {...}, "first": F, "end": E, ...}: `of` is what parts must have in common
// to be joined ("command" before all, one of stats, grad and eval), [F, E) of of.whole this part's.
#pragma once
#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/file.h"

struct part_file {
    const char *path;
    struct file_map map;
    cJSON *about; // the object
    const cJSON *of;
    uint32_t first, end;
    const uint8_t *numbers;
    uint64_t bytes;
};

// Maps and checks the file; a file that is none, cut off or damaged fails with STATUS_BAD_DATA.
// `path` must live as long as the part.
bool part_open(struct part_file *part, const char *path);
void part_close(struct part_file *part); // accepts zero

// of[name]: a whole number in [low, high], a text of at most `room` - 1 bytes, a number; anything
// else, and a text that has other letters than `letters` (NULL: any), fails naming file and place.
bool part_whole(const struct part_file *part, const char *name, uint64_t low, uint64_t high,
                uint64_t *value);
bool part_text(const struct part_file *part, const char *name, const char *letters, char *text,
               size_t room);
bool part_number(const struct part_file *part, const char *name, double *value);

// What parts may have of their own: a text of `about`, or "".
const char *part_note(const struct part_file *part, const char *name);

// Writing: the object, the numbers in pieces, the end.
struct part_out {
    struct file_out file;
    void *sum; // XXH3 so far
};

bool part_start(struct part_out *out, const char *path, const cJSON *about);
bool part_add(struct part_out *out, const void *data, uint64_t bytes);
bool part_end(struct part_out *out, bool keep); // false if the file could not be kept
