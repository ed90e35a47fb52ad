#include "cli/opened.h"

#include "base/log.h"
#include "base/status.h"
#include "cli/profile.h"
#include "ops/tune.h"
#include "vk/trace.h"

// A small model is through before its tiles are timed.
enum { WORTH_TUNING = 32 << 20 }; // bytes of weights

bool opened_files(struct opened *o, const char *path)
{
    const char *before = account_phase(&o->dev.account, "open file");
    bool ok = weights_open(&o->weights, path) && tokenizer_open(&o->tokenizer, &o->weights);
    account_phase(&o->dev.account, before);
    return ok;
}

bool opened_load(struct opened *o)
{
    const char *before = account_phase(&o->dev.account, "load model");
    bool ok = model_open(&o->model, &o->dev, &o->weights);
    account_phase(&o->dev.account, "choose tiles");
    if (ok && o->dev.bytes_used >= WORTH_TUNING) ok = tune(&o->dev, model_dtypes(&o->model));
    account_phase(&o->dev.account, before);
    return ok;
}

bool opened_model(struct opened *o, const char *path)
{
    return opened_files(o, path) && opened_load(o);
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
        .name = args->device, .validate = args->validate, .profile = args->profile,
        .started = args->started, .strict = args->precision == 1};
    if (!device_open(&o->dev, &options)) return false;
    if (args->trace && !trace_open(&o->dev, args->trace)) return false;
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

bool opened_end(struct opened *o, const struct args *args, bool ok)
{
    if (o->dev.handle)
        log_detail("device memory at most: %.1f MiB (%llu bytes)",
                   (double)o->dev.bytes_peak / (1 << 20), (unsigned long long)o->dev.bytes_peak);
    if (args->profile && o->dev.handle) profile_print(&o->dev);
    uint32_t errors = o->dev.validation_errors;
    opened_model_close(o);
    device_close(&o->dev);
    if (ok && errors) ok = fail(STATUS_FAILED, "--validate: %u validation errors", errors);
    return ok;
}
