#include <stdio.h>

#include "cli/bench_kit.h"
#include "cli/bench_time.h"

// Enough threads for every core of a large GPU; enough work to hide a dispatch.
static uint32_t probe_threads(const struct bench *b)
{
    return b->dev->info.rank >= 4 ? 4096 : 1u << 20;
}

static void record_fma(struct cmd *cmd, const void *what)
{
    op_probe_fma(cmd, *(const struct probe_fma_args *)what);
}

static void record_memory(struct cmd *cmd, const void *what)
{
    op_probe_memory(cmd, *(const struct probe_memory_args *)what);
}

static bool probe_fma(struct bench *b, bool fused)
{
    struct bench_row *row = bench_add(b, "probe", "probe_fma");
    if (!row) return false;
    struct kit kit = {.bench = b};
    struct probe_fma_args a = {.n = probe_threads(b), .rounds = 64, .fused = fused,
                               .m = 0.999f, .c = 0.001f};
    snprintf(row->what, sizeof row->what, "8 chains in registers, %s", fused ? "fma(x, m, c)"
                                                                              : "x * m + c");
    a.y = kit_floats(&kit, a.n);
    bool ok = !kit.failed && bench_time(b, record_fma, &a, row);
    kit_free(&kit);
    if (ok && row->flops / row->median > b->peak_flops) b->peak_flops = row->flops / row->median;
    return ok;
}

// More than any cache holds, where there is room; but tiny shapes are in caches, so is their peak.
static uint32_t probe_floats(const struct bench *b)
{
    uint64_t bytes = b->dev->info.rank >= 4 ? 128u << 20 : 1u << 30, largest = 0;
    for (uint32_t i = 0; i < b->shape_count; i++) {
        uint64_t head = 4ull * b->shapes[i]->vocab * b->shapes[i]->dim;
        if (head > largest) largest = head;
    }
    while (bytes > 64 * largest) bytes /= 2;
    while (bytes > b->dev->info.memory / 8) bytes /= 2;
    if (b->dev->info.allocation)
        while (bytes > b->dev->info.allocation / 2) bytes /= 2;
    return (uint32_t)(bytes / 4);
}

static bool probe_memory(struct bench *b, bool reading)
{
    struct bench_row *row = bench_add(b, "probe", "probe_memory");
    if (!row) return false;
    struct kit kit = {.bench = b};
    struct probe_memory_args a = {.n = probe_floats(b), .groups = probe_threads(b) / 64,
                                  .read = reading};
    snprintf(row->what, sizeof row->what, "%s %u MiB", reading ? "read" : "copy", a.n >> 18);
    a.x = kit_floats(&kit, a.n);
    a.y = kit_floats(&kit, reading ? 64 * a.groups : a.n);
    bool ok = !kit.failed && bench_time(b, record_memory, &a, row);
    kit_free(&kit);
    if (ok && row->bytes / row->median > b->peak_bytes) b->peak_bytes = row->bytes / row->median;
    return ok;
}

static bool copy_run(struct bench *b, void *what)
{
    struct kit *kit = what;
    return buffer_copy(b->dev, kit->buffers[0], kit->buffers[1], kit->largest);
}

static bool probe_driver(struct bench *b)
{
    struct bench_row *row = bench_add(b, "probe", "vkCmdCopyBuffer");
    if (!row) return false;
    struct kit kit = {.bench = b};
    uint32_t n = probe_floats(b);
    snprintf(row->what, sizeof row->what, "copy %u MiB", n >> 18);
    kit_floats(&kit, n);
    kit_floats(&kit, n);
    bool ok = !kit.failed && bench_time_run(b, copy_run, &kit, b->repeat, row);
    kit_free(&kit);
    row->bytes = 8.0 * n;
    if (ok && row->bytes / row->median > b->peak_bytes) b->peak_bytes = row->bytes / row->median;
    return ok;
}

bool bench_probes(struct bench *b)
{
    return probe_driver(b) && probe_memory(b, false) && probe_memory(b, true) &&
           probe_fma(b, false) && probe_fma(b, true);
}
