// Lines of a dialogue: from a script as they are; from a person with a prompt, and, where the
// terminal and the build allow it, with history and completion.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct line_editor;

enum line_end {
    LINE_READ,
    LINE_OVER,    // the end of the input, or Ctrl-D
    LINE_DROPPED, // a person's Ctrl-C: the line is none
    LINE_FAILED,  // too long, or not UTF-8; the rest of the line is read over
};

enum { LINE_ROOM = 8192, LINE_CHOICES = 64 };

// What could stand at the end of `before`, as many as LINE_CHOICES. Each begins with the last *stem
// bytes of it. Texts are the callee's, until it is called again.
typedef size_t line_complete(void *user, const char *before, const char *found[LINE_CHOICES],
                             size_t *stem);

struct lines {
    char text[LINE_ROOM]; // without the line's end and the blanks before it
    bool person;
    struct line_editor *editor; // NULL: plain lines
};

// history: a name in the state folder (base/options.h).
void lines_open(struct lines *lines, const char *history, line_complete *complete, void *user);
void lines_close(struct lines *lines); // accepts zero
enum line_end lines_next(struct lines *lines);
