// A sequence of edits on one model, one after the other.
#pragma once
#include "edit/corpus.h"
#include "edit/editor.h"

struct sequence_options {
    const char *solver, *guard;
    struct hparams hparams; // taken over
    const char *text;       // for C and grad G; NULL: the model's own samples
    const uint32_t *ids;    // or tokens of it, ready-made; copied
    uint32_t tokens;        // of it; 0: as the hyper-parameters say
    const struct corpus *grad; // for grad G alone, unless hparams.grad_source is GRAD_TEXT
    bool unkept;            // the statistics do not come from the cache and are not kept there
    uint64_t seed;
    bool strict;            // the device's numbers are (vk/strict.h); for the journal
};

// Makes everything that edits share: contexts, C and its factor, the guard's state.
bool editor_open(struct editor *editor, struct model *model, struct weights *weights,
                 const struct tokenizer *tokenizer, struct sequence_options *options);
void editor_close(struct editor *editor);

// The weighted mean of the keys that edit->prepared holds for edit->prompts (O-Edit Eq. 4).
// y: [ffn]. Runs and waits.
bool key_make(const struct model *model, const struct edit *edit, enum key_mean mean, fbuf y);

// What the caller is told of each finished edit.
typedef bool (*edit_done)(void *user, const struct editor *editor, const struct edit *edit);

// Edits the model by each request in turn (O-Edit Algorithms 1 and 2).
bool sequence_run(struct editor *editor, const struct request *requests, uint32_t count,
                  edit_done done, void *user);
