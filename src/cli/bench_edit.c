#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/bench_edits.h"
#include "cli/bench_time.h"
#include "cli/settings.h"

static const char *const phases[] = {"prompts", "prepare", "keys",   "prefix",
                                     "steps",   "solve",   "update", "guard"};
enum { PHASES = sizeof phases / sizeof *phases };

struct looks { // at the account, around one repetition
    struct account before, after;
};

static double phase_needed(const struct edits *e, const char *phase)
{
    const struct bench_need *n = &e->need;
    const struct {
        const char *name;
        double flops;
    } table[] = {{"prepare", n->prepare}, {"keys", n->keys},   {"prefix", n->prefix},
                 {"solve", n->solve},     {"update", n->update},
                 {"steps", n->step * e->steps / (double)e->data.count}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].name, phase) == 0) return table[i].flops;
    return 0;
}

static struct bench_row *row_new(const struct edits *e, const char *phase)
{
    struct bench_row *row = bench_add(e->bench, "edit", e->name);
    if (!row) return NULL;
    row->model = e->bench->model;
    snprintf(row->what, sizeof row->what, "%s", phase);
    return row;
}

// The rows of the table: each phase, all of them, and one step.
static bool rows_add(struct edits *e, const struct looks *looks, uint32_t count, double *seconds,
                     double *all)
{
    struct bench_row sum = {0};
    for (size_t p = 0; p < PHASES; p++) {
        struct bench_row *row = row_new(e, phases[p]);
        if (!row) return false;
        for (uint32_t i = 0; i < count; i++) {
            seconds[i] = edits_phase(e, &looks[i].before, &looks[i].after, phases[p], row);
            all[i] += seconds[i];
        }
        bench_times(row, seconds, count);
        row->needed = phase_needed(e, phases[p]);
        sum.flops += row->flops;
        sum.bytes += row->bytes;
        sum.dispatches += row->dispatches;
        sum.needed += row->needed;
    }
    struct bench_row *row = row_new(e, "the edit");
    if (!row) return false;
    bench_times(row, all, count);
    row->flops = sum.flops;
    row->bytes = sum.bytes;
    row->dispatches = sum.dispatches;
    row->needed = sum.needed;
    row->units = 1;
    row->unit = "edits";
    return true;
}

static bool step_add(struct edits *e, const struct looks *looks, uint32_t count, double *seconds)
{
    char what[80];
    const double steps = e->steps / (double)e->data.count, requests = (double)e->data.count;
    snprintf(what, sizeof what, "one of %.3g steps, %.3g + %.3g rows", steps,
             e->need.behind / requests, e->need.heads / requests);
    struct bench_row *row = row_new(e, what);
    if (!row) return false;
    for (uint32_t i = 0; i < count; i++)
        seconds[i] = edits_phase(e, &looks[i].before, &looks[i].after, "steps", row) / steps;
    bench_times(row, seconds, count);
    row->flops /= steps;
    row->bytes /= steps;
    row->dispatches /= steps;
    row->needed = e->need.step;
    row->units = 1;
    row->unit = "steps";
    return true;
}

static bool solver_bench(struct bench *b, const char *solver)
{
    struct edits e = {0};
    const uint32_t count = b->repeat_edits;
    struct looks *looks = mem_new(count, sizeof *looks, "the account");
    double *seconds = mem_new(2 * count, sizeof *seconds, "times");
    bool ok = looks && seconds && edits_open(&e, b, solver) &&
              edits_run(&e, &looks[0].before, &looks[0].after); // warm
    for (uint32_t i = 0; ok && i < count; i++)
        ok = edits_run(&e, &looks[i].before, &looks[i].after);
    ok = ok && rows_add(&e, looks, count, seconds, seconds + count) &&
         step_add(&e, looks, count, seconds);
    edits_close(&e);
    free(looks);
    free(seconds);
    return ok;
}

bool bench_edit(struct bench *b)
{
    if (b->args->solver > 1)
        return fail(STATUS_USAGE, "bench edit: --solver %s has no value to optimise, wanted memit "
                                  "or rome", settings_solver(b->args));
    if (b->args->solver >= 0) return solver_bench(b, b->args->solver ? "rome" : "memit");
    return solver_bench(b, "memit") && solver_bench(b, "rome");
}
