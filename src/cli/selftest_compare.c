#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/status.h"
#include "cli/selftest.h"

struct report { // a file of `selftest --json`, of one device
    const char *path;
    cJSON *root;
    const cJSON *cases, *edits;
    const char *device, *driver, *build;
};

static const char *word(const cJSON *o, const char *name)
{
    const cJSON *item = cJSON_GetObjectItem(o, name);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static bool bad(const struct report *r, const char *what)
{
    return fail(STATUS_BAD_DATA, "%s: %s, wanted a report of oedit selftest --json", r->path, what);
}

// What compare reads of it is there.
static bool report_check(struct report *r)
{
    const cJSON *reports = cJSON_GetObjectItem(r->root, "reports"), *item, *line;
    if (!cJSON_IsArray(reports)) return bad(r, "no reports");
    if (cJSON_GetArraySize(reports) != 1)
        return fail(STATUS_BAD_DATA, "%s: reports of %d devices, wanted of one", r->path,
                    cJSON_GetArraySize(reports));
    const cJSON *report = cJSON_GetArrayItem(reports, 0);
    r->device = word(report, "device");
    r->driver = word(report, "driver");
    r->build = word(report, "build");
    r->cases = cJSON_GetObjectItem(report, "cases");
    r->edits = cJSON_GetObjectItem(report, "edits");
    if (word(report, "failure"))
        return fail(STATUS_BAD_DATA, "%s: its device failed: %s", r->path, word(report, "failure"));
    if (!r->device || !r->driver || !r->build) return bad(r, "no device, driver or build");
    if (!cJSON_IsArray(r->cases) || !cJSON_IsArray(r->edits)) return bad(r, "no cases or edits");
    cJSON_ArrayForEach(item, r->cases)
        if (!word(item, "op") || !word(item, "case")) return bad(r, "a case without a name");
    cJSON_ArrayForEach(item, r->edits)
    {
        const cJSON *trace = cJSON_GetObjectItem(item, "trace");
        if (!word(item, "name") || !word(item, "digest") || !cJSON_IsArray(trace))
            return bad(r, "edits without name, digest or trace");
        cJSON_ArrayForEach(line, trace)
            if (!cJSON_IsString(line)) return bad(r, "a trace that is no text");
    }
    return true;
}

static bool report_open(struct report *r, const char *path)
{
    char *text = NULL;
    size_t size;
    *r = (struct report){.path = path};
    if (!file_read(path, &text, &size)) return false;
    r->root = cJSON_Parse(text);
    free(text);
    return r->root ? report_check(r) : bad(r, "not JSON");
}

static const cJSON *find(const cJSON *list, const char *key, const char *name, const char *second,
                         const char *second_name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
        if (strcmp(word(item, key), name) == 0 &&
            (!second || strcmp(word(item, second), second_name) == 0))
            return item;
    return NULL;
}

// Cases of A that B has, with their digests; those that differ are printed. The rest is counted.
static void cases_compare(const struct report *a, const struct report *b, uint32_t *same,
                          uint32_t *different, uint32_t *missing)
{
    const cJSON *x;
    cJSON_ArrayForEach(x, a->cases)
    {
        const cJSON *y = find(b->cases, "op", word(x, "op"), "case", word(x, "case"));
        const char *of_x = word(x, "digest"), *of_y = y ? word(y, "digest") : NULL;
        if (!y)
            ++*missing;
        else if (!of_x && !of_y)
            continue; // neither device has it
        else if (of_x && of_y && strcmp(of_x, of_y) == 0)
            ++*same;
        else if (of_x && of_y && ++*different)
            printf("%s %s: strict digests %s and %s\n", word(x, "op"), word(x, "case"), of_x,
                   of_y);
        else
            ++*missing;
    }
}

// The first dispatch of the edits that wrote something else.
static void trace_compare(const char *name, const cJSON *x, const cJSON *y)
{
    const cJSON *p = cJSON_GetObjectItem(x, "trace")->child;
    const cJSON *q = cJSON_GetObjectItem(y, "trace")->child;
    uint32_t same = 0;
    for (; p && q && strcmp(p->valuestring, q->valuestring) == 0; p = p->next, q = q->next) same++;
    if (!p && !q)
        printf("edits %s: all %u dispatches wrote the same, W afterwards differs\n", name, same);
    else
        printf("edits %s part at dispatch %u:\n  A %s\n  B %s\n", name, same + 1,
               p ? p->valuestring : "(the end)", q ? q->valuestring : "(the end)");
}

static bool traces_equal(const cJSON *x, const cJSON *y)
{
    return cJSON_Compare(cJSON_GetObjectItem(x, "trace"), cJSON_GetObjectItem(y, "trace"), true);
}

static void edits_compare(const struct report *a, const struct report *b, uint32_t *same,
                          uint32_t *different, uint32_t *missing)
{
    const cJSON *x;
    cJSON_ArrayForEach(x, a->edits)
    {
        const cJSON *y = find(b->edits, "name", word(x, "name"), NULL, NULL);
        if (!y) {
            ++*missing;
        } else if (strcmp(word(x, "digest"), word(y, "digest")) == 0 && traces_equal(x, y)) {
            ++*same;
        } else {
            ++*different;
            trace_compare(word(x, "name"), x, y);
        }
    }
}

bool selftest_compare(const char *const *paths)
{
    struct report a = {0}, b = {0};
    uint32_t same = 0, different = 0, missing = 0, unknown = 0, ignored = 0;
    bool ok = report_open(&a, paths[0]) && report_open(&b, paths[1]);
    if (ok) {
        printf("A: %s | %s | %s\nB: %s | %s | %s\n", a.device, a.driver, a.build, b.device,
               b.driver, b.build);
        cases_compare(&a, &b, &same, &different, &missing);
        edits_compare(&a, &b, &same, &different, &missing);
        cases_compare(&b, &a, &ignored, &ignored, &unknown);
    }
    cJSON_Delete(a.root);
    cJSON_Delete(b.root);
    if (!ok) return false;
    missing += unknown;
    if (different || missing)
        return fail(STATUS_FAILED, "%s and %s: strict numbers differ in %u of %u; %u only in one",
                    paths[0], paths[1], different, same + different, missing);
    printf("equal: the strict numbers of %u cases and edits, to the last bit\n", same);
    return true;
}
