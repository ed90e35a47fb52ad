#include "edit/mask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/status.h"
#include "io/journal.h"

struct mask mask_of(uint64_t seed, double share)
{
    return (struct mask){.seed = (uint32_t)(random_next(&seed) >> 32),
                         .zeros = (uint32_t)(share * 0x1p32)};
}

static bool number_read(const char *text, double *value)
{
    char *end = NULL;
    if (!text || !*text) return false;
    *value = strtod(text, &end);
    return *end == '\0';
}

bool mask_read(const struct journal *j, struct mask *mask)
{
    const char *guard = journal_setting(&j->header, "guard");
    const char *seed = journal_setting(&j->header, "seed"), *knob;
    char *end = NULL;
    double share = 0;
    *mask = (struct mask){0};
    if (!guard || strcmp(guard, "zero") != 0) return true;
    knob = journal_setting(&j->header, "knob");
    if (!number_read(knob, &share) || !(share > 0 && share < 1))
        return fail(STATUS_BAD_DATA, "%s: 'knob' of guard zero is '%.40s', wanted a number over 0 "
                                     "and under 1", j->where, knob ? knob : "");
    errno = 0;
    uint64_t number = seed ? strtoull(seed, &end, 10) : 0;
    if (!seed || !*seed || *end || errno)
        return fail(STATUS_BAD_DATA, "%s: 'seed' is '%.40s', wanted a whole number", j->where,
                    seed ? seed : "");
    *mask = mask_of(number, share);
    return true;
}

bool mask_refuse(const struct journal *j, const char *command)
{
    struct mask mask;
    if (!mask_read(j, &mask)) return false;
    return mask.zeros == 0 ||
           fail(STATUS_USAGE, "%s: edits of guard zero are not of low rank (%s): apply them and "
                              "use the model", command, j->where);
}
