#define _DEFAULT_SOURCE
#define _XOPEN_SOURCE 700
#include "cli/line_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { KEPT = 1000 }; // lines of history

struct line_editor {
    EditLine *el;
    History *history;
    HistEvent event;
    char *path; // NULL: the history is not kept
    line_complete *complete;
    void *user;
    bool broken;
};

static const char *prompt(EditLine *el)
{
    (void)el;
    return "> ";
}

static struct line_editor *owner(EditLine *el)
{
    struct line_editor *e = NULL;
    el_get(el, EL_CLIENTDATA, &e);
    return e;
}

// A character of the terminal: 1, 0 at the end, -1 at a signal, which libedit's own reader would
// wait past. Bytes that are no UTF-8 are left out.
static int character(EditLine *el, wchar_t *to)
{
    char bytes[4];
    size_t have = 0;
    for (;;) {
        ssize_t got = read(STDIN_FILENO, bytes + have, 1);
        if (got <= 0) return (int)got;
        unsigned char first = (unsigned char)bytes[0];
        size_t wanted = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
        bool good = have == 0 || ((unsigned char)bytes[have] & 0xc0) == 0x80;
        have++;
        if (good && have < wanted && first >= 0xc2 && first <= 0xf4) continue;
        mbstate_t state = {0};
        if (good && utf8_size(bytes, have) == have &&
            mbrtowc(to, bytes, have, &state) != (size_t)-1)
            return 1;
        owner(el)->broken = true;
        bytes[0] = bytes[have - 1]; // the one that ended it may begin another
        have = have > 1 && !good ? 1 : 0;
        if (have && (unsigned char)bytes[0] < 0x80) {
            *to = (wchar_t)bytes[0];
            return 1;
        }
    }
}

// Letters that all choices share, from `stem` on.
static size_t shared(const char *const *found, size_t count, size_t stem)
{
    size_t size = strlen(found[0]);
    for (size_t i = 1; i < count; i++) {
        size_t same = stem;
        while (same < size && found[i][same] == found[0][same]) same++;
        size = same;
    }
    while (size > stem && ((unsigned char)found[0][size] & 0xc0) == 0x80) size--; // whole ones
    return size;
}

static unsigned char on_tab(EditLine *el, int key)
{
    (void)key;
    const struct line_editor *e = owner(el);
    const LineInfo *line = el_line(el);
    size_t size = (size_t)(line->cursor - line->buffer), stem = 0;
    const char *found[LINE_CHOICES];
    char *before = mem_text(line->buffer, size, "a line");
    size_t count = before ? e->complete(e->user, before, found, &stem) : 0;
    free(before);
    if (!count) return CC_REFRESH_BEEP;
    size_t more = shared(found, count, stem) - stem;
    if (more) {
        char *text = mem_text(found[0] + stem, more, "a word");
        if (text) el_insertstr(el, text);
        free(text);
        return CC_REFRESH;
    }
    if (count == 1) return CC_REFRESH_BEEP;
    fputc('\n', stdout);
    for (size_t i = 0; i < count; i++) printf("%s%s", found[i], i + 1 < count ? "   " : "\n");
    fflush(stdout);
    return CC_REDISPLAY;
}

// libedit counts letters as the locale does; texts of models are UTF-8.
static bool locale_utf8(void)
{
    if (setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return true;
    return setlocale(LC_CTYPE, "C.UTF-8") != NULL;
}

// Private from its beginning: it has what was asked.
static void history_start(struct line_editor *e, const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return;
    close(file);
    e->path = mem_text(path, strlen(path), "a path");
    if (e->path) history(e->history, &e->event, H_LOAD, e->path);
}

struct line_editor *line_editor_open(const char *path, line_complete *complete, void *user)
{
    struct line_editor *e = locale_utf8() ? mem_new(1, sizeof *e, "a line editor") : NULL;
    if (!e) return NULL;
    e->complete = complete;
    e->user = user;
    e->el = el_init("oedit", stdin, stdout, stderr);
    e->history = history_init();
    if (!e->el || !e->history) {
        line_editor_close(e);
        return NULL;
    }
    history(e->history, &e->event, H_SETSIZE, KEPT);
    history(e->history, &e->event, H_SETUNIQUE, 1);
    if (path) history_start(e, path);
    el_set(e->el, EL_CLIENTDATA, e);
    el_set(e->el, EL_PROMPT, prompt);
    el_set(e->el, EL_EDITOR, "emacs");
    el_set(e->el, EL_SIGNAL, 0);
    el_set(e->el, EL_HIST, history, e->history);
    // el_set would copy the two texts, and never free them.
    el_wset(e->el, EL_ADDFN, L"oedit-complete", L"completes commands and subjects", on_tab);
    el_set(e->el, EL_BIND, "^I", "oedit-complete", NULL);
    el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(e->el, EL_GETCFN, character);
    return e;
}

void line_editor_close(struct line_editor *e)
{
    if (!e) return;
    if (e->history) history_end(e->history);
    if (e->el) el_end(e->el);
    free(e->path);
    free(e);
}

const char *line_editor_read(struct line_editor *e, size_t *size, bool *broken)
{
    int count = 0;
    e->broken = false;
    el_resize(e->el); // the window may have changed since
    el_set(e->el, EL_PREP_TERM, 1); // before the prompt: what is typed at once is shown once
    const char *line = el_gets(e->el, &count);
    *size = line && count > 0 ? (size_t)count : 0;
    *broken = e->broken;
    return *size ? line : NULL;
}

void line_editor_keep(struct line_editor *e, const char *line)
{
    if (!*line) return;
    history(e->history, &e->event, H_ENTER, line);
    if (e->path) history(e->history, &e->event, H_SAVE, e->path);
}
