#include "cli/opened.h"

#include <math.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/profile.h"
#include "edit/need_parts.h"
#include "model/stream.h"
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

// Beside the weights: texts that run together, with what is looked at behind them. A run of edits
// has a plan (cli/plan.h) instead.
static uint64_t room_to_work(const struct weights *weights)
{
    enum { ROWS = 2048, TEXTS = 32, LONGEST = 256, LOOKED_AT = 256 }; // as eval/ has them
    const struct rows rows = {ROWS, TEXTS, LONGEST};
    struct amount sum = {0};
    need_batch(&sum, rows);
    need_cache(&sum, &weights->config, weights->config.layers, ROWS);
    need_acts(&sum, &weights->config, weights->config.layers, rows, false);
    need_head(&sum, &weights->config, LOOKED_AT);
    return sum.bytes;
}

// Bytes of device memory of a model of which so many layers are streamed.
static uint64_t model_room(const struct weights *weights, uint32_t streamed)
{
    struct amount sum = {0};
    for (size_t i = 0; i < weights->count; i++) amount_add(&sum, weights->tensors[i].bytes, 1);
    for (uint32_t l = 0; l < streamed; l++)
        for (size_t k = 0; k < LAYER_MATRICES; k++)
            sum.bytes -= buffer_room(weights_part(weights, layer_parts[k], l)->bytes);
    amount_add(&sum, 4ull * MODEL_POSITIONS * weights->config.head_dim + 4 * MODEL_IOTA, 1);
    if (streamed) amount_add(&sum, stream_slot(weights, streamed), STREAM_SLOTS);
    return sum.bytes;
}

static bool choose_streamed(struct opened *o)
{
    const uint64_t limit = o->dev.limit, work = room_to_work(&o->weights);
    const double mib = 1 << 20;
    uint64_t room = model_room(&o->weights, 0);
    if (!limit || o->planned) return true;
    for (o->streamed = 0; room + work > limit; room = model_room(&o->weights, ++o->streamed))
        if (o->streamed == o->weights.config.layers)
            return fail(STATUS_NO_MEMORY,
                        "--vram: got %.2f MiB, wanted %.2f: with all layers streamed %s takes "
                        "%.2f, texts in work the rest", (double)limit / mib,
                        ceil((double)(room + work) * 100 / mib) / 100, o->weights.path,
                        (double)room / mib);
    return true;
}

bool opened_load(struct opened *o)
{
    const char *before = account_phase(&o->dev.account, "load model");
    bool ok = choose_streamed(o) &&
              model_open_streamed(&o->model, &o->dev, &o->weights, o->streamed);
    if (ok && o->streamed)
        log_say("%u of %u layers are streamed", o->streamed, o->weights.config.layers);
    account_phase(&o->dev.account, "choose tiles");
    if (ok && o->dev.bytes_used + stream_spared(&o->model) >= WORTH_TUNING)
        ok = tune(&o->dev, model_dtypes(&o->model));
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
    o->dev.limit = args->vram;
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
    if (o->model.stream)
        log_detail("streamed: %.1f MiB", (double)o->model.stream->bytes / (1 << 20));
    if (args->profile && o->dev.handle) profile_print(&o->dev);
    uint32_t errors = o->dev.validation_errors;
    opened_model_close(o);
    device_close(&o->dev);
    if (ok && errors) ok = fail(STATUS_FAILED, "--validate: %u validation errors", errors);
    return ok;
}
