#include "cli/demo_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/terminal.h"

static const char *const titles[DEMO_SHARES] = {"Rel", "Gen", "Loc"};

void demo_table_start(struct demo_table *t, uint32_t total)
{
    *t = (struct demo_table){.total = total, .live = terminal_redraws(stdout)};
    t->colour = terminal_colours(stdout);
}

struct demo_row *demo_table_row(struct demo_table *t, const char *id)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->rows[i].id, id) == 0) return &t->rows[i];
    return NULL;
}

// A share as a number and a bar: green from 0.9, red under 0.6.
static void share(const struct demo_table *t, double value)
{
    enum { WIDTH = 10 };
    char full[WIDTH + 1] = "", rest[WIDTH + 1] = "";
    if (!isfinite(value)) {
        printf("   %4s %*s", "-", WIDTH, "");
        return;
    }
    int filled = (int)lround(value * WIDTH);
    memset(full, '#', (size_t)filled);
    memset(rest, '.', (size_t)(WIDTH - filled));
    const char *on = value >= 0.9 ? "\033[32m" : value >= 0.6 ? "\033[33m" : "\033[31m";
    printf("   %.2f %s%s%s%s", value, t->colour ? on : "", full, t->colour ? "\033[0m" : "", rest);
}

static void head(const struct demo_table *t)
{
    const char *end = t->live ? "\033[K\n" : "\n";
    printf("%-22s%9s", "", "edits");
    for (int i = 0; i < DEMO_SHARES; i++) printf("   %-15s", titles[i]);
    fputs(end, stdout);
}

static void line(const struct demo_table *t, const struct demo_row *row)
{
    char edits[32];
    // Shares are of a state that may lie some edits back: that state is named, too.
    snprintf(edits, sizeof edits, "%u", t->live ? row->edits : row->measured);
    printf("%-22.22s%9s", row->label, edits);
    for (int i = 0; i < DEMO_SHARES; i++) share(t, row->measured ? row->shares[i] : NAN);
    fputs(t->live ? "\033[K\n" : "\n", stdout);
}

void demo_table_show(struct demo_table *t, const struct demo_row *row, bool now)
{
    if (!t->live && !now) return;
    log_clear();
    if (!t->live) {
        if (!t->drawn++) head(t);
        line(t, row);
    } else {
        if (t->drawn) printf("\033[%uA\r", t->drawn);
        head(t);
        for (uint32_t i = 0; i < t->count; i++) line(t, &t->rows[i]);
        t->drawn = t->count + 1;
    }
    fflush(stdout);
}
