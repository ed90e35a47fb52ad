// From an editor and its edits to what a journal keeps of them, and back.
#pragma once
#include "edit/editor.h"
#include "edit/sequence.h"
#include "io/journal.h"

// What is known of a run before its statistics are made: model, solver, guard, hyper-parameters.
bool record_plan(struct journal_header *header, struct weights *weights,
                 const struct sequence_options *options);

// All settings of an open editor.
bool record_header(struct journal_header *header, struct weights *weights,
                   const struct editor *editor, uint64_t seed);

// Where the numbers of a recorded edit lie on the host; grows.
struct record_room {
    float *data;
    size_t capacity;
};

// A finished edit; its pairs, or its dW, and its notes are read into room. Its request is borrowed,
// its looks are new: to be freed by record_edit_free.
bool record_edit(struct journal_edit *record, const struct editor *editor, const struct edit *edit,
                 struct record_room *room);
void record_edit_free(struct journal_edit *record);

// Brings a fresh editor to where it was behind the journal's last edit: weights and guard's state
// by the same operations in the same order. The first edit_count requests of its next sequence
// must be the journal's and are not edited again.
bool record_replay(struct editor *editor, const struct journal *journal);
