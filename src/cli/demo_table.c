#include "cli/demo_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/terminal.h"

enum { CELLS = 10, FIXED = 31 + 3 * 8 + 1 }; // of a bar at most; letters of a line without bars

static const char *const titles[DEMO_SHARES] = {"Rel", "Gen", "Loc"};

void demo_table_start(struct demo_table *t, uint32_t total, bool brief)
{
    *t = (struct demo_table){.total = total, .live = !brief && terminal_redraws(stdout)};
    t->colour = terminal_colours(stdout);
    t->cells = CELLS;
    int room = ((int)terminal_columns(stdout) - FIXED) / DEMO_SHARES;
    if (t->live && room < CELLS) t->cells = room > 0 ? room : 0;
    if (room < 0) t->live = false; // lines that wrap could not be drawn again
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
    char full[CELLS + 1] = "", rest[CELLS + 1] = "";
    if (!isfinite(value)) {
        printf("   %4s %*s", "-", t->cells, "");
        return;
    }
    int filled = (int)lround(value * t->cells);
    memset(full, '#', (size_t)filled);
    memset(rest, '.', (size_t)(t->cells - filled));
    const char *on = value >= 0.9 ? "\033[32m" : value >= 0.6 ? "\033[33m" : "\033[31m";
    printf("   %.2f %s%s%s%s", value, t->colour ? on : "", full, t->colour ? "\033[0m" : "", rest);
}

static void head(const struct demo_table *t)
{
    const char *end = t->live ? "\033[K\n" : "\n";
    printf("%-22s%9s", "", "edits");
    for (int i = 0; i < DEMO_SHARES; i++) printf("   %-*s", 5 + t->cells, titles[i]);
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

// Edits of all methods, their rate (what is measured of them included) and the time left.
static void foot(const struct demo_table *t)
{
    uint32_t all = t->total * t->count, done = 0;
    char left[32];
    for (uint32_t i = 0; i < t->count; i++) done += t->rows[i].edits;
    double spent = log_clock() - t->started, rate = spent > 0 ? t->made / spent : 0;
    log_duration(left, sizeof left, rate > 0 ? (all - done) / rate : 0);
    printf("%u of %u edits", done, all);
    if (rate > 0) printf(", %.3g a second, %s left", rate, left);
    else fputs(", in preparation", stdout);
    fputs("\033[K\n", stdout);
}

static void draw(struct demo_table *t, bool end)
{
    if (t->drawn) printf("\033[%uA\r", t->drawn);
    head(t);
    for (uint32_t i = 0; i < t->count; i++) line(t, &t->rows[i]);
    if (end) fputs("\033[K", stdout);
    else foot(t);
    t->drawn = t->count + 2;
    fflush(stdout);
}

void demo_table_wait(struct demo_table *t)
{
    t->started = log_clock();
    if (t->live) draw(t, false);
}

void demo_table_end(struct demo_table *t)
{
    if (t->live && t->drawn) draw(t, true);
    t->drawn = 0;
}

void demo_table_show(struct demo_table *t, const struct demo_row *row, bool now)
{
    if (!t->live && !now) return;
    log_clear();
    if (t->live) {
        draw(t, false);
        return;
    }
    if (!t->drawn++) head(t);
    line(t, row);
    fflush(stdout);
}
