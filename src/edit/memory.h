// Key memory: C that also knows the keys of earlier edits. With lambda C + weight sum_i k_i k_i^T in
// place of lambda C (O-Edit Eq. 6, Eq. 23), an update is kept small on the keys k_i, as MEMIT keeps it
// small on those of the text. For any solver with C, and any guard. AlphaEdit's earlier keys are the
// same, with l2 I in place of lambda C.
#pragma once
#include "edit/editor.h"

struct journal_edit;

// Room for a key, if keys are to be remembered; fails with STATUS_USAGE where there is no C.
bool memory_start(struct editor *editor);
void memory_stop(struct editor *editor);

// Behind an edit that changed the site: its key k*, which also goes into the edit's notes.
bool memory_keep(struct editor *editor, struct edit *edit);

// The same of a recorded edit. Fails with STATUS_BAD_DATA if its notes are no key.
bool memory_replay(struct editor *editor, const struct journal_edit *record);
