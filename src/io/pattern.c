#include "io/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "io/letters.h"

// Properties that may be asked for, with the characters that PCRE2 may not know yet.
static const struct property {
    const char *name, *more;
} properties[] = {
    {"L", NEW_LETTERS},    {"N", NEW_NUMBERS},       {"Lu", NEW_UPPER}, {"Ll", NEW_LOWER},
    {"Lt", ""},            {"Lm", NEW_MODIFIERS},    {"M", NEW_MARKS},  {"Lo", NEW_OTHER_LETTERS},
    {"P", NEW_PUNCTUATION}, {"No", NEW_OTHER_NUMBERS}, {"S", NEW_SYMBOLS}, {"Nd", NEW_DIGITS},
    {"Nl", ""},            {"Z", ""},                {"Zs", ""},        {"Cc", ""},
    {"Sc", ""},
};

struct translation {
    const char *at, *where;
    bool inside; // between brackets
    char *text;
    size_t size, capacity;
};

static bool add(struct translation *t, const char *more, size_t length)
{
    if (!mem_grow(&t->text, &t->capacity, t->size + length + 1, 1, "a pattern")) return false;
    memcpy(t->text + t->size, more, length);
    t->size += length;
    t->text[t->size] = '\0';
    return true;
}

static bool put(struct translation *t, const char *more)
{
    return add(t, more, strlen(more));
}

// The pattern's next bytes as they stand.
static bool copy(struct translation *t, size_t length)
{
    const char *from = t->at;
    t->at += length;
    return add(t, from, length);
}

static bool unknown(const struct translation *t)
{
    return fail(STATUS_BAD_DATA, "%s: a pattern with %.16s, wanted one of letters, brackets, "
                "groups, \\s, \\d and \\p{L} or the like", t->where, t->at);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// How many hexadecimal digits stand there.
static size_t hex_length(const char *text)
{
    return strspn(text, "0123456789abcdefABCDEF");
}

// A class, by what stands between its brackets.
static bool class_put(struct translation *t, bool other, const char *more, const char *name)
{
    if (t->inside) return put(t, more) && put(t, name);
    return put(t, other ? "[^" : "[") && put(t, more) && put(t, name) && put(t, "]");
}

static bool property_put(struct translation *t, const char *name, size_t length, bool other)
{
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        const struct property *p = &properties[i];
        char text[16];
        if (strlen(p->name) != length || memcmp(p->name, name, length) != 0) continue;
        if (other && t->inside && *p->more) break; // what is new cannot be taken out there
        snprintf(text, sizeof text, "\\%c{%s}", other && t->inside ? 'P' : 'p', p->name);
        return class_put(t, other, p->more, text);
    }
    return unknown(t);
}

// \x{1f600}, \x41 or \u0041.
static bool number_escape(struct translation *t)
{
    char text[16];
    const char *digits = t->at + 2;
    size_t length = *digits == '{' ? hex_length(digits + 1) : hex_length(digits);
    if (t->at[1] == 'x' && *digits == '{')
        return length && length <= 6 && digits[length + 1] == '}' ? copy(t, length + 4)
                                                                    : unknown(t);
    bool four = t->at[1] == 'u';
    if (length < (four ? 4 : 2) || (!four && (*digits > '7' || !is_digit(*digits))))
        return unknown(t); // \x80 and on are bytes there, not characters
    snprintf(text, sizeof text, "\\x{%.*s}", four ? 4 : 2, digits);
    t->at += four ? 6 : 4;
    return put(t, text);
}

static bool escape(struct translation *t)
{
    char c = t->at[1];
    const char *end = (c == 'p' || c == 'P') && t->at[2] == '{' ? strchr(t->at, '}') : NULL;
    if (c == 'p' || c == 'P') {
        bool ok =
            end ? property_put(t, t->at + 3, (size_t)(end - t->at - 3), c == 'P') : unknown(t);
        t->at = ok ? end + 1 : t->at;
        return ok;
    }
    if (c == 'x' || c == 'u') return number_escape(t);
    bool ok = true;
    if (c == 's')
        ok = class_put(t, false, "", BLANK);
    else if (c == 'S')
        ok = t->inside ? put(t, "\\S\\x{180e}") : class_put(t, true, "", BLANK);
    else if (c == 'd' || c == 'D')
        ok = property_put(t, "Nd", 2, c == 'D');
    else if (c == 'v') // a vertical tab; PCRE2's has all line ends
        ok = put(t, "\\x0b");
    else if (!c || is_digit(c) || (is_letter(c) && !strchr("nrtfae", c)))
        return unknown(t);
    else
        return copy(t, 2);
    t->at += 2;
    return ok;
}

// What a group may begin with; (?m) and others have another meaning in each library.
static bool group(struct translation *t)
{
    static const char *const starts[] = {"(?:",  "(?=",  "(?!",  "(?>",
                                         "(?<=", "(?<!", "(?i:", "(?i)"};
    if (t->at[1] != '?') return copy(t, 1);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(t->at, starts[i], strlen(starts[i])) == 0) return copy(t, strlen(starts[i]));
    return unknown(t);
}

// {2}, {2,} or {2,3}; what PCRE2 takes for possessive or lazy behind them is greedy there.
static bool interval(struct translation *t)
{
    const char *end = t->at + 1;
    while (is_digit(*end)) end++;
    bool least = end > t->at + 1;
    if (*end == ',') end++;
    while (is_digit(*end)) end++;
    if (*end != '}' || end == t->at + 1) return copy(t, 1); // the sign itself
    return !least || end[1] == '+' || end[1] == '?' ? unknown(t)
                                                    : copy(t, (size_t)(end - t->at) + 1);
}

static bool bracket(struct translation *t)
{
    if (t->inside) return unknown(t); // a class in a class
    size_t length = t->at[1] == '^' ? 2 : 1;
    t->inside = true;
    return t->at[length] == ']' ? unknown(t) : copy(t, length);
}

char *pattern_translate(const char *pattern, const char *where)
{
    struct translation t = {.at = pattern, .where = where};
    bool ok = put(&t, "");
    while (ok && *t.at) {
        char c = *t.at;
        if (c == '\\') {
            ok = escape(&t);
        } else if (c == '[') {
            ok = bracket(&t);
        } else if (t.inside) {
            if (c == ']') t.inside = false;
            ok = c == '&' && t.at[1] == '&' ? unknown(&t) : copy(&t, 1);
        } else {
            ok = c == '(' ? group(&t) : c == '{' ? interval(&t) : copy(&t, 1);
        }
    }
    if (!ok) free(t.text);
    return ok ? t.text : NULL;
}

char *pattern_literal(const char *text)
{
    struct translation t = {.at = text};
    bool ok = put(&t, "");
    while (ok && *t.at) {
        bool sign = (unsigned char)*t.at < 0x80 && !is_letter(*t.at) && !is_digit(*t.at);
        ok = (!sign || put(&t, "\\")) && copy(&t, 1);
    }
    if (!ok) free(t.text);
    return ok ? t.text : NULL;
}
