#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/statistic.h"
#include "linalg/range.h"

static const char hex[] = "0123456789abcdef";

static uint32_t rows_of(const struct statistic *s)
{
    return s->grad ? s->origin.dim : s->origin.ffn;
}

// What shards of one whole have in common.
static cJSON *of_make(const struct statistic *s)
{
    const struct origin *o = &s->origin;
    char text[24];
    cJSON *of = cJSON_CreateObject();
    cJSON_AddStringToObject(of, "model", o->model);
    cJSON_AddNumberToObject(of, "layer", o->layer);
    cJSON_AddNumberToObject(of, "tokens", o->tokens);
    cJSON_AddNumberToObject(of, "block", s->block);
    snprintf(text, sizeof text, "%016" PRIx64, o->text);
    cJSON_AddStringToObject(of, "text", text);
    cJSON_AddNumberToObject(of, "statements", s->statements);
    cJSON_AddNumberToObject(of, "batches", s->batches);
    snprintf(text, sizeof text, "%" PRIu64, s->seed);
    cJSON_AddStringToObject(of, "seed", text);
    cJSON_AddNumberToObject(of, "dim", o->dim);
    cJSON_AddNumberToObject(of, "ffn", o->ffn);
    if (s->grad) cJSON_AddNumberToObject(of, "directions", s->directions);
    else cJSON_AddNumberToObject(of, "ridge", s->ridge);
    return of;
}

static bool part_write(const struct tree *tree, const cJSON *about, const char *path)
{
    struct part_out out;
    bool ok = part_start(&out, path, about);
    if (!ok) return false;
    for (uint32_t i = 0; ok && i < tree->count; i++)
        ok = !tree->nodes[i].sum || part_add(&out, tree->nodes[i].sum, 4 * tree->kept);
    return part_end(&out, ok);
}

bool statistic_shard(struct opened *o, const struct statistic *s, const struct args *args,
                     struct shard shard, const struct corpus *corpus)
{
    const char *command = s->grad ? "grad" : "stats";
    struct tree tree = {0};
    struct leaves leaves;
    double loss;
    char room[64];
    const char *path = shard_path(args, shard, command, room);
    shard_range(shard, TREE_LEAVES, &leaves.first, &leaves.end);
    log_say("shard %u/%u of %s of layer %u: leaves %u to %u of %u, of %u tokens of %s", shard.i,
            shard.n, s->grad ? "grad G" : "C", s->origin.layer, leaves.first, leaves.end,
            TREE_LEAVES, corpus->count, corpus->source);
    cJSON *about = shard_about(o, shard, command, TREE_LEAVES, of_make(s));
    cJSON_AddStringToObject(about, "source", corpus->source);
    const uint32_t layer = s->origin.layer;
    bool ok = s->grad ? stats_gradient_sum(&o->model, corpus, layer, leaves, &tree, &loss)
                      : stats_moment_sum(&o->model, corpus, &layer, 1, leaves, &tree);
    ok = ok && tree_fetch(&tree) && part_write(&tree, about, path);
    if (ok && args->json) {
        cJSON_AddStringToObject(about, "out", path);
        ok = json_put(about, true);
    } else if (ok)
        printf("out: %s\n", path);
    tree_free(&tree);
    cJSON_Delete(about);
    return ok;
}

// ---- reading ----

static bool small(const struct part_file *part, const char *name, uint64_t low, uint64_t high,
                  uint32_t *value)
{
    uint64_t wide = 0;
    if (!part_whole(part, name, low, high, &wide)) return false;
    *value = (uint32_t)wide;
    return true;
}

bool statistic_read(const struct part_file *part, struct statistic *s)
{
    struct origin *o = &s->origin;
    char command[16] = "", text[24] = "", seed[24] = "", precision[8] = "";
    uint32_t whole;
    *s = (struct statistic){0};
    bool ok = part_text(part, "command", NULL, command, sizeof command) &&
              part_text(part, "model", hex, o->model, sizeof o->model) &&
              part_text(part, "text", hex, text, sizeof text) &&
              part_text(part, "seed", "0123456789", seed, sizeof seed) &&
              part_text(part, "precision", NULL, precision, sizeof precision) &&
              small(part, "layer", 0, 1000, &o->layer) &&
              small(part, "tokens", 1, UINT32_MAX, &o->tokens) &&
              small(part, "block", 1, UINT32_MAX, &s->block) &&
              small(part, "statements", 0, UINT32_MAX, &s->statements) &&
              small(part, "batches", 1, UINT32_MAX, &s->batches) &&
              small(part, "whole", TREE_LEAVES, TREE_LEAVES, &whole) &&
              small(part, "dim", 1, UINT16_MAX, &o->dim) &&
              small(part, "ffn", 1, UINT16_MAX, &o->ffn);
    if (!ok) return false;
    s->grad = command[0] == 'g';
    s->seed = strtoull(seed, NULL, 10);
    o->text = strtoull(text, NULL, 16);
    o->strict = precision[0] == 's';
    snprintf(o->source, sizeof o->source, "%s", part_note(part, "source"));
    if (!s->grad)
        return part_number(part, "ridge", &s->ridge) &&
               ((s->ridge >= 0 && s->ridge <= 1e6) ||
                fail(STATUS_BAD_DATA, "%s: its 'ridge' is %g, wanted 0 to 1e6", part->path,
                     s->ridge));
    if (!small(part, "directions", 1, o->dim, &s->directions)) return false;
    return s->directions == o->dim || range_fits(o->dim, o->ffn, s->directions) ||
           fail(STATUS_BAD_DATA, "%s: %u directions of a matrix [%u, %u] are too many for probes",
                part->path, s->directions, o->dim, o->ffn);
}

// The part has as many numbers as its nodes need.
static bool size_check(const struct part_file *part, const struct statistic *s)
{
    const uint64_t each = 4 * tree_kept(rows_of(s), s->origin.ffn, !s->grad);
    uint64_t wanted = 0;
    for (uint32_t at = part->first, count; at < part->end; at += count) {
        count = tree_node_at(at, part->end);
        if (tree_filled(at, count, s->batches)) wanted += each;
    }
    return part->bytes == wanted ||
           fail(STATUS_BAD_DATA, "%s has %" PRIu64 " bytes of sums, wanted %" PRIu64 " for leaves "
                                 "%u to %u", part->path, part->bytes, wanted, part->first,
                part->end);
}

static bool part_put(const struct part_file *part, const struct statistic *s, struct tree *tree)
{
    const float *data = (const float *)(const void *)part->numbers; // aligned, see part_start
    bool ok = true;
    for (uint32_t at = part->first, count; ok && at < part->end; at += count) {
        count = tree_node_at(at, part->end);
        const bool filled = tree_filled(at, count, s->batches);
        if (filled) {
            ok = tree_load(tree, data);
            data += tree->kept;
        }
        ok = ok && tree_put(tree, at, count, filled);
    }
    return ok;
}

static bool finish(struct device *dev, const struct statistic *s, const struct args *args,
                   struct buffer *sum)
{
    if (!s->grad)
        return stats_moment_keep(dev, &s->origin, sum) && statistic_moment(dev, s, args, sum);
    struct buffer *rows = NULL;
    float *values = mem_new(s->origin.dim, sizeof *values, "singular values");
    bool ok = values &&
              stats_directions_keep(dev, &s->origin, sum, s->directions, &rows, values) &&
              statistic_directions(dev, s, args, rows, values);
    buffer_free(dev, &rows);
    free(values);
    return ok;
}

bool statistic_merge(struct part_file *const *parts, uint32_t count, const struct args *args)
{
    struct statistic s;
    struct opened o = {0};
    struct args with = *args;
    struct tree tree = {0};
    struct buffer *sum = NULL;
    bool ok = statistic_read(parts[0], &s);
    for (uint32_t i = 0; ok && i < count; i++) ok = size_check(parts[i], &s);
    if (!ok) return false;
    with.precision = s.origin.strict;
    ok = opened_device(&o, &with) && tree_new(&tree, &o.dev, rows_of(&s), s.origin.ffn, !s.grad);
    for (uint32_t i = 0; ok && i < count; i++) ok = part_put(parts[i], &s, &tree);
    ok = ok && tree_take(&tree, &sum);
    if (ok) log_say("%s of layer %u from %u parts", s.grad ? "grad G" : "C", s.origin.layer, count);
    tree_free(&tree);
    ok = ok && finish(&o.dev, &s, args, sum);
    if (o.dev.handle) buffer_free(&o.dev, &sum);
    return opened_end(&o, &with, ok);
}
