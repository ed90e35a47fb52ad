#include "check/digests.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/status.h"
#include "check/trial.h"
#include "digests.inc" // made by CMake from assets/digests.tsv

static bool line_read(struct digests *d, char *line, const char *path, uint32_t number)
{
    char *name = strchr(line, '\t'), *value = name ? strchr(name + 1, '\t') : NULL, *end = NULL;
    if (!value)
        return fail(STATUS_BAD_DATA, "%s: line %u: wanted operator, case and digest between tabs",
                    path, number);
    *name++ = *value++ = '\0';
    uint64_t digest = strtoull(value, &end, 16);
    if (strlen(value) != 16 || *end)
        return fail(STATUS_BAD_DATA, "%s: line %u: got '%s', wanted 16 hexadecimal digits", path,
                    number, value);
    if (!mem_grow(&d->rows, &d->capacity, d->count + 1, sizeof *d->rows, "digests")) return false;
    d->rows[d->count++] = (struct digest){.op = line, .name = name, .value = digest};
    return true;
}

bool digests_open(struct digests *d, const char *path)
{
    size_t size;
    *d = (struct digests){0};
    bool ok = true;
    if (path)
        ok = file_read(path, &d->text, &size);
    else
        ok = (d->text = mem_text((const char *)digests_text, strlen((const char *)digests_text),
                                 "digests")) != NULL;
    uint32_t number = 0;
    for (char *line = ok ? d->text : NULL; ok && line && *line;) {
        char *next = strchr(line, '\n');
        if (next) *next++ = '\0';
        number++;
        if (*line && *line != '#') ok = line_read(d, line, path ? path : "digests.tsv", number);
        line = next;
    }
    if (!ok) digests_free(d);
    return ok;
}

void digests_free(struct digests *d)
{
    free(d->rows);
    free(d->text);
    *d = (struct digests){0};
}

const struct digest *digests_find(const struct digests *d, const char *op, const char *name)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->rows[i].op, op) == 0 && strcmp(d->rows[i].name, name) == 0)
            return &d->rows[i];
    return NULL;
}

bool digests_write(FILE *to)
{
    fputs("# Made by oedit selftest --write-digests: XXH3 of what each case's outputs are in "
          "strict\n# numbers, from the operators in C (src/check/twin.h); edits: of W, from a "
          "device that\n# has these.\n", to);
    bool ok = true;
    for (uint32_t i = 0; ok && i < case_count(); i++) {
        struct made made = {0};
        struct outputs outputs = {0};
        char name[CASE_NAME];
        bool known = false;
        case_name(i, name);
        ok = case_make(i, NULL, &made) && trial_float(&made, &outputs, &known);
        if (ok && known)
            fprintf(to, "%s\t%s\t%016llx\n", op_names[case_op(i)], name,
                    (unsigned long long)trial_digest(&made, &outputs));
        outputs_free(&outputs);
        made_free(&made);
    }
    return ok;
}
