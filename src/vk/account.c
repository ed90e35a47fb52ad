#include "vk/account.h"

#include <string.h>

#include "base/log.h"

void account_start(struct account *a, double started)
{
    *a = (struct account){.started = started, .since = started, .phase = 1, .count = 2};
    a->phases[0].name = "";
    a->phases[1].name = "start";
}

void account_flush(struct account *a)
{
    double now = log_clock();
    a->phases[a->phase].seconds[a->host] += now - a->since;
    a->since = now;
}

const char *account_phase(struct account *a, const char *name)
{
    account_flush(a);
    const char *before = a->phases[a->phase].name;
    uint32_t i = 0;
    while (i < a->count && strcmp(a->phases[i].name, name) != 0) i++;
    if (i == PHASES_MAX) i = 0;
    if (i == a->count) a->phases[a->count++].name = name;
    a->phase = i;
    return before;
}

const char *account_now(const struct account *a)
{
    return a->phases[a->phase].name;
}

enum host account_host(struct account *a, enum host host)
{
    enum host before = a->host;
    if (before == host) return before;
    account_flush(a);
    a->host = host;
    return before;
}

void account_work(struct account *a, const struct work *work)
{
    struct work *sum = &a->phases[a->phase].work;
    sum->flops += work->flops;
    sum->bytes += work->bytes;
    sum->dispatches += work->dispatches;
    sum->submits += work->submits;
}

void account_timed(struct account *a, double seconds)
{
    a->phases[a->phase].timed += seconds;
}

struct phase account_find(const struct account *a, const char *name)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (strcmp(a->phases[i].name, name) == 0) return a->phases[i];
    return (struct phase){.name = name};
}

double phase_seconds(const struct phase *phase)
{
    double sum = 0;
    for (int i = 0; i < HOST_COUNT; i++) sum += phase->seconds[i];
    return sum;
}

struct work account_total(const struct account *a)
{
    struct work sum = {0};
    for (uint32_t i = 0; i < a->count; i++) {
        const struct work *w = &a->phases[i].work;
        sum.flops += w->flops;
        sum.bytes += w->bytes;
        sum.dispatches += w->dispatches;
        sum.submits += w->submits;
    }
    return sum;
}
