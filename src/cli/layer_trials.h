// Trial edits: single records written at one layer after another, measured, and taken back.
#pragma once
#include <cjson/cJSON.h>

#include "cli/located.h"
#include "cli/opened.h"

// Of one record at one layer: Rel, Gen, Loc (Eq. 16) and |dW|. NAN: not measured, or the record has
// nothing to ask.
enum trial_figure { TRIAL_REL, TRIAL_GEN, TRIAL_LOC, TRIAL_NORM, TRIAL_FIGURES };
extern const char *const trial_figure_names[TRIAL_FIGURES];

struct layer_trials {
    uint32_t layers, records, planned; // of the model; of each layer; layers that are to be tried
    const char *solver;
    double (*figures)[TRIAL_FIGURES]; // [layers, records]
    uint32_t *done;                   // edits that were made [layers]
};

// What the command line says of them, before anything is traced.
bool layer_trials_check(const struct args *args, const struct config *config);

// Edits with --solver and the hyper-parameters of the command line; C is each layer's own. The
// layers are those of --layers, or all but attention sinks, in `order` [layers]. One that cannot
// be edited is warned of and left without scores. The model is as it was behind it. After Ctrl-C it
// is false with STATUS_INTERRUPTED, and what was done by then holds.
bool layer_trials_run(struct layer_trials *trials, struct opened *o, const struct args *args,
                      const struct dataset *data, uint32_t records, const struct located *located,
                      const uint32_t *order);
void layer_trials_free(struct layer_trials *trials); // accepts zero

// Means over a layer's records that have one; NAN: none has.
double layer_trials_mean(const struct layer_trials *trials, uint32_t layer,
                         enum trial_figure figure);
// The mean of Rel, Gen and Loc, of those that were measured; NAN: the layer was not tried.
double layer_trials_score(const struct layer_trials *trials, uint32_t layer);

// The layer to edit. Without trials the first of `order`. With them the one with the best score;
// where others are less than TRIALS_NEAR behind, the first of all these in `order`. A sink that was
// tried is only taken if nothing else was.
#define TRIALS_NEAR 0.05
uint32_t layer_trials_best(const struct layer_trials *trials, const struct located *located,
                           const uint32_t *order);

// A table, layers in `order`; the same as JSON; and as a heat map.
void layer_trials_print(const struct layer_trials *trials, const uint32_t *order);
bool layer_trials_json(const struct layer_trials *trials, const struct dataset *data, cJSON *to);
bool layer_trials_chart(const struct layer_trials *trials, const char *path);
