#include "cli/manual.h"

#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "revision.inc" // made by CMake: OEDIT_DATE

// Text as it stands: troff reads \ as a command, - as a hyphen, and lines that begin with . or '.
// Choices may be broken behind a bar.
static void put(const char *text)
{
    bool fresh = true;
    for (; *text; text++) {
        if (fresh && (*text == '.' || *text == '\'')) fputs("\\&", stdout);
        if (*text == '\\') fputs("\\e", stdout);
        else if (*text == '-') fputs("\\-", stdout);
        else if (*text == '|') fputs("|\\:", stdout);
        else putchar(*text);
        fresh = *text == '\n';
    }
}

static void option(const struct command *commands, size_t count, const struct option *o)
{
    puts(".TP");
    if (o->letter) printf("\\fB\\-%c\\fR%s", o->letter, *o->name ? ", " : "");
    if (*o->name) {
        fputs("\\fB\\-\\-", stdout);
        put(o->name);
        fputs("\\fR", stdout);
    }
    if (o->kind != OPTION_FLAG) {
        fputs(" \\fI", stdout);
        put(o->value);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put(o->help);
    // Which commands take it, where not all do.
    unsigned all = 0;
    for (size_t i = 0; i < count; i++) all |= commands[i].bit;
    if ((o->commands & all) != all) {
        const char *before = ".\nOf ";
        for (size_t i = 0; i < count; i++) {
            if (!(commands[i].bit & o->commands)) continue;
            printf("%s\\fB%s\\fR", before, commands[i].name);
            before = ", ";
        }
    }
    puts(".");
}

void manual_print(const struct command *commands, size_t count)
{
    size_t known = 0;
    const struct option *options = args_options(&known);
    printf(".TH OEDIT 1 %s \"oedit %s\" \"User Commands\"\n", OEDIT_DATE, OEDIT_VERSION);
    puts(".SH NAME\n"
         "oedit \\- edits facts in language models, on any Vulkan device\n"
         ".SH SYNOPSIS\n"
         ".B oedit\n"
         ".I command\n"
         "[\\fIoptions\\fR] [\\fIwords\\fR]\n"
         ".SH DESCRIPTION\n"
         "Changes single facts inside a language model, one after the other,\n"
         "and measures what that did. It reads a GGUF file, edits it with ROME or\n"
         "MEMIT, and writes a GGUF file. The guards O\\-Edit and O\\-Edit+ keep each\n"
         "edit orthogonal to the earlier ones and to what the model knows. All\n"
         "arithmetic runs on a Vulkan device, a GPU or the CPU.\n"
         ".PP\n"
         "Data goes to standard output, messages to standard error.\n"
         ".SH COMMANDS");
    for (size_t i = 0; i < count; i++) {
        printf(".TP\n.B %s\n", commands[i].name);
        put(commands[i].summary);
        puts(".");
    }
    puts(".TP\n.BR completion \" bash | zsh | fish\"\n"
         "completions for a shell, on standard output.\n"
         ".TP\n.BR help \" [\\fIcommand\\fR]\"\nthe same as \\fB\\-\\-help\\fR; "
         "\\fBhelp \\-\\-man\\fR writes this page.\n"
         ".SH OPTIONS");
    for (size_t i = 0; i < known; i++) option(commands, count, &options[i]);
    puts(".SH EXAMPLES");
    for (size_t i = 0; i < count; i++) {
        printf("%s.nf\n", i ? ".PP\n" : "");
        put(commands[i].examples);
        puts("\n.fi");
    }
    puts(".SH EXIT STATUS\n"
         "0 done, 1 failed, 2 usage, 3 no usable device, 4 out of memory, 5 bad model or data,\n"
         "130 stopped by Ctrl\\-C, SIGTERM or SIGHUP.\n"
         ".SH ENVIRONMENT\n"
         ".TP\n.BR XDG_CACHE_HOME \", \" HOME\n"
         "what edits need to know of a model is kept in \\fI$XDG_CACHE_HOME/oedit\\fR, or\n"
         "\\fI~/.cache/oedit\\fR.\n"
         ".TP\n.B TMPDIR\nwhere temporary files go.\n"
         ".SH FILES\n"
         ".TP\n.I OUT.journal\nthe edits of a model, beside it.\n"
         ".SH SEE ALSO\n.BR vulkaninfo (1)");
}
