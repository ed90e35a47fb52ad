#include "base/html.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static const char replacement[] = "\xef\xbf\xbd";

// Embeddings, overrides and isolates reach beyond the text that has them; the marks of a line's
// end would end a string of old scripts.
static bool steers(const unsigned char *at, size_t size)
{
    if (size == 1) return (at[0] < ' ' && at[0] != '\t' && at[0] != '\n') || at[0] == 127;
    if (size == 2) return at[0] == 0xc2 && at[1] < 0xa0; // C1 controls
    if (size != 3 || at[0] != 0xe2) return false;
    return (at[1] == 0x80 && at[2] >= 0xa8 && at[2] <= 0xae) || // U+2028 to U+202E
           (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9);   // U+2066 to U+2069
}

// The next character as it may stand on a page: *size bytes at the returned place.
static const char *next(const char **text, size_t *size)
{
    const char *at = *text;
    size_t length = utf8_size(at, 4); // which stops at the text's end: that continues nothing
    *text += length ? length : 1;
    if (length && !steers((const unsigned char *)at, length)) {
        *size = length;
        return at;
    }
    *size = sizeof replacement - 1;
    return replacement;
}

void html_text(FILE *to, const char *text)
{
    while (*text) {
        size_t size;
        const char *at = next(&text, &size);
        switch (*at) {
        case '&': fputs("&amp;", to); break;
        case '<': fputs("&lt;", to); break;
        case '>': fputs("&gt;", to); break;
        case '"': fputs("&quot;", to); break;
        case '\'': fputs("&#39;", to); break;
        default: fwrite(at, 1, size, to);
        }
    }
}

void html_json(FILE *to, const char *text)
{
    fputc('"', to);
    while (*text) {
        size_t size;
        const char *at = next(&text, &size);
        unsigned char letter = (unsigned char)*at;
        // `</script>` and `<!--` would end the element or change how it is read.
        if (letter < ' ' || strchr("\"\\<>&'", letter)) fprintf(to, "\\u%04x", letter);
        else fwrite(at, 1, size, to);
    }
    fputc('"', to);
}

void html_number(FILE *to, double value, int digits)
{
    if (isfinite(value)) fprintf(to, "%.*g", digits, value);
    else fputs("null", to);
}
