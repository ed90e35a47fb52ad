#include "cli/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/interrupt.h"
#include "base/log.h"
#include "base/options.h"
#include "base/status.h"
#include "base/terminal.h"
#include "base/utf8.h"
#include "cli/line_editor.h"

void lines_open(struct lines *lines, const char *history, line_complete *complete, void *user)
{
    *lines = (struct lines){.person = isatty(STDIN_FILENO) != 0};
    if (!lines->person || !terminal_redraws(stdout)) return;
    char *path = options_state_path(history);
    if (!path) { // lines are not kept, then
        log_detail("%s", status_message());
        status_clear();
    }
    lines->editor = line_editor_open(path, complete, user);
    free(path);
}

void lines_close(struct lines *lines)
{
    line_editor_close(lines->editor);
    lines->editor = NULL;
}

// Up to the line's end, however long it is; false at the end of the input or at a signal.
static bool plain(struct lines *l, size_t *size)
{
    int c;
    *size = 0;
    while ((c = getchar()) != EOF && c != '\n') {
        if (*size < LINE_ROOM) l->text[*size] = (char)c;
        ++*size;
    }
    if (c == EOF && ferror(stdin)) clearerr(stdin);
    return c != EOF || *size;
}

static bool edited(struct lines *l, size_t *size, bool *broken)
{
    const char *line = line_editor_read(l->editor, size, broken);
    if (!line) return false;
    if (line[*size - 1] == '\n') --*size;
    memcpy(l->text, line, *size < LINE_ROOM ? *size : LINE_ROOM);
    return true;
}

enum line_end lines_next(struct lines *l)
{
    size_t size = 0;
    bool broken = false;
    if (l->person && !l->editor) fputs("> ", terminal_redraws(stdout) ? stdout : stderr);
    fflush(stdout);
    interrupt_wait();
    bool got = l->editor ? edited(l, &size, &broken) : plain(l, &size);
    bool dropped = l->person && interrupt_by_person();
    interrupt_watch();
    if (dropped || !got) {
        if (l->person) fputc('\n', stdout);
        return dropped ? LINE_DROPPED : LINE_OVER;
    }
    if (size >= LINE_ROOM) {
        fail(STATUS_USAGE, "try: a line of %zu bytes, wanted %d at most", size, LINE_ROOM - 1);
        return LINE_FAILED;
    }
    while (size && strchr("\r\n \t", l->text[size - 1])) size--;
    l->text[size] = '\0';
    size_t at = utf8_invalid(l->text, size);
    if (broken || at < size || strlen(l->text) < size) {
        fail(STATUS_USAGE, "try: the line is not UTF-8");
        return LINE_FAILED;
    }
    if (l->editor) line_editor_keep(l->editor, l->text);
    return LINE_READ;
}
