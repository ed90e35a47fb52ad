// Command-line options from a table, and the few things taken from the environment.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG, OPTION_TEXT, OPTION_U32, OPTION_U64, OPTION_BYTES, OPTION_F32, OPTION_CHOICE
};

struct option {
    const char *name; // without the dashes
    char letter;      // 0: none
    enum option_kind kind;
    size_t offset;     // of the value in the target: bool, const char *, uint32_t ... ; a choice
                       // is an int, the word's number; bytes are a uint64_t
    const char *value; // what the help calls it; for a choice its words: "a|b|c"
    const char *help;
    unsigned commands; // bits of the commands it belongs to
    double low, high;  // numbers outside are refused
};

// Fills the target from argv[1..]. An unknown option, a missing or unusable value fails with
// STATUS_USAGE, naming the nearest valid one. Words that are no options go to `extra`.
bool options_parse(const struct option *table, size_t count, unsigned command, int argc,
                   char **argv, void *target, const char **extra, int *extra_count);

// Sets one option by its name; "true" and "false" for flags. Fails as options_parse does.
bool options_set(const struct option *table, size_t count, unsigned command, const char *name,
                 const char *value, void *target);

// One line an option of the command.
void options_help(const struct option *table, size_t count, unsigned command);

// Of the words, the one that is most like `word`; NULL if none is near.
const char *options_nearest(const char *word, const char *const *words, size_t count);

// Whether a terminal may be coloured: not with NO_COLOR (no-color.org) or TERM=dumb.
bool options_colour(void);

// Whether the terminal has nothing but letters and ends of lines: TERM=dumb.
bool options_dumb(void);

// ${XDG_CACHE_HOME:-~/.cache}/oedit/NAME, its folders made; to be freed. NULL on failure.
char *options_cache_path(const char *name);

// ${XDG_STATE_HOME:-~/.local/state}/oedit/NAME, as above.
char *options_state_path(const char *name);

// A fresh empty file under ${TMPDIR:-/tmp}; its name, to be freed. NULL on failure.
char *options_temporary_file(void);
