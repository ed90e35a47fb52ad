#include <ctype.h>
#include <string.h>

#include "eval/task.h"

// The choice whose letter stands alone at text[at]; -1: none. Inside a text it may be an article:
// "It is A dog", "but I think".
static int32_t letter_at(const char *text, size_t at, uint32_t choices, bool inside)
{
    unsigned letter = (unsigned)(text[at] - 'A');
    unsigned char before = at ? (unsigned char)text[at - 1] : ' ';
    unsigned char next = (unsigned char)text[at + 1];
    if (letter >= choices || isalnum(before) || before >= 0x80 || before == '\'') return -1;
    if (isalnum(next) || next >= 0x80 || next == '\'') return -1;
    if (inside && next == ' ' && islower((unsigned char)text[at + 2]) &&
        (text[at] == 'A' || text[at] == 'I'))
        return -1;
    return (int32_t)letter;
}

int32_t choice_read(const char *text, uint32_t choices)
{
    size_t start = strspn(text, " \t\r\n");
    for (size_t at = start; text[at]; at++) {
        int32_t choice = letter_at(text, at, choices, at > start);
        if (choice >= 0) return choice;
    }
    return -1;
}

static bool inner(unsigned char c)
{
    return isalnum(c) || c >= 0x80;
}

bool word_first(const char *text, const char **word, size_t *size)
{
    while (*text && !inner((unsigned char)*text)) text++;
    *word = text;
    *size = 0;
    for (size_t i = 0; text[i] && !isspace((unsigned char)text[i]); i++)
        if (inner((unsigned char)text[i])) *size = i + 1;
    return *size > 0;
}
