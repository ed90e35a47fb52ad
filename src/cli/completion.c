#include "cli/completion.h"

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/status.h"

// What may stand behind an option.
enum kind { NOTHING, SOMETHING, FILE_NAME, FOLDER_NAME, WORDS };

static enum kind kind_of(const struct option *o)
{
    static const char *const files[] = {"FILE", "MODEL", "JOURNAL"};
    if (o->kind == OPTION_FLAG) return NOTHING;
    if (o->kind == OPTION_CHOICE) return WORDS;
    if (o->kind != OPTION_TEXT) return SOMETHING;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(o->value, files[i]) == 0) return FILE_NAME;
    return strcmp(o->value, "FOLDER") == 0 ? FOLDER_NAME : SOMETHING;
}

// The text with `escaped`'s characters behind `escape`, and ' as a shell's single quotes want it.
static void put(const char *text, const char *escaped, const char *escape)
{
    for (; *text; text++) {
        if (*text == '\'') fputs("'\\''", stdout);
        else if (strchr(escaped, *text)) printf("%s%c", escape, *text);
        else putchar(*text);
    }
}

// A choice's words, "a|b|c", with blanks between.
static void put_words(const char *words)
{
    for (; *words; words++) putchar(*words == '|' ? ' ' : *words);
}

static void put_names(const struct option *o, const char *between)
{
    if (*o->name) printf("--%s", o->name);
    if (*o->name && o->letter) fputs(between, stdout);
    if (o->letter) printf("-%c", o->letter);
}

// One arm of bash's `case $before`: what stands behind these options.
static void bash_option(const struct option *o)
{
    static const char *const kinds[] = {[SOMETHING] = "nothing", [FILE_NAME] = "file",
                                        [FOLDER_NAME] = "folder"};
    enum kind kind = kind_of(o);
    if (kind == NOTHING) return;
    fputs("        ", stdout);
    put_names(o, " | ");
    fputs(") behind='", stdout);
    if (kind == WORDS) put_words(o->value);
    else fputs(kinds[kind], stdout);
    puts("' ;;");
}

static void bash(const struct command *commands, size_t count, const struct option *options,
                 size_t known)
{
    puts("# bash completion for oedit\n"
         "_oedit() {\n"
         "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
         "    local options='' behind='' words=nothing\n"
         "    COMPREPLY=()\n"
         "    # --name=value comes as three words\n"
         "    [ \"$before\" = = ] && ((COMP_CWORD > 1)) && before=${COMP_WORDS[COMP_CWORD - 2]}\n"
         "    [ \"$word\" = = ] && word=''\n"
         "    if ((COMP_CWORD == 1)); then");
    fputs("        mapfile -t COMPREPLY < <(compgen -W '", stdout);
    for (size_t i = 0; i < count; i++) printf("%s ", commands[i].name);
    puts("completion help --help --version' -- \"$word\")\n"
         "        return\n"
         "    fi\n"
         "    case ${COMP_WORDS[1]} in\n"
         "    completion) behind='bash zsh fish' ;;");
    fputs("    help) behind='--man", stdout);
    for (size_t i = 0; i < count; i++) printf(" %s", commands[i].name);
    puts("' ;;");
    for (size_t i = 0; i < count; i++) {
        printf("    %s)\n        options='", commands[i].name);
        for (size_t j = 0; j < known; j++) {
            if (!(options[j].commands & commands[i].bit)) continue;
            put_names(&options[j], " ");
            putchar(' ');
        }
        puts("'");
        if (commands[i].bit & C_WORDS) puts("        words=file");
        puts("        case $before in");
        for (size_t j = 0; j < known; j++)
            if (options[j].commands & commands[i].bit) bash_option(&options[j]);
        puts("        esac ;;");
    }
    puts("    esac\n"
         "    if [ -z \"$behind\" ]; then\n"
         "        behind=$words\n"
         "        [[ $word == -* ]] || [ \"$words\" = nothing ] && behind=$options\n"
         "    fi\n"
         "    case $behind in\n"
         "    nothing) ;;\n"
         "    file | folder)\n"
         "        [ -n \"${COMP_TYPE:-}\" ] && compopt -o filenames 2> /dev/null\n"
         "        local how=-f\n"
         "        [ $behind = folder ] && how=-d\n"
         "        mapfile -t COMPREPLY < <(compgen $how -- \"$word\") ;;\n"
         "    *) mapfile -t COMPREPLY < <(compgen -W \"$behind\" -- \"$word\") ;;\n"
         "    esac\n"
         "}\n"
         "complete -F _oedit oedit");
}

// A line for _arguments: '(-m --model)'{-m+,--model=}'[help]:MODEL:_files'
static void zsh_option(const struct option *o)
{
    enum kind kind = kind_of(o);
    const char *after_letter = kind == NOTHING ? "" : "+", *after_name = kind == NOTHING ? "" : "=";
    fputs("            ", stdout);
    if (o->letter && *o->name)
        printf("'(-%c --%s)'{-%c%s,--%s%s}'", o->letter, o->name, o->letter, after_letter, o->name,
               after_name);
    else if (o->letter) printf("'-%c%s", o->letter, after_letter);
    else printf("'--%s%s", o->name, after_name);
    putchar('[');
    put(o->help, "[]:\\", "\\");
    putchar(']');
    if (kind == WORDS) {
        printf(":%s:(", o->name);
        put_words(o->value);
        putchar(')');
    } else if (kind != NOTHING) {
        printf(":%s:%s", o->value,
               kind == FILE_NAME ? "_files" : kind == FOLDER_NAME ? "_files -/" : "");
    }
    puts("' \\");
}

static void zsh(const struct command *commands, size_t count, const struct option *options,
                size_t known)
{
    puts("#compdef oedit\n"
         "_oedit() {\n"
         "    local -a commands=(");
    for (size_t i = 0; i < count; i++) {
        printf("        '%s:", commands[i].name);
        put(commands[i].summary, ":\\", "\\");
        puts("'");
    }
    puts("        'completion:completions for a shell'\n"
         "        'help:what a command does'\n"
         "    )\n"
         "    if ((CURRENT == 2)); then\n"
         "        _describe command commands\n"
         "        return\n"
         "    fi\n"
         "    shift words\n"
         "    ((CURRENT--))\n"
         "    case $words[1] in\n"
         "    completion) _values shell bash zsh fish ;;\n"
         "    help) _describe command commands ;;");
    for (size_t i = 0; i < count; i++) {
        printf("    %s)\n        _arguments -s \\\n", commands[i].name);
        for (size_t j = 0; j < known; j++)
            if (options[j].commands & commands[i].bit) zsh_option(&options[j]);
        puts(commands[i].bit & C_WORDS ? "            '*:file:_files' ;;" : "            ;;");
    }
    // As a file of fpath it is called at once, sourced it is made known.
    puts("    esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _oedit ]; then _oedit \"$@\"; else compdef _oedit oedit; fi");
}

// The condition of a row: one of its commands stands on the line.
static void fish_condition(const struct command *commands, size_t count, unsigned bits)
{
    fputs("complete -c oedit -n '__fish_seen_subcommand_from", stdout);
    for (size_t i = 0; i < count; i++)
        if (commands[i].bit & bits) printf(" %s", commands[i].name);
    fputs("'", stdout);
}

static void fish(const struct command *commands, size_t count, const struct option *options,
                 size_t known)
{
    puts("# fish completion for oedit\ncomplete -c oedit -f");
    for (size_t i = 0; i < count; i++) {
        printf("complete -c oedit -n __fish_use_subcommand -a %s -d '", commands[i].name);
        put(commands[i].summary, "\\", "\\");
        puts("'");
    }
    puts("complete -c oedit -n __fish_use_subcommand -a completion -d 'completions for a shell'\n"
         "complete -c oedit -n __fish_use_subcommand -a help -d 'what a command does'\n"
         "complete -c oedit -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'");
    fish_condition(commands, count, C_WORDS);
    puts(" -F");
    for (size_t j = 0; j < known; j++) {
        const struct option *o = &options[j];
        fish_condition(commands, count, o->commands);
        if (*o->name) printf(" -l %s", o->name);
        if (o->letter) printf(" -s %c", o->letter);
        enum kind kind = kind_of(o);
        if (kind == FILE_NAME) fputs(" -r -F", stdout);
        if (kind == FOLDER_NAME) fputs(" -x -a '(__fish_complete_directories)'", stdout);
        if (kind == SOMETHING || kind == WORDS) fputs(" -x", stdout);
        if (kind == WORDS) {
            fputs(" -a '", stdout);
            put_words(o->value);
            putchar('\'');
        }
        fputs(" -d '", stdout);
        put(o->help, "\\", "\\");
        puts("'");
    }
}

bool completion_print(const struct command *commands, size_t count, const char *shell)
{
    size_t known = 0;
    const struct option *options = args_options(&known);
    if (strcmp(shell, "bash") == 0) bash(commands, count, options, known);
    else if (strcmp(shell, "zsh") == 0) zsh(commands, count, options, known);
    else if (strcmp(shell, "fish") == 0) fish(commands, count, options, known);
    else {
        const char *const shells[] = {"bash", "zsh", "fish"};
        const char *nearest = options_nearest(shell, shells, 3);
        return fail(STATUS_USAGE, "completion: got '%s', wanted bash, zsh or fish%s%s%s", shell,
                    nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    }
    return true;
}
