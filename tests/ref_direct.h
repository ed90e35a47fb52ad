// Runs of the solvers that have no value on a tiny model, with a journal, and the same model in
// double precision beside them. All failures fail the test.
#pragma once
#include "edit/record.h"
#include "edit/sequence.h"
#include "ref_answer.h"
#include "ref_rig.h"

enum { DIRECT_EDITS = 3, DIRECT_DIM = 16, DIRECT_FFN = 24, DIRECT_LAYER = 1 };

struct direct {
    struct rig *rig;
    struct weights weights;
    struct tokenizer tokenizer;
    struct model model;
    struct editor editor;
    struct ref_model ref;
    struct dataset facts[DIRECT_EDITS];
    struct request requests[DIRECT_EDITS];
    struct prompts prompts[DIRECT_EDITS]; // as the editor makes them, without prefixes
    struct ref_prompt ref_prompts[DIRECT_EDITS];
    struct hparams hparams;
    struct journal_writer writer; // if its file is open, edits go there
    struct record_room room;
};

// Answers of one, two and three tokens.
void direct_open(struct direct *d, struct rig *rig);
void direct_close(struct direct *d);

// An editor with d->hparams; false where it is refused.
bool direct_editor(struct direct *d, const char *solver, const char *guard);
// The first `count` requests in turn. done: of each finished edit, or NULL.
void direct_run(struct direct *d, uint32_t count, edit_done done, void *user);

// Begins a journal of this name; direct_run adds to it; direct_end closes it.
void direct_journal(struct direct *d, const char *name);
void direct_end(struct direct *d);

// W of the edited layer, as it stands.
void direct_matrix(const struct direct *d, float w[DIRECT_DIM * DIRECT_FFN]);
