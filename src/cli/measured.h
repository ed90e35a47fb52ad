// What is measured, as the command line says it.
#pragma once
#include "cli/args.h"
#include "cli/opened.h"
#include "edit/editor.h"
#include "eval/history.h"

// Measures with the text for perplexity.
struct measured {
    struct measures measures;
    struct token_list text;
};

// --measures, or Rel, Gen and Loc. A text (or NULL) is for perplexity, its first `tokens` tokens
// (0: all); with one it is measured, without one it may not be asked for.
bool measured_open(struct measured *measured, const struct args *args,
                   const struct tokenizer *tokenizer, const char *text, uint32_t tokens);
void measured_free(struct measured *measured); // accepts zero

// The measuring of a run of edits: --checkpoints or --measures of `oedit edit`.
struct edit_measure {
    struct measured measured;
    struct history history;
    const struct request *requests;
    bool on;
};

// Before the first edit. done: edits that a journal has already, which are not measured again.
bool edit_measure_start(struct edit_measure *m, const struct args *args, const struct opened *o,
                        const struct dataset *data, uint32_t done);
// After each edit. *state: what a checkpoint here measured, of the weights as they would be
// written, to be freed; else NULL.
bool edit_measure_step(struct edit_measure *m, struct editor *editor, uint32_t edits,
                       cJSON **state);
void edit_measure_free(struct edit_measure *m); // accepts zero

// `oedit eval --journal`: the states that the journal's edits make of the original model.
bool eval_journal(struct opened *o, const struct args *args);
