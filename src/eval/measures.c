#include "eval/measures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/status.h"

enum { BLOCK = 512 }; // of perplexity, in tokens

const char *const measure_names[MEASURES] = {"rel",         "gen",  "loc",      "success",
                                             "gen-success", "free", "gen-free", "ppl"};
const char *const measure_titles[MEASURES] = {"Rel",      "Gen",  "Loc",      "Success",
                                              "Gen.succ", "Free", "Gen.free", "PPL"};

static bool measure_unknown(const char *word, int size)
{
    const char *names[MEASURES + 1] = {[MEASURES] = "all"}, *nearest;
    char text[40];
    for (unsigned m = 0; m < MEASURES; m++) names[m] = measure_names[m];
    snprintf(text, sizeof text, "%.*s", size, word);
    nearest = options_nearest(text, names, MEASURES + 1);
    return fail(STATUS_USAGE, "--measures: got '%s', wanted of "
                              "rel,gen,loc,success,gen-success,free,gen-free,ppl,all%s%s%s", text,
                nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

bool measures_parse(const char *list, unsigned *which)
{
    *which = 0;
    for (const char *word = list; *word || word == list;) {
        size_t size = strcspn(word, ",");
        unsigned bits = size == 3 && strncmp(word, "all", 3) == 0 ? (1u << MEASURE_EACH) - 1 : 0;
        for (unsigned m = 0; m < MEASURES; m++)
            if (strlen(measure_names[m]) == size && strncmp(word, measure_names[m], size) == 0)
                bits = 1u << m;
        if (!bits) return measure_unknown(word, (int)size);
        *which |= bits;
        word += size;
        if (*word == ',' && *++word == '\0')
            return fail(STATUS_USAGE, "--measures: '%s' ends in a comma", list);
    }
    return true;
}

bool marks_new(struct marks *marks, uint32_t requests)
{
    *marks = (struct marks){.requests = requests, .perplexity = NAN};
    bool ok = true;
    for (int m = 0; ok && m < MEASURE_EACH; m++) {
        marks->scores[m] = mem_new(requests, sizeof *marks->scores[m], "scores");
        ok = marks->scores[m] != NULL;
        for (uint32_t i = 0; ok && i < requests; i++) marks->scores[m][i] = (double)NAN;
    }
    if (!ok) marks_free(marks);
    return ok;
}

void marks_free(struct marks *marks)
{
    for (int m = 0; m < MEASURE_EACH; m++) free(marks->scores[m]);
    *marks = (struct marks){0};
}

static bool wants(const struct measures *m, unsigned measures)
{
    return (m->which & measures) != 0;
}

#define BIT(measure) (1u << (measure))

bool measures_unedited(const struct measures *m, struct exam *exam, const struct model *model)
{
    struct exam_part part = {.kinds = BIT(ASK_LOC), .count = exam->requests};
    return !wants(m, BIT(MEASURE_LOC)) || exam_unedited(exam, model, part);
}

// Teacher-forced: argmax and likelihoods come from the same passes.
static bool ask(const struct measures *m, struct exam *exam, const struct model *model,
                uint32_t first, uint32_t count)
{
    const unsigned success = BIT(MEASURE_SUCCESS), gen_success = BIT(MEASURE_GEN_SUCCESS);
    struct exam_part tops = {.first = first, .count = count, .tops = true};
    struct exam_part both = {.first = first, .count = count, .tops = true, .likelihoods = true};
    *(wants(m, success) ? &both.kinds : &tops.kinds) |=
        wants(m, success | BIT(MEASURE_REL)) ? BIT(ASK_REL) : 0;
    *(wants(m, gen_success) ? &both.kinds : &tops.kinds) |=
        wants(m, gen_success | BIT(MEASURE_GEN)) ? BIT(ASK_GEN) : 0;
    tops.kinds |= wants(m, BIT(MEASURE_LOC)) ? BIT(ASK_LOC) : 0;
    both.kinds |= wants(m, success) ? BIT(ASK_TRUE) : 0;
    both.kinds |= wants(m, gen_success) ? BIT(ASK_GEN_TRUE) : 0;
    return exam_ask_part(exam, model, tops) && exam_ask_part(exam, model, both);
}

static double score(const struct exam *exam, enum measure measure, uint32_t i)
{
    switch (measure) {
    case MEASURE_REL: return exam_score(exam, ASK_REL, i, NULL);
    case MEASURE_GEN: return exam_score(exam, ASK_GEN, i, NULL);
    case MEASURE_LOC: return exam_score(exam, ASK_LOC, i, NULL);
    case MEASURE_SUCCESS: return exam_success(exam, ASK_REL, i);
    case MEASURE_GEN_SUCCESS: return exam_success(exam, ASK_GEN, i);
    case MEASURE_FREE: return exam_begins(exam, ASK_REL, i);
    case MEASURE_GEN_FREE: return exam_begins(exam, ASK_GEN, i);
    default: return (double)NAN;
    }
}

bool measures_take(const struct measures *m, struct exam *exam, const struct model *model,
                   uint32_t first, uint32_t count, struct marks *marks)
{
    struct exam_part part = {.first = first, .count = count};
    part.kinds = (wants(m, BIT(MEASURE_FREE)) ? BIT(ASK_REL) : 0) |
                 (wants(m, BIT(MEASURE_GEN_FREE)) ? BIT(ASK_GEN) : 0);
    bool ok = ask(m, exam, model, first, count) &&
              (!part.kinds || exam_continue(exam, model, m->tokenizer, part)) &&
              (!wants(m, BIT(MEASURE_PPL)) ||
               eval_perplexity(model, m->text, m->text_count, BLOCK, &marks->perplexity));
    for (unsigned each = 0; ok && each < MEASURE_EACH; each++)
        for (uint32_t i = first; wants(m, BIT(each)) && i < first + count; i++)
            marks->scores[each][i] = score(exam, (enum measure)each, i);
    return ok;
}

double marks_mean(const struct marks *marks, enum measure measure, uint32_t first, uint32_t end)
{
    double sum = 0;
    uint32_t seen = 0;
    for (uint32_t i = first; i < end; i++) {
        if (isnan(marks->scores[measure][i])) continue;
        sum += marks->scores[measure][i];
        seen++;
    }
    return seen ? sum / seen : (double)NAN;
}

double marks_average(const struct marks *marks, uint32_t first, uint32_t end)
{
    double sum = 0;
    for (int m = MEASURE_REL; m <= MEASURE_LOC; m++)
        sum += marks_mean(marks, (enum measure)m, first, end);
    return sum / 3;
}
