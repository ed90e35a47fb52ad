#include "cli/opened.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/status.h"
#include "ops/tune.h"


// A small model is through before its tiles are timed.
enum { WORTH_TUNING = 32 << 20 }; // bytes of weights

bool opened_model(struct opened *o, const char *path)
{
    return weights_open(&o->weights, path) && tokenizer_open(&o->tokenizer, &o->weights) &&
           model_open(&o->model, &o->dev, &o->weights) &&
           (o->dev.bytes_used < WORTH_TUNING || tune(&o->dev, model_dtypes(&o->model)));
}

void opened_model_close(struct opened *o)
{
    model_close(&o->model);
    tokenizer_free(&o->tokenizer);
    weights_close(&o->weights);
}

bool opened_device(struct opened *o, const struct args *args)
{
    struct device_options options = {
        .name = args->device, .validate = args->validate, .profile = args->profile};
    if (!device_open(&o->dev, &options)) return false;
    log_say("device: %s (%s)", o->dev.info.name, o->dev.info.driver);
    if (o->dev.info.rank >= 4)
        log_detail("no GPU is used: this is a CPU device");
    return true;
}

bool opened_start(struct opened *o, const struct args *args)
{
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    return opened_device(o, args) && opened_model(o, args->model);
}

static int slower(const void *a, const void *b)
{
    double x = ((const struct profile_row *)a)->seconds, y = ((const struct profile_row *)b)->seconds;
    return (x < y) - (x > y);
}

static void profile_print(struct device *dev)
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
                total > 0 ? 100 * r->seconds / total : 0,
                r->seconds > 0 ? 1e-9 * r->flops / r->seconds : 0,
                r->seconds > 0 ? 1e-9 * r->bytes / r->seconds : 0);
    }
    fprintf(stderr, "%-20s %9s %11.1f\n", "all", "", 1e3 * total);
}

bool opened_end(struct opened *o, const struct args *args, bool ok)
{
    if (o->dev.handle) log_detail("device memory at most: %.1f MiB",
                                  (double)o->dev.bytes_peak / (1 << 20));
    if (args->profile && o->dev.handle) profile_print(&o->dev);
    uint32_t errors = o->dev.validation_errors;
    opened_model_close(o);
    device_close(&o->dev);
    if (ok && errors) ok = fail(STATUS_FAILED, "--validate: %u validation errors", errors);
    return ok;
}
