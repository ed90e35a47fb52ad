#include "cli/bench_time.h"

#include <stdlib.h>

#include "base/log.h"

enum { REPEAT_MAX = 1000, TOGETHER_MAX = 8192 };

static int smaller(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_times(struct bench_row *row, double *seconds, uint32_t count)
{
    qsort(seconds, count, sizeof *seconds, smaller);
    row->repeats = count;
    row->low = seconds[0];
    row->high = seconds[count - 1];
    row->median = (seconds[(count - 1) / 2] + seconds[count / 2]) / 2;
}

static void work_set(struct bench_row *row, const struct work *before, const struct work *after,
                     double count)
{
    row->flops = (after->flops - before->flops) / count;
    row->bytes = (after->bytes - before->bytes) / count;
    row->dispatches = (double)(after->dispatches - before->dispatches) / count;
}

// Records `together` of it and runs them once: the first dispatches compile.
static bool prepare(struct bench *b, bench_record record, const void *what, uint32_t together,
                    struct cmd *cmd, double *seconds)
{
    cmd_start(cmd, b->dev, true);
    for (uint32_t i = 0; i < together; i++) record(cmd, what);
    if (!cmd_end(cmd) || (together == 1 && !cmd_replay(cmd))) return false;
    double started = log_clock();
    bool ok = cmd_replay(cmd);
    *seconds = log_clock() - started;
    return ok;
}

bool bench_time(struct bench *b, bench_record record, const void *what, struct bench_row *row)
{
    double seconds[REPEAT_MAX], once = 0;
    uint32_t together = 1;
    struct cmd cmd;
    bool ok = prepare(b, record, what, together, &cmd, &once);
    while (ok && once < b->least && together < TOGETHER_MAX) {
        double more = 1.2 * b->least / (once > 0 ? once : 1e-9);
        more = more < 2 ? 2 : more > 32 ? 32 : more;
        together = together * more > TOGETHER_MAX ? TOGETHER_MAX : (uint32_t)(together * more);
        cmd_free(&cmd);
        ok = prepare(b, record, what, together, &cmd, &once);
    }
    struct work before = account_total(&b->dev->account);
    for (uint32_t i = 0; ok && i < b->repeat; i++) {
        double started = log_clock();
        ok = cmd_replay(&cmd);
        seconds[i] = (log_clock() - started) / together;
    }
    struct work after = account_total(&b->dev->account);
    cmd_free(&cmd);
    if (!ok) return false;
    bench_times(row, seconds, b->repeat);
    work_set(row, &before, &after, (double)b->repeat * together);
    return true;
}

bool bench_time_run(struct bench *b, bench_run run, void *what, uint32_t repeat,
                    struct bench_row *row)
{
    double seconds[REPEAT_MAX];
    bool ok = run(b, what);
    struct work before = account_total(&b->dev->account);
    for (uint32_t i = 0; ok && i < repeat; i++) {
        double started = log_clock();
        ok = run(b, what);
        seconds[i] = log_clock() - started;
    }
    struct work after = account_total(&b->dev->account);
    if (!ok) return false;
    bench_times(row, seconds, repeat);
    work_set(row, &before, &after, repeat);
    return true;
}
