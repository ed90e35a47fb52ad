// Hyper-parameters of an edit: from assets/hparams, a file of the user's, the command line.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "io/weights.h"

enum cosine_mode { COSINE_SQUARE, COSINE_ABS, COSINE_SIGNED }; // METHOD: only the square is basis-free
enum projector { PROJECTOR_PAPER, PROJECTOR_EXACT };           // Eq. 28 as printed, or Eq. 15

// What is left out of O-Edit and O-Edit+ (Table 5): grad G, so that only dW_total counts; the
// earlier edits, so that only grad G does; Eq. 26, so that G is not freed of V.
enum ablation { ABLATE_NONE, ABLATE_GRAD, ABLATE_EDITS, ABLATE_EQ26, ABLATIONS };
extern const char *const ablation_names[ABLATIONS];

// What grad G is made from (Table 4): the text of C, or statements and noise (edit/sources.h).
enum grad_source { GRAD_TEXT, GRAD_LOCALITY, GRAD_KNOWLEDGE, GRAD_ASCII, GRAD_SOURCES };
extern const char *const grad_source_names[GRAD_SOURCES];

enum optimizer { OPTIMIZER_ADAM, OPTIMIZER_GAUSS_NEWTON, OPTIMIZERS }; // of the value
extern const char *const optimizer_names[OPTIMIZERS];

enum { LAYERS_MAX = 64 };

struct hparams {
    char model[64]; // whose they are
    uint32_t layer;
    uint32_t layers[LAYERS_MAX], layer_count; // to choose from at each edit, ascending; 0: `layer`
    double lambda;                    // weight of C (Eq. 6, App. C.2)
    enum optimizer optimizer;
    double rate, stop, kl, decay, clamp; // of the value's optimisation (Eq. 5)
    uint32_t steps;
    double lambda1, lambda2, lambda3; // Eq. 13; q = lambda3 * T
    uint32_t q_max;
    enum cosine_mode cosine;
    enum projector projector;
    enum ablation ablate;
    enum grad_source grad_source;
    double knob; // of a control (edit/controls.h); 0: not given
    double ridge; // times mean(diag C)
    double key_memory; // weight of earlier keys beside lambda C (edit/memory.h)
    double null_threshold, l2; // AlphaEdit: eigenvalues of C that count as none; weight of |dW|^2
    double limit; // ft-l: |dW_ij| at most
    uint32_t contexts, context_short, context_long; // prefixes and their tokens
    uint32_t block, stats_tokens, grad_tokens;
    char **context_texts; // fixed prefixes instead of sampled ones [context_text_count]
    uint32_t context_text_count;
};

// The embedded file that matches the model's shape, or defaults; `path` (or NULL) goes on top.
// `solver`: "memit" or "rome", whose own section comes last.
bool hparams_open(struct hparams *hparams, const struct config *config, const char *solver,
                  const char *path);

// All of them by name, in one order: numbers and words. Stops when one returns false.
bool hparams_each(const struct hparams *hparams,
                  bool (*number)(void *user, const char *name, double value),
                  bool (*word)(void *user, const char *name, const char *value), void *user);
void hparams_free(struct hparams *hparams);
