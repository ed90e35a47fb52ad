#define _POSIX_C_SOURCE 200809L
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static enum log_level chosen = LOG_NORMAL;

void log_level_set(enum log_level level)
{
    chosen = level;
}

static void line(const char *prefix, const char *format, va_list args)
{
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

void progress_start(struct progress *bar, const char *label, const char *unit, uint64_t total)
{
    *bar = (struct progress){.label = label, .unit = unit, .total = total, .started = log_clock(),
                             .shown = chosen >= LOG_NORMAL && isatty(STDERR_FILENO)};
}

static void draw(const struct progress *bar, double now)
{
    enum { WIDTH = 24 };
    char cells[WIDTH + 1];
    double part = bar->total ? (double)bar->done / (double)bar->total : 1;
    for (int i = 0; i < WIDTH; i++) cells[i] = (double)i < part * WIDTH ? '#' : '.';
    cells[WIDTH] = '\0';
    double spent = now - bar->started, rate = spent > 0 ? (double)bar->done / spent : 0;
    double left = rate > 0 ? (double)(bar->total - bar->done) / rate : 0;
    fprintf(stderr, "\r%s [%s] %3.0f%%  %.4g %s/s  %.0f s left \033[K", bar->label, cells,
            100 * part, rate, bar->unit, left);
    fflush(stderr);
}

void progress_step(struct progress *bar, uint64_t more)
{
    bar->done += more;
    if (bar->done > bar->total) bar->total = bar->done;
    double now = log_clock();
    if (!bar->shown || now - bar->drawn < 0.1) return;
    bar->drawn = now;
    draw(bar, now);
}

void progress_end(struct progress *bar)
{
    if (bar->shown) fputs("\r\033[K", stderr);
    bar->shown = false;
}
