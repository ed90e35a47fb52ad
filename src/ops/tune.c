#define XXH_INLINE_ALL
#include "ops/tune.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"
#include "ops/gemm_coop.h"
#include "vk/buffer.h"

enum { TILES_MAX = 16, LOCALS_MAX = 3, ENTRIES_MAX = 256 };
enum { DENSE = 3, ROWS_APART = 16 }; // dtypes 0, 1, 2 are not packed; variants from 16 on unaligned

struct entry {
    uint32_t op, variant;
    struct tile tile;
    double seconds; // of one row of tiles over the trial's shape
};

struct tuning { // one allocation, the device frees it
    uint32_t only_rows, only_cols; // 0: any
    bool units_agree;              // gemm_coop with gemm_nt
    uint32_t count;
    struct entry entries[ENTRIES_MAX];
};

// A tile must be worth a broadcast on every lane, and its cost grows with its rows.
static double guess(const struct device *dev, struct tile tile)
{
    bool wide = dev->info.int64 && dev->info.subgroup >= 8;
    double cost = 1 + 0.05 * tile.rows;
    if (tile.cols != 4 || (tile.rows > 16 && !(wide && dev->info.rank >= 4))) cost *= 2;
    if (tile.rows > 32) cost *= 10;
    return cost;
}

// The rows of shared_tile.glsl, which is 64 columns wide and made for GPUs.
enum { SHARED_ROWS = 64, SHARED_LOCAL = 256 };

// The workgroups to try for a tile: few threads on a CPU device, where a workgroup is the unit
// handed to a core and the caches like few columns at a time; waves on a GPU. The first is the
// guess.
static uint32_t workgroups(const struct device *dev, struct tile tile, struct tile made[LOCALS_MAX])
{
    const uint32_t cpu[] = {8}, gpu[LOCALS_MAX] = {64, 32, 128};
    bool is_cpu = dev->info.rank >= 4;
    uint32_t count = is_cpu ? 1 : LOCALS_MAX;
    for (uint32_t i = 0; i < count; i++) {
        made[i] = tile;
        made[i].local = is_cpu ? cpu[i] : gpu[i];
        made[i].wide = made[i].local * tile.cols;
    }
    if (tile.rows != SHARED_ROWS) return count;
    made[0].local = SHARED_LOCAL;
    made[0].wide = 64;
    return 1;
}

static bool allowed(const struct tuning *tuning, struct tile tile)
{
    return !tuning || !tuning->only_rows ||
           (tile.rows == tuning->only_rows && tile.cols == tuning->only_cols);
}

// Unaligned rows and types are timed through one of their kind: F32, or Q8_0 for what is packed.
static uint32_t kind_of(uint32_t variant)
{
    return variant < DENSE ? 0 : variant < ROWS_APART ? DENSE : variant;
}

struct tile tune_tile(struct device *dev, enum op op, uint32_t variant, uint32_t rows)
{
    const struct tuning *tuning = dev->tuning;
    struct tile best = {0}, tiles[TILES_MAX];
    double least = 0;
    for (uint32_t i = 0; tuning && i < tuning->count; i++) {
        const struct entry *e = &tuning->entries[i];
        double cost = CEIL(rows, e->tile.rows) * e->seconds;
        if (!allowed(tuning, e->tile)) continue;
        if (e->op != op || e->variant != kind_of(variant) || (best.rows && cost >= least)) continue;
        best = e->tile;
        least = cost;
    }
    if (best.rows) return best;
    uint32_t count = op_tiles(dev, op, variant, tiles, TILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        double cost = CEIL(rows, tiles[i].rows) * guess(dev, tiles[i]);
        if (!allowed(tuning, tiles[i])) cost += 1e9;
        if (best.rows && cost >= least) continue;
        struct tile made[LOCALS_MAX];
        workgroups(dev, tiles[i], made);
        best = made[0];
        least = cost;
    }
    return best;
}

// The least time of an operator's entries for `rows` rows; 1e9 if none was timed.
static double least_time(const struct tuning *tuning, enum op op, uint32_t variant, uint32_t rows)
{
    double least = 1e9;
    for (uint32_t i = 0; i < tuning->count; i++) {
        const struct entry *e = &tuning->entries[i];
        double cost = CEIL(rows, e->tile.rows) * e->seconds;
        if (e->op == op && e->variant == kind_of(variant) && cost < least) least = cost;
    }
    return least;
}

bool tune_units(struct device *dev, uint32_t variant, uint32_t rows)
{
    const struct tuning *tuning = dev->tuning;
    return tuning && !tuning->only_rows && dev->info.matrix_units &&
           least_time(tuning, OP_gemm_coop, variant, rows) <
               least_time(tuning, OP_gemm_nt, variant, rows);
}

// The trial: one row of tiles, OUTS columns, sums of INNER terms.
enum { OUTS = 1152, INNER = 768 };

static void record(struct cmd *cmd, const struct entry *e, fbuf x, fbuf y)
{
    const uint32_t rows = e->tile.rows;
    if (e->op == OP_gemm_nt)
        op_gemm_nt(cmd, (struct gemm_nt_args){
                            .x = x, .w = x, .r = x, .y = y, .rows = rows, .outs = OUTS,
                            .inner = INNER, .ldx = INNER, .ldw = INNER, .ldy = OUTS, .alpha = 1,
                            .variant = e->variant, .tile = rows, .cols = e->tile.cols,
                            .local = e->tile.local, .wide = e->tile.wide});
    else if (e->op == OP_gemm_coop)
        op_gemm_coop(cmd, (struct gemm_coop_args){
                              .x = x, .w = x, .r = x, .y = y, .rows = rows, .outs = OUTS,
                              .inner = INNER, .ldx = INNER, .ldw = INNER, .ldy = OUTS, .alpha = 1,
                              .variant = e->variant, .tile = rows, .local = e->tile.local});
    else if (e->op == OP_gemm_nn)
        op_gemm_nn(cmd, (struct gemm_nn_args){
                            .x = x, .w = x, .r = x, .y = y, .rows = rows, .outs = OUTS,
                            .inner = INNER, .ldx = INNER, .ldw = OUTS, .ldy = OUTS, .alpha = 1,
                            .variant = e->variant, .tile = rows, .cols = e->tile.cols,
                            .local = e->tile.local, .wide = e->tile.wide,
                            .span = INNER});
    else
        op_gemm_tn(cmd, (struct gemm_tn_args){
                            .x = x, .w = x, .r = x, .y = y, .rows = rows, .outs = OUTS,
                            .inner = INNER, .ldx = rows, .ldw = OUTS, .ldy = OUTS, .alpha = 1,
                            .variant = e->variant, .tile = rows, .cols = e->tile.cols,
                            .local = e->tile.local, .wide = e->tile.wide});
}

// The least time of some runs; the first, which compiles, says how often each run repeats it.
static bool time_entry(struct device *dev, struct entry *e, fbuf x, fbuf y)
{
    const double enough = 2e-3; // seconds
    uint32_t repeat = 1;
    for (int run = 0; run < 8; run++) {
        struct cmd cmd;
        double started = log_clock();
        cmd_start(&cmd, dev, false);
        for (uint32_t i = 0; i < repeat; i++) record(&cmd, e, x, y);
        bool ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
        if (!ok) return false;
        double seconds = (log_clock() - started) / repeat;
        if (run > 0 && (run == 1 || seconds < e->seconds)) e->seconds = seconds;
        if (run == 1 && seconds < enough) repeat = (uint32_t)(enough / (seconds + 1e-7)) + 1;
    }
    return true;
}

static bool timed(const struct tuning *tuning, enum op op, uint32_t variant)
{
    for (uint32_t i = 0; i < tuning->count; i++)
        if (tuning->entries[i].op == op && tuning->entries[i].variant == variant) return true;
    return false;
}

static bool time_tile(struct device *dev, struct entry e, fbuf x, fbuf y)
{
    struct tuning *tuning = dev->tuning;
    struct tile made[LOCALS_MAX];
    uint32_t count = workgroups(dev, e.tile, made);
    if (e.tile.rows == SHARED_ROWS && dev->info.rank >= 4) return true; // ten times slower there
    for (uint32_t i = 0; i < count && tuning->count < ENTRIES_MAX; i++) {
        e.tile = made[i];
        if (!time_entry(dev, &e, x, y)) return false;
        log_detail("%s %u, tile %u x %u, %u threads: %.1f GFLOP/s", op_names[e.op], e.variant,
                   e.tile.rows, e.tile.cols, e.tile.local,
                   2e-9 * e.tile.rows * OUTS * INNER / e.seconds);
        tuning->entries[tuning->count++] = e;
    }
    return true;
}

static bool time_op(struct device *dev, enum op op, uint32_t variant, fbuf x, fbuf y)
{
    struct tile tiles[TILES_MAX];
    uint32_t count = op_tiles(dev, op, variant, tiles, TILES_MAX);
    if (timed(dev->tuning, op, variant)) return true;
    log_detail("timing %s", op_names[op]);
    for (uint32_t i = 0; i < count; i++) {
        struct entry e = {.op = op, .variant = variant, .tile = tiles[i]};
        if (!time_tile(dev, e, x, y)) return false;
    }
    return true;
}

// Both kinds of gemm_coop's tiles, where it computes what gemm_nt does.
static bool time_units(struct device *dev, uint32_t variant, fbuf x, fbuf y)
{
    struct tuning *tuning = dev->tuning;
    const uint32_t rows[] = {16, 64};
    if (!dev->info.matrix_units || !op_built(OP_gemm_coop) || !tuning->units_agree ||
        timed(tuning, OP_gemm_coop, variant))
        return true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && tuning->count < ENTRIES_MAX; i++) {
        struct entry e = {.op = OP_gemm_coop, .variant = variant, .tile = {.rows = rows[i]}};
        e.tile.cols = 4;
        e.tile.local = gemm_coop_local(dev);
        if (!time_entry(dev, &e, x, y)) return false;
        log_detail("gemm_coop %u, tile %u: %.1f GFLOP/s", variant, rows[i],
                   2e-9 * rows[i] * OUTS * INNER / e.seconds);
        tuning->entries[tuning->count++] = e;
    }
    return true;
}

// A product of numbers between -1/2 and 1/2 by both ways: sums of INNER terms differ by far less
// than 1e-4 if both are right. A driver whose matrix units are wrong goes without them.
static bool units_check(struct device *dev, fbuf x, struct buffer *y)
{
    struct tuning *tuning = dev->tuning;
    const struct entry ways[] = {{.op = OP_gemm_nt, .tile = {16, 4, 64, 256}},
                                 {.op = OP_gemm_coop, .tile = {16, 4, gemm_coop_local(dev), 0}}};
    enum { RESULTS = 16 * OUTS };
    float *results = mem_new(2 * RESULTS, sizeof *results, "a trial");
    bool ok = results != NULL;
    if (!ok || !dev->info.matrix_units || !op_built(OP_gemm_coop)) goto done;
    for (int i = 0; ok && i < 2; i++) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_random(&cmd, (struct random_args){.y = x, .n = OUTS * INNER, .seed = 1});
        record(&cmd, &ways[i], x, y->address);
        ok = cmd_run_once(&cmd) &&
             buffer_read(dev, y, 0, results + i * RESULTS, RESULTS * sizeof *results);
        cmd_free(&cmd);
    }
    int agree = 0;
    for (int i = 0; ok && i < RESULTS; i++)
        agree += fabsf(results[i] - results[RESULTS + i]) < 1e-4f;
    tuning->units_agree = agree == RESULTS;
    if (ok && !tuning->units_agree)
        log_warn("the matrix units of this device are not used: %d of %d results are wrong",
                 RESULTS - agree, RESULTS);
done:
    free(results);
    return ok;
}

// ---- the cache: one file a device, driver and build of the program ----

static char *cache_path(const struct device *dev)
{
    char id[600], name[64];
    snprintf(id, sizeof id, "%s %s %s %u", dev->info.name, dev->info.driver, OEDIT_VERSION,
             op_build_count());
    uint64_t hash = XXH3_64bits(id, strlen(id));
    snprintf(name, sizeof name, "tiles-%016llx.json", (unsigned long long)hash);
    return options_cache_path(name);
}

static double number(const cJSON *row, int index, double most)
{
    const cJSON *item = cJSON_GetArrayItem(row, index);
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= most
               ? item->valuedouble : -1;
}

// Sets e->tile.wide, too.
static bool can_run(const struct device *dev, struct entry *e)
{
    if (e->op == OP_gemm_coop) return false; // whether it agrees is seen anew each time
    struct tile tiles[TILES_MAX], made[LOCALS_MAX];
    uint32_t count = op_tiles(dev, e->op, e->variant, tiles, TILES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t sizes = workgroups(dev, tiles[i], made);
        for (uint32_t j = 0; j < sizes; j++) {
            if (made[j].rows != e->tile.rows || made[j].cols != e->tile.cols ||
                made[j].local != e->tile.local)
                continue;
            e->tile = made[j];
            return true;
        }
    }
    return false;
}

// Rows [op, variant, rows, cols, local, seconds]; what is damaged or unknown is left out.
static void load(struct device *dev, const char *path)
{
    struct tuning *tuning = dev->tuning;
    char *text = NULL;
    size_t size;
    cJSON *all = path && file_read(path, &text, &size) ? cJSON_ParseWithLength(text, size) : NULL;
    const cJSON *row;
    cJSON_ArrayForEach(row, all) {
        const cJSON *name = cJSON_GetArrayItem(row, 0);
        struct entry e = {.op = OP_COUNT};
        for (uint32_t op = 0; cJSON_IsString(name) && op < OP_COUNT; op++)
            if (strcmp(op_names[op], name->valuestring) == 0) e.op = op;
        double v[5];
        bool good = e.op < OP_COUNT && tuning->count < ENTRIES_MAX;
        for (int i = 0; i < 5; i++) good = (v[i] = number(row, i + 1, 1024)) >= 0 && good;
        if (!good) continue;
        e.variant = (uint32_t)v[0];
        e.tile = (struct tile){(uint32_t)v[1], (uint32_t)v[2], (uint32_t)v[3], 0};
        e.seconds = v[4];
        if (can_run(dev, &e)) tuning->entries[tuning->count++] = e;
    }
    cJSON_Delete(all);
    free(text);
}

static void save(const struct tuning *tuning, const char *path)
{
    cJSON *all = cJSON_CreateArray();
    for (uint32_t i = 0; i < tuning->count; i++) {
        const struct entry *e = &tuning->entries[i];
        const double v[] = {e->variant, e->tile.rows, e->tile.cols, e->tile.local, e->seconds};
        cJSON *row = cJSON_CreateArray();
        json_append(row, cJSON_CreateString(op_names[e->op]));
        for (size_t j = 0; j < sizeof v / sizeof *v; j++)
            json_push(row, v[j]);
        json_append(all, row);
    }
    char *text = cJSON_PrintUnformatted(all);
    struct file_out out;
    if (text && path && file_out_open(&out, path)) {
        bool ok = file_out_write(&out, text, strlen(text));
        file_out_close(&out, ok);
    }
    cJSON_free(text);
    cJSON_Delete(all);
}

static bool time_all(struct device *dev, uint32_t dtypes)
{
    struct buffer *x = NULL, *y = NULL;
    struct tuning *tuning = dev->tuning;
    if (!timed(tuning, OP_gemm_tn, 0)) log_say("timing matrix products on this device, once");
    // 32 rows of x or all of w in f32; zeros, so that no value is slow or not finite.
    bool ok = buffer_new(dev, 4ull * OUTS * INNER, "a trial", &x) &&
              buffer_new(dev, 4ull * OUTS * SHARED_ROWS, "a trial", &y);
    ok = ok && units_check(dev, x->address, y);
    if (ok) {
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        op_fill(&cmd, (struct fill_args){.y = x->address, .n = OUTS * INNER});
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    for (uint32_t type = 0; ok && type < ROWS_APART; type++)
        if (dtypes >> type & 1)
            ok = time_op(dev, OP_gemm_nt, kind_of(type), x->address, y->address) &&
                 time_op(dev, OP_gemm_nn, kind_of(type), x->address, y->address) &&
                 time_units(dev, kind_of(type), x->address, y->address);
    ok = ok && time_op(dev, OP_gemm_tn, 0, x->address, y->address);
    buffer_free(dev, &x);
    buffer_free(dev, &y);
    return ok;
}

static struct tuning *tuning_of(struct device *dev)
{
    if (!dev->tuning) dev->tuning = mem_new(1, sizeof(struct tuning), "tiles");
    return dev->tuning;
}

bool tune_only(struct device *dev, uint32_t rows, uint32_t cols)
{
    struct tuning *tuning = tuning_of(dev);
    if (!tuning) return false;
    tuning->only_rows = rows;
    tuning->only_cols = cols;
    return true;
}

uint64_t tune_id(const struct device *dev, uint32_t dtypes)
{
    const struct tuning *tuning = dev->tuning;
    uint64_t id = 0;
    for (uint32_t i = 0; tuning && i < tuning->count; i++) {
        const struct entry *e = &tuning->entries[i];
        bool meant = e->op == OP_gemm_tn;
        for (uint32_t type = 0; !meant && type < ROWS_APART; type++)
            meant = (dtypes >> type & 1) && kind_of(type) == e->variant;
        if (!meant) continue;
        const uint32_t shape[] = {e->op, e->variant, e->tile.rows, e->tile.cols, e->tile.local};
        uint64_t seconds = XXH3_64bits(&e->seconds, sizeof e->seconds);
        id += XXH3_64bits(shape, sizeof shape) ^ seconds; // a sum: their order is the cache's
    }
    return id;
}

bool tune(struct device *dev, uint32_t dtypes)
{
    struct tuning *tuning = tuning_of(dev);
    if (!tuning) return false;
    char *path = cache_path(dev);
    if (tuning->count == 0) load(dev, path);
    status_clear(); // without a cache every run times anew
    uint32_t known = tuning->count;
    bool ok = time_all(dev, dtypes);
    if (ok && tuning->count > known) save(tuning, path);
    if (ok) status_clear();
    free(path);
    return ok;
}
