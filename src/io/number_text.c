#include <ctype.h>
#include <string.h>

#include "io/task_file.h"

static bool digit(const char *text, size_t size, size_t at)
{
    return at < size && isdigit((unsigned char)text[at]);
}

// Commas stand before three digits each: "1,234,567" is one number, "1, 2" and "3,45" are two.
static bool comma(const char *text, size_t size, size_t at)
{
    return at < size && text[at] == ',' && digit(text, size, at + 1) && digit(text, size, at + 2) &&
           digit(text, size, at + 3) && !digit(text, size, at + 4);
}

// The number that begins at the digit or point `at`; returns where it ends.
static size_t number_at(const char *text, size_t size, size_t at, double *number)
{
    double value = 0, unit = 1;
    for (; digit(text, size, at) || comma(text, size, at); at++)
        if (text[at] != ',') value = 10 * value + (text[at] - '0');
    if (at < size && text[at] == '.' && digit(text, size, at + 1))
        for (at++; digit(text, size, at); at++) {
            if (unit >= 1e15) continue; // no double has more
            value = 10 * value + (text[at] - '0');
            unit *= 10;
        }
    *number = value / unit;
    return at;
}

bool number_last(const char *text, size_t size, double *number)
{
    bool found = false;
    for (size_t at = 0; at < size;) {
        bool point = text[at] == '.' && digit(text, size, at + 1) &&
                     (at == 0 || !isalnum((unsigned char)text[at - 1]));
        if (!digit(text, size, at) && !point) {
            at++;
            continue;
        }
        // A minus, perhaps with a currency sign behind it; not between two things ("5-3").
        size_t sign = at;
        if (sign && text[sign - 1] == '$') sign--;
        bool minus = sign && text[sign - 1] == '-' &&
                     (sign == 1 || !isalnum((unsigned char)text[sign - 2]));
        at = number_at(text, size, at, number);
        if (minus) *number = -*number;
        found = true;
    }
    return found;
}
