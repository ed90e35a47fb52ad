#define _POSIX_C_SOURCE 200809L
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/terminal.h"

static enum log_level chosen = LOG_NORMAL;
static bool drawn; // a bar stands on the terminal's last line

void log_level_set(enum log_level level)
{
    chosen = level;
}

static void line(const char *prefix, const char *format, va_list args)
{
    log_clear();
    fputs(prefix, stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void log_say(const char *format, ...)
{
    if (chosen < LOG_NORMAL) return;
    va_list args;
    va_start(args, format);
    line("", format, args);
    va_end(args);
}

void log_detail(const char *format, ...)
{
    if (chosen < LOG_VERBOSE) return;
    va_list args;
    va_start(args, format);
    line("", format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line("warning: ", format, args);
    va_end(args);
}

double log_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void log_duration(char *text, size_t size, double seconds)
{
    unsigned long s = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (s < 60) snprintf(text, size, "%lu s", s);
    else if (s < 3600) snprintf(text, size, "%lu min %02lu s", s / 60, s % 60);
    else snprintf(text, size, "%lu h %02lu min", s / 3600, s / 60 % 60);
}

void log_clear(void)
{
    if (drawn) fputs("\r\033[K", stderr);
    drawn = false;
}

static void draw(const struct progress *bar, double now)
{
    enum { WIDTH = 24, LEAST = 8, ROOM = 160 };
    char cells[WIDTH + 1], rest[ROOM], left[32];
    double part = bar->total ? (double)bar->done / (double)bar->total : 1;
    double spent = now - bar->started, rate = spent > 0 ? (double)bar->done / spent : 0;
    if (rate > 0) {
        log_duration(left, sizeof left, (double)(bar->total - bar->done) / rate);
        snprintf(rest, sizeof rest, "%3.0f%%  %.4g %s/s  %s left", 100 * part, rate, bar->unit,
                 left);
    } else {
        snprintf(rest, sizeof rest, "%3.0f%%", 100 * part);
    }
    // A line that wraps could not be drawn again: cells go first, then the end.
    int room = (int)terminal_columns(stderr) - 1;
    int width = room - (int)strlen(bar->label) - (int)strlen(rest) - 4;
    if (width > WIDTH) width = WIDTH;
    if (width < LEAST) width = 0;
    for (int i = 0; i < width; i++) cells[i] = (double)i < part * width ? '#' : '.';
    cells[width] = '\0';
    char line[ROOM + WIDTH + 64];
    snprintf(line, sizeof line, "%.40s %s%s%s%s", bar->label, width ? "[" : "", cells,
             width ? "] " : "", rest);
    fprintf(stderr, "\r%.*s\033[K", room > 0 ? room : 0, line);
    fflush(stderr);
    drawn = true;
}

void progress_start(struct progress *bar, const char *label, const char *unit, uint64_t total)
{
    double now = log_clock();
    *bar = (struct progress){.label = label, .unit = unit, .total = total, .started = now,
                             .drawn = now, .shown = chosen >= LOG_NORMAL && total > 0 &&
                                                    terminal_redraws(stderr)};
    if (bar->shown) draw(bar, now);
}

void progress_step(struct progress *bar, uint64_t more)
{
    bar->done += more;
    if (bar->done > bar->total) bar->total = bar->done;
    double now = log_clock();
    if (!bar->shown || (drawn && now - bar->drawn < 0.1)) return;
    bar->drawn = now;
    draw(bar, now);
}

void progress_end(struct progress *bar)
{
    if (bar->shown) log_clear();
    bar->shown = false;
}
