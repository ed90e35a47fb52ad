// `oedit report`: one page of a folder that `oedit experiment` wrote, or of a journal
// (docs/report.md). A journal is shown as an experiment of one run.
#pragma once
#include <stdio.h>

#include "cli/experiment.h"
#include "io/journal.h"

// An edit's request as the page shows it. Texts are the sources'; NULL: not known.
struct report_request {
    const char *prompt, *subject, *target;
    const char *truth;  // the answer that the data call right before the edit
    const char *before; // the unedited model's own
};

struct report {
    struct args args; // out: the folder; "" for a journal
    const char *what; // as the user named it
    cJSON *manifest;
    struct outcomes outcomes;
    struct report_request *requests; // [request_count], of edit i + 1
    uint32_t request_count;
    cJSON *answers, *times; // of the unedited model; NULL: there are none. Lines of times.jsonl
    struct journal journal; // requests' texts may be its
};

// Fills a zeroed report. `run`: for a journal, the file of what `oedit edit --json` or
// `oedit eval --journal --json` printed of it, or NULL. Frees on failure, too.
bool report_folder(struct report *report, const char *folder);
bool report_journal(struct report *report, const char *journal, const char *run);
void report_free(struct report *report);

// Finished runs, then the others. NULL behind the last.
const struct outcome *report_run(const struct report *report, uint32_t i);
uint32_t report_done(const struct outcome *outcome); // edits that it has
double report_seed(const struct outcome *outcome);
const cJSON *report_settings(const struct outcome *outcome); // all that are known
// Mean seconds an edit of the run took; NAN: not known.
double report_seconds(const struct report *report, const struct outcome *outcome);

const char *report_text(const cJSON *object, const char *name); // "" if it has none

// The parts of the page.
void report_results(const struct report *report, FILE *to);
bool report_charts(const struct report *report, FILE *to);
void report_edits(const struct report *report, FILE *to);
void report_runs(const struct report *report, FILE *to);
void report_hparams(const struct report *report, FILE *to);

// Writes the page under `path`, whole or not at all.
bool report_write(const struct report *report, const char *path);

// FOLDER/report.html of an experiment's folder.
bool report_of_folder(const char *folder);
