#include "base/embedded.h"

#include <string.h>

// Made by tools/embed.cmake: NAME_words and NAME_size. Words, not bytes: a compiler takes half a
// million of numbers in a second, four million not.
#include "demo_gguf.inc"
#include "demo_json.inc"
#include "demo_txt.inc"

static const struct embedded files[] = {
    {EMBEDDED_MODEL, (const uint8_t *)demo_gguf_words, demo_gguf_size},
    {EMBEDDED_REQUESTS, (const uint8_t *)demo_json_words, demo_json_size},
    {EMBEDDED_TEXT, (const uint8_t *)demo_txt_words, demo_txt_size},
};

const struct embedded *embedded_find(const char *path)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(files[i].path, path) == 0) return &files[i];
    return NULL;
}
