#include "cli/bench.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "cli/bench_report.h"
#include "cli/commands.h"
#include "ops/tune.h"
#include "revision.inc" // made by CMake: OEDIT_REVISION

const struct bench_shape bench_shapes[BENCH_SHAPES] = {
    {"smollm2", 576, 1536, 9, 3, 64, 49152}, // SmolLM2-135M
    {"mistral-7b", 4096, 14336, 32, 8, 128, 32000},
    {"llama3-8b", 4096, 14336, 32, 8, 128, 128256},
    {"tiny", 64, 160, 4, 2, 16, 320},
};

// The parts by name; one that takes a shape runs once for each.
static const struct bench_part {
    const char *name;
    const char *tables[2];
    bool (*shaped)(struct bench *b, const struct bench_shape *shape);
    bool (*model)(struct bench *b); // needs --model
} parts[] = {
    {"probe", {"probe"}, NULL, NULL}, // always runs
    {"gemm", {"gemm"}, bench_gemm, NULL},
    {"ops", {"ops"}, bench_ops, NULL},
    {"growth", {"guard", "growth"}, bench_guards, bench_growth},
    {"model", {"model"}, NULL, bench_model},
    {"edit", {"edit"}, NULL, bench_edit},
};

enum { PARTS = sizeof parts / sizeof *parts };

struct bench_row *bench_add(struct bench *b, const char *part, const char *name)
{
    if (!mem_grow(&b->rows, &b->capacity, b->count + 1, sizeof *b->rows, "the tables")) return NULL;
    struct bench_row *row = &b->rows[b->count++];
    *row = (struct bench_row){.part = part};
    snprintf(row->name, sizeof row->name, "%s", name);
    return row;
}

bool bench_fits(const struct bench *b, uint64_t bytes, uint64_t piece, char reason[BENCH_REASON])
{
    const struct device_info *info = &b->dev->info;
    // A CPU device shares its memory with everybody.
    uint64_t most = info->rank >= 4 ? info->memory / 2 : info->memory / 10 * 9;
    uint64_t room = most > b->dev->bytes_used ? most - b->dev->bytes_used : 0;
    reason[0] = '\0';
    if (info->allocation && piece > info->allocation)
        snprintf(reason, BENCH_REASON, "wants %llu MiB in one piece, the device gives %llu",
                 (unsigned long long)(piece >> 20), (unsigned long long)(info->allocation >> 20));
    else if (bytes > room)
        snprintf(reason, BENCH_REASON, "wants %llu MiB, %llu are to be had on the device",
                 (unsigned long long)(bytes >> 20), (unsigned long long)(room >> 20));
    return reason[0] == '\0';
}

// The number of a word in a list of names; fails naming the option and the nearest name.
static bool word_find(const char *option, const char *word, size_t length,
                      const char *const *names, uint32_t count, uint32_t *number)
{
    char given[32];
    snprintf(given, sizeof given, "%.*s", (int)length, word);
    for (*number = 0; *number < count; ++*number) {
        size_t i = 0;
        while (given[i] && tolower((unsigned char)given[i]) ==
                               tolower((unsigned char)names[*number][i]))
            i++;
        if (!given[i] && !names[*number][i]) return true;
    }
    const char *nearest = options_nearest(given, names, count);
    char all[128] = "";
    for (uint32_t i = 0; i < count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", i ? "," : "", names[i]);
    return fail(STATUS_USAGE, "%s: got '%s', wanted of %s%s%s%s", option, given, all,
                nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

// "a,b,c" as numbers of names; an empty or too long list is refused.
static bool list_read(const char *option, const char *list, const char *const *names,
                      uint32_t count, uint32_t most, uint32_t *numbers, uint32_t *read)
{
    *read = 0;
    for (const char *at = list; *at || *read == 0; at += *at == ',') {
        size_t length = strcspn(at, ",");
        if (*read == most)
            return fail(STATUS_USAGE, "%s: got more than %u words", option, most);
        if (!word_find(option, at, length, names, count, &numbers[*read])) return false;
        ++*read;
        at += length;
    }
    return true;
}

static bool rows_read(const char *list, uint32_t *rows, uint32_t *count)
{
    *count = 0;
    for (const char *at = list; *at || *count == 0;) {
        char *end = NULL;
        unsigned long value = strtoul(at, &end, 10);
        bool good = isdigit((unsigned char)*at) && value >= 1 && value <= 4096;
        if (!good || (*end && *end != ',') || *count == BENCH_LIST)
            return fail(STATUS_USAGE, "--rows: got '%s', wanted up to %d numbers from 1 to 4096",
                        list, BENCH_LIST);
        rows[(*count)++] = (uint32_t)value;
        at = *end ? end + 1 : end;
    }
    return true;
}

static bool shapes_read(struct bench *b)
{
    const char *names[BENCH_SHAPES];
    uint32_t numbers[BENCH_SHAPES] = {0, 1, 2};
    b->shape_count = 3;
    for (uint32_t i = 0; i < BENCH_SHAPES; i++) names[i] = bench_shapes[i].name;
    if (b->args->shapes && !list_read("--shapes", b->args->shapes, names, BENCH_SHAPES,
                                      BENCH_SHAPES, numbers, &b->shape_count))
        return false;
    for (uint32_t i = 0; i < b->shape_count; i++) b->shapes[i] = &bench_shapes[numbers[i]];
    return true;
}

static bool settings_read(struct bench *b)
{
    const struct args *args = b->args;
    const char *dtypes[DTYPE_COUNT];
    for (uint32_t i = 0; i < DTYPE_COUNT; i++) dtypes[i] = dtype_table[i].name;
    b->repeat = args->repeat ? args->repeat : 5;
    b->repeat_edits = args->repeat ? args->repeat : 3;
    b->least = 1e-3 * (args->least ? args->least : 20);
    return shapes_read(b) &&
           list_read("--dtype", args->dtype ? args->dtype : "f32", dtypes, DTYPE_COUNT,
                     BENCH_LIST, b->dtypes, &b->dtype_count) &&
           rows_read(args->rows ? args->rows : "1,7,13,16,43,64,256", b->rows_of,
                     &b->rows_count) &&
           rows_read(args->rows ? args->rows : "13,256", b->op_rows_of, &b->op_rows_count);
}

// Which parts run: all that can be, or those that were named.
static bool parts_choose(const struct args *args, bool chosen[PARTS])
{
    const char *names[PARTS];
    for (uint32_t i = 0; i < PARTS; i++) {
        names[i] = parts[i].name;
        chosen[i] = args->word_count == 0 && (args->model || !parts[i].model || parts[i].shaped);
    }
    for (int i = 0; i < args->word_count; i++) {
        const char *word = args->words[i];
        uint32_t number;
        if (!word_find("bench", word, strlen(word), names, PARTS, &number)) return false;
        chosen[number] = true;
        if (parts[number].model && !parts[number].shaped && !args->model)
            return fail(STATUS_USAGE, "bench %s: wanted a model file (-m MODEL)", word);
    }
    chosen[0] = true;
    return true;
}

// "llvmpipe, Mesa 25.0.7, 0.1.0-3e9b248": short enough for a row of a table.
static void names_make(struct bench *b)
{
    const struct device_info *info = &b->dev->info;
    const char *revision = OEDIT_REVISION;
    char name[64], driver[64], first[64];
    const char *slash = b->args->model ? strrchr(b->args->model, '/') : NULL;
    b->model = slash ? slash + 1 : b->args->model;
    snprintf(b->build, sizeof b->build, "%s%s%s", OEDIT_VERSION, *revision ? "-" : "", revision);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(info->name, "("), info->name);
    snprintf(driver, sizeof driver, "%.*s", (int)strcspn(info->driver, "(~"), info->driver);
    for (size_t n = strlen(name); n && name[n - 1] == ' '; n--) name[n - 1] = '\0';
    for (size_t n = strlen(driver); n && driver[n - 1] == ' '; n--) driver[n - 1] = '\0';
    snprintf(first, sizeof first, "%s ", name);
    bool twice = strncmp(driver, first, strlen(first)) == 0;
    snprintf(b->where, sizeof b->where, "%s, %s, %s", name,
             twice ? driver + strlen(first) : driver, b->build);
}

static bool part_run(struct bench *b, const struct bench_part *part, FILE *to)
{
    bool ok = true;
    log_say("bench: %s", part->name);
    for (uint32_t i = 0; ok && part->shaped && i < b->shape_count; i++)
        ok = part->shaped(b, b->shapes[i]);
    if (ok && part->model && b->args->model) ok = part->model(b);
    for (int i = 0; ok && b->args->format == 0 && !b->args->json && i < 2; i++)
        if (part->tables[i]) report_markdown(b, part->tables[i], to);
    return ok;
}

static bool parts_run(struct bench *b, const bool chosen[PARTS], FILE *to)
{
    bool ok = bench_probes(b);
    for (uint32_t i = 0; ok && i < PARTS; i++)
        if (chosen[i]) ok = part_run(b, &parts[i], to);
    if (ok && b->args->format == 2) report_csv(b, to);
    if (ok && (b->args->format == 1 || b->args->json)) ok = report_json(b, to);
    return ok;
}

// As opened_model does for a model that is worth it.
static bool tiles_choose(const struct bench *b)
{
    uint32_t dtypes = 1;
    for (uint32_t i = 0; i < b->dtype_count; i++) dtypes |= 1u << b->dtypes[i];
    return b->shapes[0]->dim < 256 || tune(b->dev, dtypes);
}

bool command_bench(const struct args *args)
{
    struct bench b = {.args = args, .dev = &b.opened.dev};
    struct file_out out = {0};
    bool chosen[PARTS];
    bool ok = parts_choose(args, chosen) && settings_read(&b) &&
              (!args->out || file_out_open(&out, args->out));
    bool writing = ok && args->out;
    ok = ok && opened_device(&b.opened, args) &&
         (!args->model || opened_model(&b.opened, args->model));
    if (ok) {
        names_make(&b);
        if (!args->shapes && b.dev->info.rank >= 4) b.shape_count = 1; // no time for 7B
        ok = tiles_choose(&b) && parts_run(&b, chosen, args->out ? out.stream : stdout);
    }
    if (writing) ok = file_out_close(&out, ok) && ok;
    free(b.rows);
    return opened_end(&b.opened, args, ok);
}
