#include "cli/evaluation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/merge.h"

bool evaluation_new(struct evaluation *e, unsigned which, uint32_t requests)
{
    *e = (struct evaluation){.which = which, .requests = requests};
    e->ids = mem_new(requests, sizeof *e->ids, "scores");
    return e->ids && marks_new(&e->marks, requests);
}

void evaluation_free(struct evaluation *e)
{
    free(e->ids);
    marks_free(&e->marks);
    losses_free(&e->losses);
    *e = (struct evaluation){0};
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

struct evaluation_span evaluation_span(const struct evaluation *e, uint32_t first, uint32_t end)
{
    const uint32_t n = e->requests;
    return (struct evaluation_span){least(first, n), least(end, n), first > n ? first - n : 0,
                                    end > n ? end - n : 0};
}

static bool asked(const struct evaluation *e, unsigned measure)
{
    return e->which >> measure & 1;
}

// ---- the report ----

static void records(const struct evaluation *e, cJSON *root)
{
    const struct marks *marks = &e->marks;
    cJSON_AddNumberToObject(root, "n", e->requests);
    for (unsigned m = 0; m < MEASURE_EACH; m++) {
        if (asked(e, m)) json_number(root, measure_names[m], marks_mean(marks, m, 0, e->requests));
        if (m == MEASURE_LOC) json_number(root, "avg", marks_average(marks, 0, e->requests));
    }
    cJSON *list = cJSON_AddArrayToObject(root, "records");
    for (uint32_t i = 0; i < e->requests; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddNumberToObject(row, "id", (double)e->ids[i]);
        for (unsigned m = 0; m < MEASURE_EACH; m++)
            if (asked(e, m)) json_number(row, measure_names[m], marks->scores[m][i]);
        json_append(list, row);
    }
}

static cJSON *report(const struct evaluation *e)
{
    cJSON *root = cJSON_CreateObject();
    if (e->requests) records(e, root);
    if (e->losses.blocks) {
        cJSON_AddNumberToObject(root, "perplexity", losses_perplexity(&e->losses));
        cJSON_AddNumberToObject(root, "perplexity_tokens", e->losses.tokens);
    }
    return root;
}

static void share(const char *gap, const char *title, double value)
{
    if (isfinite(value)) printf("%s%s %.3f", gap, title, value);
    else printf("%s%s -", gap, title); // not measured
}

static void line(const struct evaluation *e)
{
    const char *gap = "";
    const uint32_t n = e->requests;
    for (unsigned m = 0; m < MEASURE_EACH; m++) {
        if (asked(e, m)) {
            share(gap, measure_titles[m], marks_mean(&e->marks, m, 0, n));
            gap = "  ";
        }
        if (m == MEASURE_LOC && (e->which & MEASURES_DEFAULT) == MEASURES_DEFAULT)
            share(gap, "Avg", marks_average(&e->marks, 0, n));
    }
    putchar('\n');
}

static bool save(const cJSON *root, const char *path)
{
    char *text = json_text(root, true, "the report");
    struct file_out out;
    bool ok = text && file_out_open(&out, path);
    if (ok) {
        ok = file_out_write(&out, text, strlen(text)) && file_out_write(&out, "\n", 1);
        ok = file_out_close(&out, ok) && ok;
    }
    cJSON_free(text);
    return ok;
}

bool evaluation_print(const struct evaluation *e, const struct args *args)
{
    cJSON *root = report(e);
    bool ok = !args->out || save(root, args->out);
    if (e->requests && asked(e, MEASURE_LOC) && !e->base)
        log_say("no --base MODEL: Loc is not measured");
    if (ok && args->json) ok = json_put(root, true);
    else if (ok) {
        if (e->requests) line(e);
        if (e->losses.blocks) printf("perplexity %.4f\n", losses_perplexity(&e->losses));
    }
    cJSON_Delete(root);
    return ok;
}

// ---- parts: of each request its id and its scores, of each block its loss; 64 bits each ----

void evaluation_of(const struct evaluation *e, cJSON *of)
{
    char list[80] = "";
    for (unsigned m = 0; m < MEASURE_EACH; m++)
        if (asked(e, m))
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? "," : "",
                     measure_names[m]);
    cJSON_AddStringToObject(of, "measures", list);
    cJSON_AddBoolToObject(of, "loc", e->base);
    cJSON_AddNumberToObject(of, "requests", e->requests);
    cJSON_AddNumberToObject(of, "tokens", e->losses.tokens);
    cJSON_AddNumberToObject(of, "block", e->losses.block);
}

static bool numbers_write(const struct evaluation *e, struct evaluation_span span,
                          struct part_out *out)
{
    bool ok = true;
    for (uint32_t i = span.request; ok && i < span.requests_end; i++) {
        ok = part_add(out, &e->ids[i], sizeof e->ids[i]);
        for (unsigned m = 0; ok && m < MEASURE_EACH; m++)
            if (asked(e, m)) ok = part_add(out, &e->marks.scores[m][i], sizeof(double));
    }
    const uint64_t blocks = span.blocks_end - span.block;
    return ok && (!blocks || part_add(out, e->losses.sums + span.block, blocks * sizeof(double)));
}

bool evaluation_shard(const struct opened *o, const struct evaluation *e, const struct args *args,
                      struct shard shard, cJSON *of)
{
    const uint32_t whole = e->requests + e->losses.blocks;
    char room[64];
    const char *path = shard_path(args, shard, "eval", room);
    struct part_out out;
    uint32_t first, end;
    shard_range(shard, whole, &first, &end);
    cJSON *about = shard_about(o, shard, "eval", whole, of);
    bool ok = part_start(&out, path, about);
    if (ok) ok = part_end(&out, numbers_write(e, evaluation_span(e, first, end), &out));
    if (ok && args->json) {
        cJSON_AddStringToObject(about, "out", path);
        ok = json_put(about, true);
    } else if (ok)
        printf("out: %s\n", path);
    cJSON_Delete(about);
    return ok;
}

static bool measures_read(const struct part_file *part, unsigned *which)
{
    char list[80];
    *which = 0;
    if (!part_text(part, "measures", NULL, list, sizeof list)) return false;
    if (*list == '\0' || (measures_parse(list, which) && !(*which >> MEASURE_PPL & 1))) return true;
    status_clear();
    return fail(STATUS_BAD_DATA, "%s: its 'measures' is '%s'", part->path, list);
}

// All of it but the numbers: nothing is allocated.
static bool evaluation_read(const struct part_file *part, struct evaluation *e)
{
    uint64_t whole, requests, tokens, block;
    *e = (struct evaluation){0};
    if (!part_whole(part, "whole", 1, UINT32_MAX, &whole) ||
        !part_whole(part, "requests", 0, whole, &requests) ||
        !part_whole(part, "tokens", 0, UINT32_MAX, &tokens) ||
        !part_whole(part, "block", tokens ? 2 : 0, UINT32_MAX, &block) ||
        !measures_read(part, &e->which))
        return false;
    e->requests = (uint32_t)requests;
    e->base = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(part->of, "loc"));
    e->losses = (struct losses){.tokens = (uint32_t)tokens, .block = (uint32_t)block};
    if (tokens > 1) e->losses.blocks = (uint32_t)((tokens - 2) / block + 1);
    return requests + e->losses.blocks == whole ||
           fail(STATUS_BAD_DATA, "%s: %llu requests and %u blocks of text are not %llu", part->path,
                (unsigned long long)requests, e->losses.blocks, (unsigned long long)whole);
}

// So many numbers as the file must have: checked of all parts before there is room for any.
static bool size_check(const struct part_file *part, const struct evaluation *e)
{
    const struct evaluation_span span = evaluation_span(e, part->first, part->end);
    uint64_t each = 1;
    for (unsigned m = 0; m < MEASURE_EACH; m++) each += asked(e, m);
    const uint64_t wanted = 8 * ((span.requests_end - span.request) * each +
                                 (span.blocks_end - span.block));
    return part->bytes == wanted ||
           fail(STATUS_BAD_DATA, "%s has %llu bytes of numbers, wanted %llu", part->path,
                (unsigned long long)part->bytes, (unsigned long long)wanted);
}

static void part_take(const struct part_file *part, struct evaluation *e)
{
    const struct evaluation_span span = evaluation_span(e, part->first, part->end);
    const uint8_t *at = part->numbers;
    for (uint32_t i = span.request; i < span.requests_end; i++) {
        memcpy(&e->ids[i], at, 8);
        at += 8;
        for (unsigned m = 0; m < MEASURE_EACH; m++) {
            if (!asked(e, m)) continue;
            memcpy(&e->marks.scores[m][i], at, 8);
            at += 8;
        }
    }
    if (span.blocks_end > span.block)
        memcpy(e->losses.sums + span.block, at, 8 * (uint64_t)(span.blocks_end - span.block));
}

bool merge_eval(struct part_file *const *parts, uint32_t count, const struct args *args)
{
    struct evaluation shape, e = {0};
    bool ok = evaluation_read(parts[0], &shape);
    for (uint32_t i = 0; ok && i < count; i++) ok = size_check(parts[i], &shape);
    ok = ok && evaluation_new(&e, shape.which, shape.requests) &&
         (!shape.losses.tokens ||
          losses_new(&e.losses, UINT32_MAX, shape.losses.tokens, shape.losses.block));
    e.base = shape.base;
    for (uint32_t i = 0; ok && i < count; i++) part_take(parts[i], &e);
    ok = ok && evaluation_print(&e, args);
    evaluation_free(&e);
    return ok;
}
