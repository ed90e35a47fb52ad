// Key memory: solvers with C also keep the keys of earlier edits where they are. In place of lambda C
// they solve with lambda C + weight sum_i k_i k_i^T, k_i the left k* (Eq. 4) of each earlier edit of
// the layer that changed something; MEMIT's K0 K0^T + K_p K_p^T. The site's C is changed in place.
// All do nothing where hparams.key_memory is 0.
#pragma once
#include "edit/editor.h"

struct journal_edit;

// STATUS_USAGE where lambda is 0.
bool key_memory_start(struct editor *editor);
// The edit's key, which also becomes its notes.
bool key_memory_commit(struct editor *editor, struct edit *edit);
// STATUS_BAD_DATA where the recorded edit has no key of the right size.
bool key_memory_replay(struct editor *editor, const struct journal_edit *record);
void key_memory_stop(struct editor *editor);
