// What a person reads while the program works: messages and progress, always on stderr.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

void log_level_set(enum log_level level);

// A line for everybody, for --verbose only, and a warning (also under --quiet).
void log_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_detail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Seconds on a clock that only goes forward.
double log_clock(void);

// A bar with rate and time left, drawn only on a terminal and at most ten times a second. What is
// said with the functions above takes it off the screen; whoever writes on stdout calls log_clear
// before. The next step draws it again.
struct progress {
    const char *label, *unit;
    uint64_t total, done;
    double started, drawn;
    bool shown;
};

void progress_start(struct progress *bar, const char *label, const char *unit, uint64_t total);
void progress_step(struct progress *bar, uint64_t more);
void progress_end(struct progress *bar);
void log_clear(void);

// "12 s", "3 min 20 s", "2 h 05 min": seconds for a person.
void log_duration(char *text, size_t size, double seconds);
