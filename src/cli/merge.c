#include "cli/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/statistic.h"

static bool other(const struct part_file *part, const struct part_file *than, const char *name)
{
    const cJSON *items[] = {cJSON_GetObjectItemCaseSensitive(part->of, name),
                            cJSON_GetObjectItemCaseSensitive(than->of, name)};
    char *texts[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++) {
        if (items[i]) texts[i] = cJSON_PrintUnformatted(items[i]);
    }
    fail(STATUS_BAD_DATA, "%s: got %s %.100s, wanted %.100s as in %s", part->path, name,
         texts[0] ? texts[0] : "(none)", texts[1] ? texts[1] : "(none)", than->path);
    cJSON_free(texts[0]);
    cJSON_free(texts[1]);
    return false;
}

// What they are of: everything, in both directions, the command first.
static bool same(const struct part_file *part, const struct part_file *first)
{
    const struct part_file *pair[] = {first, part};
    const cJSON *mine = cJSON_GetObjectItemCaseSensitive(part->of, "command"),
                *its = cJSON_GetObjectItemCaseSensitive(first->of, "command");
    if (!cJSON_Compare(mine, its, true)) return other(part, first, "command");
    for (int i = 0; i < 2; i++)
        for (const cJSON *item = pair[i]->of->child; item; item = item->next) {
            const cJSON *twin = cJSON_GetObjectItemCaseSensitive(pair[!i]->of, item->string);
            if (!cJSON_Compare(item, twin, true)) return other(part, first, item->string);
        }
    return true;
}

// A shard that would fill the gap [first, end), as parts beside it count them; "" if they do not.
static void missing(const struct part_file *beside, uint32_t whole, uint32_t first, uint32_t end,
                    char text[static 40])
{
    struct shard s;
    const struct args args = {.shard = part_note(beside, "shard")};
    text[0] = '\0';
    if (!shard_parse(&args, &s)) {
        status_clear();
        return;
    }
    for (s.i = 1; s.i <= s.n; s.i++) {
        uint32_t begin, stop;
        shard_range(s, whole, &begin, &stop);
        if (begin < stop && begin < end && stop > first) break;
    }
    if (s.i <= s.n) snprintf(text, 40, "; --shard %u/%u is missing", s.i, s.n);
}

static bool gap(const struct part_file *beside, uint32_t whole, uint32_t first, uint32_t end)
{
    char text[40];
    missing(beside, whole, first, end, text);
    return fail(STATUS_BAD_DATA, "merge: the parts have a gap from %u to %u of %u%s", first, end,
                whole, text);
}

static bool twice(const struct part_file *left, const struct part_file *right)
{
    if (left->first == right->first && left->end == right->end)
        return fail(STATUS_BAD_DATA, "%s and %s are the same shard %.20s", left->path, right->path,
                    part_note(left, "shard"));
    return fail(STATUS_BAD_DATA, "%s (shard %.20s) and %s (shard %.20s) overlap: both have %u",
                left->path, part_note(left, "shard"), right->path, part_note(right, "shard"),
                right->first);
}

static int by_place(const void *left, const void *right)
{
    const struct part_file *a = *(struct part_file *const *)left,
                           *b = *(struct part_file *const *)right;
    return a->first != b->first ? (a->first < b->first ? -1 : 1)
                                : (a->end > b->end) - (a->end < b->end);
}

// Sorted, they follow each other from 0 to the end.
static bool cover(struct part_file *const *parts, uint32_t count)
{
    const struct part_file *before = NULL;
    uint64_t whole = 0;
    uint32_t at = 0;
    if (!part_whole(parts[0], "whole", 1, UINT32_MAX, &whole)) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct part_file *p = parts[i];
        if (p->first == p->end) continue; // more shards than there is to do
        if (p->first < at) return twice(before, p);
        if (p->first > at) return gap(p, (uint32_t)whole, at, p->first);
        at = p->end;
        before = p;
    }
    return at == whole || gap(parts[0], (uint32_t)whole, at, (uint32_t)whole);
}

static bool version_check(const struct part_file *part)
{
    char version[32];
    if (!part_text(part, "version", NULL, version, sizeof version)) return false;
    return strcmp(version, OEDIT_VERSION) == 0 ||
           fail(STATUS_BAD_DATA, "%s: got a part of oedit %s, wanted one of %s, which this is",
                part->path, version, OEDIT_VERSION);
}

static bool join(struct part_file *const *parts, uint32_t count, const struct args *args)
{
    char command[16];
    if (!part_text(parts[0], "command", NULL, command, sizeof command)) return false;
    if (strcmp(command, "stats") == 0 || strcmp(command, "grad") == 0)
        return statistic_merge(parts, count, args);
    if (strcmp(command, "eval") == 0) return merge_eval(parts, count, args);
    return fail(STATUS_BAD_DATA, "%s: got a part of oedit %s, wanted one of stats, grad or eval",
                parts[0]->path, command);
}

bool command_merge(const struct args *args)
{
    const uint32_t count = (uint32_t)args->word_count;
    if (!count)
        return fail(STATUS_USAGE, "merge: wanted files that --shard wrote (oedit merge PART...)");
    struct part_file *parts = mem_new(count, sizeof *parts, "parts");
    struct part_file **sorted = mem_new(count, sizeof *sorted, "parts");
    bool ok = parts && sorted;
    for (uint32_t i = 0; ok && i < count; i++) {
        sorted[i] = &parts[i];
        ok = part_open(&parts[i], args->words[i]) && version_check(&parts[i]) &&
             (i == 0 || same(&parts[i], &parts[0]));
    }
    if (ok) qsort(sorted, count, sizeof *sorted, by_place);
    ok = ok && cover(sorted, count) && join(sorted, count, args);
    for (uint32_t i = 0; parts && i < count; i++) part_close(&parts[i]);
    free(sorted);
    free(parts);
    return ok;
}
