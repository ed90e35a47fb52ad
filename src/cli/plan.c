#include "cli/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/answers.h"
#include "cli/commands.h"
#include "cli/edit_run.h"
#include "cli/plan_time.h"
#include "cli/settings.h"
#include "edit/controls.h"
#include "edit/guards.h"
#include "edit/solvers.h"
#include "linalg/range.h"
#include "model/stream.h"

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

// As cli/save.c chooses the type; only whether it is not f32 matters.
static bool rounded(const struct args *args, const struct weights *weights, uint32_t layer)
{
    enum { AS_F32, AS_F16, AS_BF16, AS_Q8_0, SAME };
    return args->out_type != AS_F32 &&
           !(args->out_type == SAME &&
             weights_part(weights, PART_FFN_DOWN, layer)->dtype == DTYPE_F32);
}

bool plan_make(struct plan *p, struct opened *o, const struct args *args,
               const struct dataset *data)
{
    *p = (struct plan){.requests = mem_new(data->count, sizeof *p->requests, "requests")};
    bool ok = p->requests && settings_open(&p->hparams, args, &o->weights.config) &&
              control_settle(&p->hparams, settings_guard(args));
    for (size_t i = 0; ok && i < data->count; i++)
        ok = need_request(&p->requests[i], &o->tokenizer, &data->requests[i]);
    p->run = (struct need_run){
        .weights = &o->weights, .hparams = &p->hparams,
        .solver = solver_find(settings_solver(args)), .guard = guard_find(settings_guard(args)),
        .requests = p->requests, .count = (uint32_t)data->count, .tokens = args->tokens,
        .text = args->text != NULL, .answers = args->answers ? ANSWER_TOKENS : 0,
        .together = ANSWERS_TOGETHER};
    if (ok) p->run.rounded = rounded(args, &o->weights, p->hparams.layer);
    return ok && (args->vram ? need_within(&p->need, &p->run, args->vram)
                             : need_of(&p->need, &p->run));
}

bool plan_start(struct opened *o, const struct args *args)
{
    if (!args->vram || !args->model) return opened_start(o, args);
    const struct need_request common = {.given = 32, .lookup = 24, .targets = 4, .essence = 16};
    struct need need;
    struct hparams h = {0};
    bool ok = opened_device(o, args) && opened_files(o, args->model) &&
              settings_open(&h, args, &o->weights.config);
    struct need_run run = {.weights = &o->weights, .hparams = &h, .solver = solver_find("memit"),
                           .guard = guard_find("oedit-plus"), .requests = &common, .count = 1,
                           .tokens = args->tokens, .text = args->text != NULL};
    ok = ok && need_within(&need, &run, args->vram);
    o->streamed = run.streamed;
    o->planned = true;
    hparams_free(&h);
    return ok && opened_load(o);
}

void plan_free(struct plan *p)
{
    hparams_free(&p->hparams);
    free(p->requests);
    *p = (struct plan){0};
}

// ---- does it fit ----

static bool holds(const struct need *n, const struct device_info *d)
{
    return n->reserved <= d->memory && (!d->allocation || n->largest <= d->allocation);
}

bool plan_look(struct opened *o, const struct args *args, const struct dataset *data)
{
    struct plan plan;
    if (args->match) return true; // the knob that it finds is not known yet
    bool ok = plan_make(&plan, o, args, data);
    const struct device_info *d = &o->dev.info;
    if (ok && !holds(&plan.need, d))
        log_warn("this run may not fit: up to %.0f MiB, %.0f of them in one piece, of %.0f and "
                 "%.0f on %s; oedit plan tells more", mib(plan.need.reserved),
                 mib(plan.need.largest), mib(d->memory), mib(d->allocation), d->name);
    o->streamed = plan.run.streamed;
    o->planned = ok;
    plan_free(&plan);
    return ok;
}

// The largest value of a setting, up to what it is, with which the run fits; 0: none but perhaps 0.
static uint32_t largest_that_fits(struct need_run *run, uint32_t *setting,
                                  const struct device_info *d)
{
    uint32_t low = 0, high = *setting; // low fits, or is 0
    struct need need;
    while (low < high) {
        *setting = high - (high - low) / 2;
        if (need_of(&need, run) && holds(&need, d)) low = *setting;
        else high = *setting - 1;
    }
    return low;
}

// Tries settings that take less, one at a time.
static void advise(const struct plan *p, const struct device_info *d, char *text, size_t size)
{
    struct need_run run = p->run;
    struct hparams h = p->hparams;
    struct need need;
    uint32_t fits = 0;
    // With the same results, if slower.
    if (need_within(&need, &run, d->memory) && run.streamed && holds(&need, d)) {
        snprintf(text, size, "--vram %.0fM fits: %u of %u layers are streamed",
                 floor(mib(d->memory)), run.streamed, run.weights->config.layers);
        return;
    }
    status_clear();
    run = p->run;
    run.hparams = &h;
    h.grad_svd = GRAD_SVD_PROBES;
    const struct config *c = &p->run.weights->config;
    while (h.q_max && !range_fits(c->dim, c->ffn, h.q_max)) h.q_max--;
    if (run.guard->directions) fits = largest_that_fits(&run, &h.q_max, d);
    if (fits) {
        snprintf(text, size, "--grad-svd probes --q-max %u fits", fits);
        return;
    }
    h = p->hparams;
    if (!h.context_text_count) fits = largest_that_fits(&run, &h.contexts, d);
    if (fits) {
        snprintf(text, size, "--contexts %u fits", fits);
        return;
    }
    h = p->hparams;
    run.as_q4 = true;
    if (need_of(&need, &run) && holds(&need, d))
        snprintf(text, size, "the model quantised to Q4_0 fits");
    else
        snprintf(text, size, "wanted a device with %.0f MiB, %.0f of them in one piece",
                 mib(p->need.reserved), mib(p->need.largest));
}

bool plan_fits(const struct plan *p, const struct device_info *d)
{
    char help[160];
    const struct need *n = &p->need;
    if (holds(n, d)) return true;
    advise(p, d, help, sizeof help);
    if (n->reserved > d->memory)
        return fail(STATUS_NO_MEMORY, "this run takes %.0f MiB, most of it in its phase '%s'; %s "
                                      "has %.0f: %s",
                    mib(n->reserved), need_phase_names[n->peak], d->name, mib(d->memory), help);
    return fail(STATUS_NO_MEMORY, "%s of this run: %.0f MiB in one piece, %s gives %.0f: %s",
                n->largest_in, mib(n->largest), d->name, mib(d->allocation), help);
}

// ---- what is printed ----

static void print_time(const struct plan_time *t, uint32_t steps)
{
    if (!(t->seconds > 0)) return;
    printf("an edit: %.1f GFLOP and %.0f MiB if it takes all of its %u steps; at %.0f GFLOP/s and "
           "%.1f GB/s that is at least %.3g s\n", t->flops / 1e9, t->bytes / (1 << 20), steps,
           t->peak_flops / 1e9, t->peak_bytes / 1e9, t->seconds);
}

static void print(const struct plan *p, const struct device_info *d)
{
    const struct need *n = &p->need;
    printf("device: %s, %.0f MiB, at most %.0f MiB in one piece\n", d->name, mib(d->memory),
           mib(d->allocation));
    printf("\n%-12s%-14s%12s%12s%12s\n", "", "phase", "device MiB", "reserved", "host");
    for (uint32_t i = 0; i < NEED_PHASES; i++) {
        const struct need_sum *s = &n->sums[i];
        const bool first = i == 0 || need_group_names[i] != need_group_names[i - 1];
        printf("%-12s%-14s%12.1f%12.1f%12.1f%s\n", first ? need_group_names[i] : "",
               need_phase_names[i], mib(s->device), mib(s->reserved), mib(s->host),
               i == (uint32_t)n->peak ? "  the most" : "");
    }
    printf("\n%-44s%12s%12s  %s\n", "item", "device MiB", "host", "phases");
    for (uint32_t i = 0; i < n->count; i++) {
        const struct need_item *t = &n->items[i];
        uint32_t from = 0, to = NEED_PHASES - 1;
        while (!(t->phases >> from & 1)) from++;
        while (!(t->phases >> to & 1)) to--;
        printf("%-44s%12.1f%12.1f  %s%s%s\n", t->name, mib(t->device.bytes), mib(t->host),
               need_phase_names[from], from == to ? "" : " to ",
               from == to ? "" : need_phase_names[to]);
    }
    if (p->run.streamed)
        printf("\n%u of %u layers are streamed, %.1f MiB each\n", p->run.streamed,
               p->run.weights->config.layers, mib(stream_slot(p->run.weights, p->run.streamed)));
    printf("\nat most %.1f MiB in use on the device, %.1f MiB on the host; the largest piece is "
           "of %s, %.1f MiB\n", mib(n->device), mib(n->host), n->largest_in, mib(n->largest));
}

static bool print_json(const struct plan *p, const struct device_info *d,
                       const struct plan_time *edit)
{
    const struct need *n = &p->need;
    const uint32_t tokens = p->run.tokens, grad = p->hparams.grad_tokens;
    cJSON *root = cJSON_CreateObject(), *device = cJSON_AddObjectToObject(root, "device");
    cJSON_AddStringToObject(device, "name", d->name);
    cJSON_AddStringToObject(device, "type", d->type);
    cJSON_AddNumberToObject(device, "memory", (double)d->memory);
    cJSON_AddNumberToObject(device, "allocation", (double)d->allocation);
    cJSON_AddBoolToObject(root, "fits", holds(n, d));
    cJSON_AddNumberToObject(root, "device_bytes", (double)n->device);
    cJSON_AddNumberToObject(root, "reserved_bytes", (double)n->reserved);
    cJSON_AddNumberToObject(root, "host_bytes", (double)n->host);
    cJSON_AddNumberToObject(root, "streamed_layers", p->run.streamed);
    cJSON_AddNumberToObject(root, "largest_bytes", (double)n->largest);
    cJSON_AddStringToObject(root, "largest_in", n->largest_in);
    // Of a text, for grad G: what its shards are to be told (tools/cluster).
    cJSON_AddNumberToObject(root, "grad_tokens", tokens && tokens < grad ? tokens : grad);
    cJSON_AddStringToObject(root, "peak", need_phase_names[n->peak]);
    if (edit->seconds > 0) {
        cJSON *time = cJSON_AddObjectToObject(root, "edit");
        cJSON_AddNumberToObject(time, "flops", edit->flops);
        cJSON_AddNumberToObject(time, "bytes", edit->bytes);
        cJSON_AddNumberToObject(time, "seconds_at_least", edit->seconds);
    }
    cJSON *phases = cJSON_AddArrayToObject(root, "phases");
    for (uint32_t i = 0; i < NEED_PHASES; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "group", need_group_names[i]);
        cJSON_AddStringToObject(row, "phase", need_phase_names[i]);
        cJSON_AddNumberToObject(row, "device_bytes", (double)n->sums[i].device);
        cJSON_AddNumberToObject(row, "reserved_bytes", (double)n->sums[i].reserved);
        cJSON_AddNumberToObject(row, "host_bytes", (double)n->sums[i].host);
        cJSON_AddItemToArray(phases, row);
    }
    cJSON *items = cJSON_AddArrayToObject(root, "items");
    for (uint32_t i = 0; i < n->count; i++) {
        const struct need_item *t = &n->items[i];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", t->name);
        cJSON_AddNumberToObject(row, "device_bytes", (double)t->device.bytes);
        cJSON_AddNumberToObject(row, "host_bytes", (double)t->host);
        cJSON *in = cJSON_AddArrayToObject(row, "phases");
        for (uint32_t k = 0; k < NEED_PHASES; k++)
            if (t->phases >> k & 1)
                cJSON_AddItemToArray(in, cJSON_CreateString(need_phase_names[k]));
        cJSON_AddItemToArray(items, row);
    }
    bool ok = json_put(root, true);
    cJSON_Delete(root);
    return ok;
}

bool command_plan(const struct args *args)
{
    struct opened o = {0};
    struct dataset data = {0};
    struct plan plan = {0};
    struct plan_time time = {0};
    if (!args->model) return fail(STATUS_USAGE, "--model: wanted a model file (-m MODEL)");
    bool ok = edit_requests(&data, args) && opened_device(&o, args) &&
              opened_files(&o, args->model) && plan_make(&plan, &o, args, &data);
    if (ok && args->measure) ok = plan_time(&plan, &o, args, &data, &time);
    if (ok && args->json)
        ok = print_json(&plan, &o.dev.info, &time);
    if (ok && !args->json) {
        print(&plan, &o.dev.info);
        print_time(&time, plan.hparams.steps);
    }
    ok = ok && plan_fits(&plan, &o.dev.info);
    plan_free(&plan);
    dataset_free(&data);
    return opened_end(&o, args, ok);
}
