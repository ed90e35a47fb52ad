// Timing: the same again and again, until it takes long enough; then the median of a few.
#pragma once
#include "cli/bench.h"

// Puts one of what is to be timed into a recording.
typedef void (*bench_record)(struct cmd *cmd, const void *what);
// Does one of what is to be timed.
typedef bool (*bench_run)(struct bench *b, void *what);

// Fills times and work of a row.
bool bench_time(struct bench *b, bench_record record, const void *what, struct bench_row *row);
// Once to warm up, then `repeat` times.
bool bench_time_run(struct bench *b, bench_run run, void *what, uint32_t repeat,
                    struct bench_row *row);

// Median, least and most of `count` times into the row; sorts them.
void bench_times(struct bench_row *row, double *seconds, uint32_t count);
