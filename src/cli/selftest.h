// What the parts of `oedit selftest` share: one device's results.
#pragma once
#include <cjson/cJSON.h>

#include "check/digests.h"
#include "check/trial.h"
#include "cli/opened.h"

enum verdict { VERDICT_RIGHT, VERDICT_WRONG, VERDICT_NONE }; // none: nothing to judge by

struct tested_case {
    const char *op;
    char name[CASE_NAME];
    enum verdict fast, strict;
    struct trial_error error; // of fast numbers
    uint64_t digest, expected; // of strict ones
    char why[2 * TRIAL_TEXT]; // what is wrong
};

struct tested_edits { // some edits of the small model, one after the other
    const char *name;
    enum verdict fast, strict;
    double difference;         // |W fast - W strict| / |W strict - W before|
    uint64_t digest, expected; // of W after the edits in strict numbers
    char *trace;               // of vk/trace.h, in strict numbers
    uint32_t dispatches;
    double loss, dw; // of the last edit: the loss taken, |dW|
    char why[2 * TRIAL_TEXT];
};

enum { EDIT_RUNS = 2 };

struct selftest {
    const struct args *args;
    struct digests digests;
    struct device_info info;
    struct tested_case *cases; // [count]
    uint32_t count;
    struct tested_edits edits[EDIT_RUNS];
    float *fast[EDIT_RUNS]; // W after the edits in fast numbers
    double seconds;
    bool right; // all of it
};

extern const char *const verdict_words[3];

// The edits, on an open device of either precision: fast first, then strict, which judges.
bool selftest_edits(struct selftest *t, struct device *dev);
extern const char *const edit_run_names[EDIT_RUNS];

void selftest_table(const struct selftest *t, FILE *to);
cJSON *selftest_json(const struct selftest *t);

// Where two reports part, on stdout; fails with STATUS_FAILED if they do.
bool selftest_compare(const char *const *paths);
