#include "cli/profile.h"

#include <stdio.h>
#include <stdlib.h>

static int slower(const void *a, const void *b)
{
    const struct profile_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static double rate(double what, double seconds)
{
    return seconds > 0 ? 1e-9 * what / seconds : 0;
}

static void operators_print(struct device *dev)
{
    qsort(dev->profile, dev->profile_count, sizeof *dev->profile, slower);
    double total = 0;
    for (size_t i = 0; i < dev->profile_count; i++) total += dev->profile[i].seconds;
    fprintf(stderr, "%-20s %9s %11s %6s %9s %8s\n", "operator", "calls", "ms", "share", "GFLOP/s",
            "GB/s");
    for (size_t i = 0; i < dev->profile_count; i++) {
        const struct profile_row *r = &dev->profile[i];
        fprintf(stderr, "%-20s %9llu %11.1f %5.1f%% %9.2f %8.2f\n", r->name,
                (unsigned long long)r->calls, 1e3 * r->seconds,
                total > 0 ? 100 * r->seconds / total : 0, rate(r->flops, r->seconds),
                rate(r->bytes, r->seconds));
    }
    fprintf(stderr, "%-20s %9s %11.1f\n", "all", "", 1e3 * total);
}

static void phase_print(const char *name, const struct phase *p, double wall)
{
    const double *s = p->seconds;
    double all = phase_seconds(p);
    fprintf(stderr, "%-11s %8.3f %5.1f%% %8.3f %7.3f %7.3f %7.3f %7.3f %7.3f %8.1f %10llu\n", name,
            all, 100 * all / wall, p->timed, s[HOST_DEVICE] - p->timed, s[HOST_RECORD],
            s[HOST_COMPILE], s[HOST_MEMORY], s[HOST_OWN], 1e-9 * p->work.flops,
            (unsigned long long)p->work.dispatches);
}

static void phase_add(struct phase *sum, const struct phase *p)
{
    for (int i = 0; i < HOST_COUNT; i++) sum->seconds[i] += p->seconds[i];
    sum->timed += p->timed;
    sum->work.flops += p->work.flops;
    sum->work.dispatches += p->work.dispatches;
}

// Seconds of the host by what it did: the device's dispatches, what submitting and waiting cost
// besides, recording, compiling pipelines, buffers and copies, the program's own work. That work
// is not accounted for where it has no phase.
static void phases_print(struct account *account)
{
    account_flush(account);
    struct phase sum = {0};
    const struct phase *rest = &account->phases[0];
    for (uint32_t i = 0; i < account->count; i++) phase_add(&sum, &account->phases[i]);
    double wall = account->since - account->started;
    fprintf(stderr, "\n%-11s %8s %6s %8s %7s %7s %7s %7s %7s %8s %10s\n", "phase", "wall s",
            "share", "device", "submit", "record", "compile", "buffers", "host", "GFLOP",
            "dispatches");
    for (uint32_t i = 1; i < account->count; i++)
        phase_print(account->phases[i].name, &account->phases[i], wall);
    phase_print("(other)", rest, wall);
    phase_print("all", &sum, wall);
    fprintf(stderr, "accounted for %.1f%% of %.2f s\n",
            100 * (phase_seconds(&sum) - rest->seconds[HOST_OWN]) / wall, wall);
}

void profile_print(struct device *dev)
{
    operators_print(dev);
    phases_print(&dev->account);
}
