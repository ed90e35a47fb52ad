// The measures of METHOD 3, asked of a live model as often as wanted, and what they gave.
#pragma once
#include "eval/eval.h"

// Each but perplexity is a share of right answers, request by request, in [0, 1].
enum measure {
    MEASURE_REL,         // every target token on top behind the prompt (O-Edit Eq. 16)
    MEASURE_GEN,         // behind the rephrased prompts, averaged
    MEASURE_LOC,         // the unedited model's top tokens still on top
    MEASURE_SUCCESS,     // P(new) > P(true) behind the prompt (ROME's efficacy)
    MEASURE_GEN_SUCCESS, // behind the rephrased prompts
    MEASURE_FREE,        // the greedy answer begins with the target
    MEASURE_GEN_FREE,    // behind the rephrased prompts
    MEASURE_EACH,        // so many are request by request
    MEASURE_PPL = MEASURE_EACH,
    MEASURES
};

extern const char *const measure_names[MEASURES];  // on the command line and in JSON
extern const char *const measure_titles[MEASURES]; // of columns

enum { MEASURES_DEFAULT = 1 << MEASURE_REL | 1 << MEASURE_GEN | 1 << MEASURE_LOC };

// "rel,gen,loc", or "all" (but perplexity): bits of measures. Fails with STATUS_USAGE on a word.
bool measures_parse(const char *list, unsigned *which);

// What is asked, and what it takes.
struct measures {
    unsigned which;                    // bit m: measure m
    const struct tokenizer *tokenizer; // for MEASURE_FREE and MEASURE_GEN_FREE
    const uint32_t *text;              // for MEASURE_PPL [text_count]
    uint32_t text_count;
};

// What one state of the model scored.
struct marks {
    uint32_t edits;               // that the model had
    uint32_t first, count;        // requests asked
    uint32_t requests;            // in all
    double *scores[MEASURE_EACH]; // [requests], NAN: not asked, or there is nothing to ask
    double perplexity;            // NAN: not asked
};

bool marks_new(struct marks *marks, uint32_t requests);
void marks_free(struct marks *marks); // accepts zero

// The unedited model's answers for MEASURE_LOC: once, before the first edit.
bool measures_unedited(const struct measures *measures, struct exam *exam,
                       const struct model *model);

// Asks the requests [first, first + count) and fills their scores; computes only what is asked for.
bool measures_take(const struct measures *measures, struct exam *exam, const struct model *model,
                   uint32_t first, uint32_t count, struct marks *marks);

// Mean over the requests [first, end) that have a score; NAN if none has.
double marks_mean(const struct marks *marks, enum measure measure, uint32_t first, uint32_t end);

// The mean of Rel, Gen and Loc (the paper's Avg.); NAN if one is.
double marks_average(const struct marks *marks, uint32_t first, uint32_t end);
