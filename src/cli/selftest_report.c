#include <stdlib.h>
#include <string.h>

#include "cli/selftest.h"
#include "base/json.h"
#include "revision.inc" // made by CMake: OEDIT_REVISION

enum { SHAPES = 40, FIGURE = 24 };

struct sum { // of one operator's cases
    const char *op;
    char shapes[SHAPES];
    uint32_t cases;
    double ulp, relative, part;
    uint64_t digest; // of the cases' digests; 0: it did not run
    enum verdict fast, strict;
};

// Wrong, then unknown, then right.
static enum verdict worse(enum verdict a, enum verdict b)
{
    if (a == VERDICT_WRONG || b == VERDICT_WRONG) return VERDICT_WRONG;
    return a == VERDICT_NONE || b == VERDICT_NONE ? VERDICT_NONE : VERDICT_RIGHT;
}

static void sum_add(struct sum *s, const struct tested_case *c)
{
    size_t used = strlen(s->shapes);
    if (used + strlen(c->name) + 8 < SHAPES)
        snprintf(s->shapes + used, SHAPES - used, "%s%s", used ? " " : "", c->name);
    else if (used && s->shapes[used - 1] != '.')
        snprintf(s->shapes + used, SHAPES - used, " ...");
    s->fast = s->cases ? worse(s->fast, c->fast) : c->fast;
    s->strict = s->cases ? worse(s->strict, c->strict) : c->strict;
    s->cases++;
    if (c->error.ulp > s->ulp) s->ulp = c->error.ulp;
    if (c->error.relative > s->relative) s->relative = c->error.relative;
    if (c->error.part > s->part) s->part = c->error.part;
    if (c->digest) s->digest = s->digest * 31 + c->digest;
}

static void figure(char text[FIGURE], double x, enum verdict known)
{
    if (known == VERDICT_NONE)
        snprintf(text, FIGURE, "-");
    else if (x == 0)
        snprintf(text, FIGURE, "0");
    else
        snprintf(text, FIGURE, x >= 0.01 && x < 1e5 ? "%.3g" : "%.1e", x);
}

static void sum_print(const struct sum *s, FILE *to)
{
    char ulp[FIGURE], relative[FIGURE], part[FIGURE], digest[FIGURE] = "-";
    figure(ulp, s->ulp, s->fast);
    figure(relative, s->relative, s->fast);
    figure(part, 100 * s->part, s->fast);
    if (s->digest) snprintf(digest, sizeof digest, "%016llx", (unsigned long long)s->digest);
    fprintf(to, "%-20s %5u  %-*s %8s %8s %8s  %-16s  %-4s  %s\n", s->op, s->cases, SHAPES - 1,
            s->shapes, ulp, relative, part, digest, verdict_words[s->fast],
            verdict_words[s->strict]);
}

static void edits_print(const struct selftest *t, FILE *to)
{
    for (uint32_t i = 0; i < EDIT_RUNS; i++) {
        const struct tested_edits *e = &t->edits[i];
        char relative[FIGURE], what[SHAPES];
        figure(relative, e->difference, e->fast);
        snprintf(what, sizeof what, "%s", e->name);
        fprintf(to, "%-20s %5u  %-*s %8s %8s %8s  %016llx  %-4s  %s\n", "edits", 1, SHAPES - 1,
                what, "", relative, "", (unsigned long long)e->digest, verdict_words[e->fast],
                verdict_words[e->strict]);
    }
}

// Cases in which fast or strict numbers are wrong, are right, or have nothing to be judged by.
static void count(const struct selftest *t, uint32_t fast[3], uint32_t strict[3])
{
    for (uint32_t i = 0; i < t->count; i++) {
        fast[t->cases[i].fast]++;
        strict[t->cases[i].strict]++;
    }
    for (uint32_t i = 0; i < EDIT_RUNS; i++) {
        fast[t->edits[i].fast]++;
        strict[t->edits[i].strict]++;
    }
}

void selftest_table(const struct selftest *t, FILE *to)
{
    fprintf(to, "%s | %s | Vulkan %s | oedit %s %s\n\n", t->info.name, t->info.driver,
            t->info.version, OEDIT_VERSION, OEDIT_REVISION);
    fprintf(to, "%-20s %5s  %-*s %8s %8s %8s  %-16s  %-4s  %s\n", "operator", "cases", SHAPES - 1,
            "shapes", "max ulp", "relative", "% bound", "strict digest", "fast", "strict");
    struct sum sum = {0};
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tested_case *c = &t->cases[i];
        if (sum.op && strcmp(sum.op, c->op) != 0) {
            sum_print(&sum, to);
            sum = (struct sum){0};
        }
        sum.op = c->op;
        sum_add(&sum, c);
    }
    sum_print(&sum, to);
    edits_print(t, to);
    fputc('\n', to);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->cases[i].why[0])
            fprintf(to, "FAIL %s %s: %s\n", t->cases[i].op, t->cases[i].name, t->cases[i].why);
    for (uint32_t i = 0; i < EDIT_RUNS; i++)
        if (t->edits[i].why[0])
            fprintf(to, "FAIL edits %s: %s\n", t->edits[i].name, t->edits[i].why);
    uint32_t fast[3] = {0}, strict[3] = {0};
    count(t, fast, strict);
    fprintf(to, "%s: %s, %u cases, %.0f s; fast: %u right, %u wrong; strict: %u right, %u wrong",
            t->info.name, t->right ? "pass" : "FAIL", t->count + EDIT_RUNS, t->seconds,
            fast[VERDICT_RIGHT], fast[VERDICT_WRONG], strict[VERDICT_RIGHT],
            strict[VERDICT_WRONG]);
    if (fast[VERDICT_NONE] || strict[VERDICT_NONE])
        fprintf(to, "; not judged: %u and %u", fast[VERDICT_NONE], strict[VERDICT_NONE]);
    fprintf(to, "\n");
    fflush(to);
}

// ---- JSON ----
static void hex_add(cJSON *to, const char *name, uint64_t digest)
{
    char text[17];
    if (!digest) return;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)digest);
    cJSON_AddStringToObject(to, name, text);
}

static void verdict_add(cJSON *to, const char *name, enum verdict verdict)
{
    if (verdict != VERDICT_NONE) cJSON_AddBoolToObject(to, name, verdict == VERDICT_RIGHT);
}

static cJSON *case_json(const struct tested_case *c)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "op", c->op);
    cJSON_AddStringToObject(o, "case", c->name);
    if (c->fast != VERDICT_NONE) {
        cJSON_AddNumberToObject(o, "ulp", c->error.ulp);
        cJSON_AddNumberToObject(o, "relative", c->error.relative);
        cJSON_AddNumberToObject(o, "of_bound", c->error.part);
    }
    verdict_add(o, "fast", c->fast);
    hex_add(o, "digest", c->digest);
    hex_add(o, "expected", c->expected);
    verdict_add(o, "strict", c->strict);
    if (c->why[0]) cJSON_AddStringToObject(o, "why", c->why);
    return o;
}

static cJSON *trace_json(const char *text)
{
    cJSON *lines = cJSON_CreateArray();
    char line[512];
    for (const char *at = text; at && *at;) {
        size_t length = strcspn(at, "\n");
        snprintf(line, sizeof line, "%.*s", (int)length, at);
        json_append(lines, cJSON_CreateString(line));
        at += length + (at[length] == '\n');
    }
    return lines;
}

static cJSON *edits_json(const struct tested_edits *e)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", e->name);
    cJSON_AddNumberToObject(o, "difference", e->difference);
    cJSON_AddNumberToObject(o, "loss", e->loss);
    cJSON_AddNumberToObject(o, "dw", e->dw);
    verdict_add(o, "fast", e->fast);
    hex_add(o, "digest", e->digest);
    hex_add(o, "expected", e->expected);
    verdict_add(o, "strict", e->strict);
    if (e->why[0]) cJSON_AddStringToObject(o, "why", e->why);
    json_member(o, "trace", trace_json(e->trace));
    return o;
}

cJSON *selftest_json(const struct selftest *t)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "device", t->info.name);
    cJSON_AddStringToObject(o, "driver", t->info.driver);
    cJSON_AddStringToObject(o, "type", t->info.type);
    cJSON_AddStringToObject(o, "vulkan", t->info.version);
    cJSON_AddNumberToObject(o, "subgroup", t->info.subgroup);
    cJSON_AddBoolToObject(o, "int64", t->info.int64);
    cJSON_AddBoolToObject(o, "matrix_units", t->info.matrix_units);
    cJSON_AddStringToObject(o, "version", OEDIT_VERSION);
    cJSON_AddStringToObject(o, "build", OEDIT_REVISION);
    cJSON_AddNumberToObject(o, "seconds", t->seconds);
    cJSON_AddBoolToObject(o, "right", t->right);
    cJSON *cases = cJSON_AddArrayToObject(o, "cases"), *edits = cJSON_AddArrayToObject(o, "edits");
    for (uint32_t i = 0; i < t->count; i++)
        json_append(cases, case_json(&t->cases[i]));
    for (uint32_t i = 0; i < EDIT_RUNS; i++)
        json_append(edits, edits_json(&t->edits[i]));
    return o;
}
