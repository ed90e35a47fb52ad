#include "cli/line_editor.h"

struct line_editor *line_editor_open(const char *history, line_complete *complete, void *user)
{
    (void)history, (void)complete, (void)user;
    return NULL;
}

void line_editor_close(struct line_editor *editor)
{
    (void)editor;
}

const char *line_editor_read(struct line_editor *editor, size_t *size, bool *broken)
{
    (void)editor, (void)size, (void)broken;
    return NULL;
}

void line_editor_keep(struct line_editor *editor, const char *line)
{
    (void)editor, (void)line;
}
