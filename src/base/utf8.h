// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once
#include <stddef.h>
#include <stdint.h>

// The size of the character at text, 0 if it is none. size: bytes from there on, at least 1.
static inline size_t utf8_size(const char *characters, size_t size)
{
    const unsigned char *text = (const unsigned char *)characters;
    if (text[0] < 0x80) return 1;
    size_t wanted = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || size < wanted) return 0;
    for (size_t i = 1; i < wanted; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return wanted;
}

// The offset of the first byte that is no UTF-8; size if there is none.
static inline size_t utf8_invalid(const char *text, size_t size)
{
    size_t at = 0;
    for (size_t step; at < size; at += step) {
        step = utf8_size(text + at, size - at);
        if (!step) break;
    }
    return at;
}
