#define _POSIX_C_SOURCE 200809L
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"

// Letters to insert, delete, change, or neighbours to swap (optimal string alignment); words here
// are short.
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t rows[3][LONGEST + 1], m = strlen(b), i = 0;
    if (m > LONGEST) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    while (a[i++]) {
        const size_t *up = rows[(i - 1) % 3], *second = rows[(i + 1) % 3]; // two rows up
        size_t *row = rows[i % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best) best = up[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && second[j - 2] + 1 < best) best = second[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[(i - 1) % 3][m];
}

const char *options_nearest(const char *word, const char *const *words, size_t count)
{
    const char *nearest = NULL;
    size_t best = strlen(word) / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, words[i]);
        bool begins = strlen(word) >= 3 && strncmp(words[i], word, strlen(word)) == 0;
        if (begins) d = 1;
        if (d < best) {
            best = d;
            nearest = words[i];
        }
    }
    return nearest;
}

enum { CALLED = 48 };

// As it is written: --steps, or -n.
static const char *called(const struct option *o, char text[CALLED])
{
    if (*o->name) snprintf(text, CALLED, "--%s", o->name);
    else snprintf(text, CALLED, "-%c", o->letter);
    return text;
}

static bool unknown(const struct option *table, size_t count, unsigned command, const char *word)
{
    const char *names[128];
    size_t known = 0;
    for (size_t i = 0; i < count && known < 128; i++)
        if (table[i].commands & command) names[known++] = table[i].name;
    const char *nearest = options_nearest(word, names, known);
    return fail(STATUS_USAGE, "unknown option --%s%s%s%s", word, nearest ? "; did you mean --" : "",
                nearest ? nearest : "", nearest ? "?" : " (see --help)");
}

static const struct option *find(const struct option *table, size_t count, unsigned command,
                                 const char *name, char letter)
{
    for (size_t i = 0; i < count; i++)
        if ((table[i].commands & command) &&
            ((name && strcmp(table[i].name, name) == 0) || (letter && table[i].letter == letter)))
            return &table[i];
    return NULL;
}

// Names the words, and the nearest.
static bool choice_unknown(const struct option *o, const char *text)
{
    enum { WORDS = 32, LONGEST = 40 };
    char words[WORDS][LONGEST];
    const char *names[WORDS], *word = o->value;
    size_t count = 0;
    for (; *word && count < WORDS; count++) {
        size_t length = strcspn(word, "|");
        snprintf(words[count], LONGEST, "%.*s", (int)length, word);
        names[count] = words[count];
        word += length + (word[length] == '|');
    }
    const char *nearest = options_nearest(text, names, count);
    return fail(STATUS_USAGE, "--%s: got '%s', wanted one of %s%s%s%s", o->name, text, o->value,
                nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static bool choice_set(const struct option *o, const char *text, int *number)
{
    const char *word = o->value;
    for (int i = 0; *word; i++) {
        size_t length = strcspn(word, "|");
        if (strlen(text) == length && strncmp(word, text, length) == 0) {
            *number = i;
            return true;
        }
        word += length + (word[length] == '|');
    }
    return choice_unknown(o, text);
}

// "6G", "1.5G", "512MiB", "800000000": K, M and G are 2^10, 2^20 and 2^30; B or iB may follow.
static bool bytes_set(const struct option *o, const char *text, uint64_t *value)
{
    static const char units[] = "KMG";
    char *end = NULL;
    double x = strtod(text, &end);
    const bool number = end != text && isdigit((unsigned char)text[0]);
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit) {
        x *= (double)(1ull << 10 * (unit - units + 1));
        end += strncmp(end + 1, "iB", 2) == 0 ? 3 : end[1] == 'B' ? 2 : 1;
    }
    if (!number || *end || !isfinite(x) || x < o->low || x > o->high)
        return fail(STATUS_USAGE, "--%s: got '%s', wanted bytes, as in 6G, 512M or 800000000",
                    o->name, text);
    *value = (uint64_t)x;
    return true;
}

static bool number_set(const struct option *o, const char *text, void *value)
{
    char *end = NULL, name[CALLED];
    errno = 0;
    if (o->kind == OPTION_F32) {
        double x = strtod(text, &end);
        if (end == text || *end || !isfinite(x) || x < o->low || x > o->high)
            return fail(STATUS_USAGE, "%s: got '%s', wanted a number from %g to %g",
                        called(o, name), text, o->low, o->high);
        *(float *)value = (float)x;
        return true;
    }
    unsigned long long x = strtoull(text, &end, 10);
    if (end == text || *end || errno || !isdigit((unsigned char)text[0]) || (double)x < o->low ||
        (double)x > o->high)
        return fail(STATUS_USAGE, "%s: got '%s', wanted a whole number from %.0f to %.0f",
                    called(o, name), text, o->low, o->high);
    if (o->kind == OPTION_U32)
        *(uint32_t *)value = (uint32_t)x;
    else
        *(uint64_t *)value = x;
    return true;
}

static bool value_set(const struct option *o, const char *text, void *target)
{
    void *value = (char *)target + o->offset;
    if (o->kind == OPTION_TEXT) *(const char **)value = text;
    if (o->kind == OPTION_TEXT) return true;
    if (o->kind == OPTION_CHOICE) return choice_set(o, text, value);
    if (o->kind == OPTION_BYTES) return bytes_set(o, text, value);
    return number_set(o, text, value);
}

bool options_parse(const struct option *table, size_t count, unsigned command, int argc,
                   char **argv, void *target, const char **extra, int *extra_count)
{
    *extra_count = 0;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i], *value = NULL;
        bool wide = word[0] == '-' && word[1] == '-' && word[2];
        if (word[0] != '-' || !word[1]) {
            extra[(*extra_count)++] = word;
            continue;
        }
        if (wide && (value = strchr(word, '='))) *value++ = '\0';
        const struct option *o = wide ? find(table, count, command, word + 2, 0)
                                      : find(table, count, command, NULL, word[1]);
        if (!o) return wide ? unknown(table, count, command, word + 2)
                            : fail(STATUS_USAGE, "unknown option %s (see --help)", word);
        if (wide && value) value[-1] = '='; // the line is as it was: workers are started with it
        if (!wide && word[2]) value = word + 2;
        if (o->kind == OPTION_FLAG) {
            if (value) return fail(STATUS_USAGE, "--%s takes no value, got '%s'", o->name, value);
            *(bool *)((char *)target + o->offset) = true;
            continue;
        }
        bool apart = !value && i + 1 < argc;
        if (apart) value = argv[++i];
        char name[CALLED];
        if (!value) return fail(STATUS_USAGE, "%s: wanted %s after it", called(o, name), o->value);
        // A text may look like any option but one that there is.
        if (apart && strncmp(value, "--", 2) == 0 && value[2] &&
            find(table, count, command, value + 2, 0))
            return fail(STATUS_USAGE, "%s: got the option %s, wanted %s after it", called(o, name),
                        value, o->value);
        if (!value_set(o, value, target)) return false;
    }
    return true;
}

bool options_set(const struct option *table, size_t count, unsigned command, const char *name,
                 const char *value, void *target)
{
    const struct option *o = find(table, count, command, name, 0);
    if (!o) return unknown(table, count, command, name);
    if (o->kind != OPTION_FLAG) return value_set(o, value, target);
    bool yes = strcmp(value, "true") == 0;
    if (!yes && strcmp(value, "false") != 0)
        return fail(STATUS_USAGE, "--%s: got '%s', wanted true or false", o->name, value);
    *(bool *)((char *)target + o->offset) = yes;
    return true;
}

void options_help(const struct option *table, size_t count, unsigned command)
{
    for (size_t i = 0; i < count; i++) {
        const struct option *o = &table[i];
        if (!(o->commands & command)) continue;
        char letter[8] = "    ";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        if (!*o->name) letter[2] = '\0'; // a letter alone
        int used = printf("  %s%s%s %s", letter, *o->name ? "--" : "", o->name,
                          o->kind == OPTION_FLAG ? "" : o->value);
        if (used > 36) used = printf("\n") - 1; // a long list of choices stands alone
        printf("%*s %s\n", 36 - used, "", o->help);
    }
}

bool options_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return !(no && *no) && getenv("TERM") && !options_dumb();
}

bool options_dumb(void)
{
    const char *term = getenv("TERM");
    return term && strcmp(term, "dumb") == 0;
}

// NAME in the folder oedit of an XDG folder: $VARIABLE, or USUAL in the home folder.
static char *xdg_path(const char *variable, const char *usual, const char *name)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (!home || !*home) home = getenv("USERPROFILE"); // on Windows
    bool own = base && base[0] == '/';
    if (!own && (!home || !*home)) {
        fail(STATUS_FAILED, "no folder for %s: neither %s nor HOME is set", name, variable);
        return NULL;
    }
    const char *root = own ? base : home;
    size_t length = strlen(root) + strlen(usual) + strlen(name) + 32;
    char *path = mem_new(length, 1, "a path");
    if (!path) return NULL;
    snprintf(path, length, "%s%s/oedit/%s", root, own ? "" : usual, name);
    if (file_make_folders(path)) return path;
    free(path);
    return NULL;
}

char *options_cache_path(const char *name)
{
    return xdg_path("XDG_CACHE_HOME", "/.cache", name);
}

char *options_state_path(const char *name)
{
    return xdg_path("XDG_STATE_HOME", "/.local/state", name);
}

char *options_temporary_file(void)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base) base = "/tmp";
    if (access(base, F_OK) != 0 && getenv("TEMP")) base = getenv("TEMP"); // on Windows
    size_t length = strlen(base) + 32;
    char *path = mem_new(length, 1, "a path");
    if (!path) return NULL;
    snprintf(path, length, "%s/oedit-XXXXXX", base);
    int file = mkstemp(path);
    if (file >= 0) {
        close(file);
        return path;
    }
    fail(STATUS_FAILED, "cannot make a file under %s: %s", base, strerror(errno));
    free(path);
    return NULL;
}
