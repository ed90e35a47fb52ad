// `oedit experiment`: a file that lists runs of edits, what is measured of them and drawn
// (docs/experiments.md).
#pragma once
#include <cjson/cJSON.h>

#include "cli/answers.h"
#include "cli/chosen.h"
#include "cli/measured.h"
#include "edit/hparams.h"
#include "edit/sequence.h"
#include "eval/task.h"

// One run as the file has it. Texts are the file's.
struct experiment_run {
    const char *name; // of its files: letters, digits, + - _ .
    const char *label;
    const char *group; // of charts; NULL: none
    const char *match; // the run whose |dW_total| a knob is to give; NULL: none
    const cJSON *item; // also holds the run's options
};

struct experiment {
    char name[64];
    char *where; // for messages
    char *text;
    cJSON *root;
    const char *title, *data;
    uint32_t count;
    struct experiment_run *runs; // [run_count]
    uint32_t run_count;
};

// An embedded experiment of that name, or a file. Everything but the runs' options is looked at.
bool experiment_open(struct experiment *x, const char *name);
void experiment_free(struct experiment *x); // accepts zero
bool experiment_list(const char *name, bool json); // NULL: all that are embedded

// The command line of `oedit edit` that the run stands for: `args`, then the file's settings, the
// run's own options, --set. data: the requests. pool: texts that it borrows, to be freed by
// cJSON_Delete.
bool experiment_args(const struct experiment *x, const struct experiment_run *run,
                     const struct args *args, const char *data, cJSON *pool, struct args *now);

// A run with one seed.
struct job {
    const struct experiment_run *run;
    struct args args;
    char id[96];     // NAME.seedS
    char match[96];  // the other's id; empty: none
    cJSON *settings; // of the manifest: everything but what is only known of an open editor
};

struct experiment_task {
    struct task_items items;
    char *path;
};

// All that runs share.
struct experiment_work {
    const struct args *args;
    struct opened *opened;
    struct experiment file;
    struct dataset data;
    char *data_path;
    struct measured measured;
    uint32_t *checkpoints, checkpoint_count; // ascending; the last is the count of requests
    struct exam exam;
    struct marks marks; // reused
    cJSON *pool;
    struct job *jobs;
    uint32_t job_count;
    struct experiment_task tasks[TASK_FORMS];
    uint32_t task_count;
    struct answers answers; // with --answers
    struct shelf shelf; // k* and what else lies below the edited layer
    bool keys; // charts want each edit's key
    // Or NULL: told of each edit that was made now, with its line, while the model has the edits.
    bool (*watch)(void *user, const struct job *job, uint32_t edits, const cJSON *line);
    void *user;
    struct { // contexts of the first run that had such: the others take them over
        char **texts;
        uint32_t count, wanted, shorter, longer;
        uint64_t seed;
    } contexts;
};

// An experiment by name or file, in parts: device, model, requests and jobs are there after the
// first; the second makes what runs, tables and charts are missing in the folder.
bool experiment_start(struct experiment_work *w, struct opened *o, const struct args *args,
                      const char *name);
bool experiment_runs(struct experiment_work *w);
void experiment_end(struct experiment_work *w); // accepts zero; the model stays open

// Tables, charts and perhaps the report of what the folder has. Needs no device.
bool experiment_after(const struct experiment *x, const struct args *args, const cJSON *manifest);

// `oedit experiment` whose --device names several: a process for each (docs/cluster.md).
bool experiment_devices(const struct args *args, const struct chosen *devices);

// Fills jobs; of those without an open model (w->opened NULL) only what their names are; refuses an
// option or guard that is none, naming file and run.
bool experiment_plan(struct experiment_work *w);

// The folder's manifest.json, which later calls may add runs to. *manifest: as it is now.
bool manifest_write(struct experiment_work *w, cJSON **manifest);

// The file's "tasks", from the folder of the requests, and their shares of right answers now.
bool tasks_open(struct experiment_work *w);
void tasks_close(struct experiment_work *w); // accepts zero
bool tasks_measure(struct experiment_work *w, cJSON *state);

// As it lies in the folder; fails if there is none.
bool manifest_read(const struct args *args, cJSON **manifest);

// Contexts are sampled from the unedited model by seed and lengths: runs that agree there share
// them.
bool contexts_share(struct experiment_work *w, struct hparams *hparams, uint64_t seed);
bool contexts_keep(struct experiment_work *w, const struct editor *editor, uint64_t seed);

// The knob of a job with `match`: of whole runs, each of which is a line of ID.match.jsonl once it
// is done, so that a search that was killed goes on behind the last. Sets job->args.knob.
bool experiment_match(struct experiment_work *w, struct job *job);

// Runs one job, or what is missing of it.
bool experiment_job(struct experiment_work *w, struct job *job);

// A path in the output folder, to be freed.
char *experiment_path(const struct args *args, const char *name, const char *ending);

// What a finished run left behind, read again from its files. Texts are the manifest's.
struct outcome {
    const char *id, *name, *label, *group; // group: NULL or of charts
    const cJSON *settings;
    cJSON *lines;         // of its JSONL: the settings, and then one an edit
    const cJSON **states; // at the checkpoints, in the lines [state_count]
    uint32_t state_count;
};
struct outcomes {
    const cJSON *manifest;
    struct outcome *items; // by runs and seeds; those of unfinished runs are left out
    struct outcome *partial; // those, with as many edits as they have [unfinished]
    uint32_t count, unfinished, edits;
    cJSON *unedited; // states of the model before any edit
};
bool outcomes_read(struct outcomes *outcomes, const struct args *args, const cJSON *manifest);
void outcomes_free(struct outcomes *outcomes);

// The outcomes of one run, whatever the seed: how many from `first` on have its name.
uint32_t outcomes_seeds(const struct outcomes *outcomes, uint32_t first);

// Mean and standard deviation of the finite values; *seen: how many there are.
void spread_of(const double *values, uint32_t count, double *mean, double *deviation,
               uint32_t *seen);

// A measure of an object, NAN if it is null or not there.
double measure_of(const cJSON *object, const char *name);

// A measure of several outcomes' state number `state`: mean and deviation over seeds. Returns how
// many have it.
uint32_t outcomes_mean(const struct outcome *items, uint32_t count, uint32_t state,
                       const char *measure, double *mean, double *deviation);

// The same of the means over a run's edits: of a value of each, or of one of its object's.
void outcomes_over_edits(const struct outcome *items, uint32_t count, const char *object,
                         const char *name, double *mean, double *deviation, uint32_t *seen);

// Names of what was measured, the average among them, as tables and charts have them.
enum { COLUMNS_MAX = 16 };
struct column {
    const char *name, *title;
    bool share; // in [0, 1]
    bool task;  // of the model, whatever was edited
};
uint32_t outcomes_columns(const struct outcomes *outcomes, struct column columns[COLUMNS_MAX]);

// Whether the edits of a solver's runs are one pair u w^T each, made of a key k*, and written
// whole: activation and cosines are of such only.
bool run_has_keys(const char *solver);
bool outcome_has_keys(const struct outcome *outcome);

// Of a run's pairs dW_i = u_i w_i^T and keys k_i, in double precision. Each: [edits]
struct activation {
    double *own, *unrelated; // |dW_j k_j|, |(dW_total - dW_j) k_j| (O-Edit sec. 5.3, App. C.7)
    uint32_t edits;
};
bool activation_of(const struct args *args, const struct outcome *outcome,
                   struct activation *activation);
void activation_free(struct activation *activation); // accepts zero

// |cos| of the first `edits` updates' u, by twos; NAN on the diagonal. cells: [edits, edits]
bool cosines_of(const struct args *args, const struct outcome *outcome, uint32_t edits,
                double *cells);

// |W - W_0|_2 of the edited layers, the largest: base is what dense_read has read.
struct dense {
    float **base; // [layers]; NULL: not edited
    uint32_t layers;
};
bool dense_read(struct dense *dense, const struct model *model);
bool dense_norm(const struct dense *dense, const struct model *model, double *norm);
void dense_free(struct dense *dense); // accepts zero

bool tables_write(const struct outcomes *outcomes, const struct args *args);
// Refuses a chart that is none. *keys: one of them wants each edit's key. where: for messages.
bool charts_check(const cJSON *charts, const char *where, bool *keys);

// Makes the charts that the list asks for and hands them over, each with its name of small letters.
struct chart;
struct chart_taker {
    bool (*take)(void *user, const struct chart *chart, const char *name);
    void *user;
    bool bare; // titles without the model's name
};
bool charts_each(const struct outcomes *outcomes, const cJSON *charts, const struct args *args,
                 const struct chart_taker *taker);
bool charts_write(const struct outcomes *outcomes, const struct experiment *x,
                  const struct args *args); // as pictures in the folder
