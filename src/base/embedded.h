// Files that lie in the program itself: the demo's model, its requests and its text. They are read
// by the functions of base/file.h, under names that no file of the host has.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define EMBEDDED_MODEL "oedit:/demo.gguf"
#define EMBEDDED_REQUESTS "oedit:/demo.json"
#define EMBEDDED_TEXT "oedit:/demo.txt"

struct embedded {
    const char *path;
    const uint8_t *data; // aligned to 8 bytes, and terminated by '\0' behind `size`
    size_t size;
};

// NULL: none of that name.
const struct embedded *embedded_find(const char *path);
