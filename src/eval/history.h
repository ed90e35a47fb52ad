// What a sequence of edits did: measured right after each edit, and after some of them for all.
#pragma once
#include <cjson/cJSON.h>
#include <stdio.h>

#include "eval/measures.h"

// Request i is what edit i + 1 wrote.
struct history {
    struct measures measures;
    struct exam exam;
    uint32_t *checkpoints; // numbers of edits, ascending [checkpoint_count]
    uint32_t checkpoint_count;
    struct marks immediate; // request i right after edit i + 1
    struct marks *states;   // at the checkpoints reached, the last edit being one [state_count]
    uint32_t state_count;
};

// "0,50,100": numbers of edits, ascending, into *numbers [*count], to be freed. NULL: none. 0 is
// the unedited model, which is asked all requests. Fails with STATUS_USAGE.
bool checkpoints_parse(const char *list, uint32_t **numbers, uint32_t *count);

// checkpoints are taken over. The last edit is always one; none may be behind it.
bool history_new(struct history *history, const struct measures *measures,
                 const struct tokenizer *tokenizer, const struct request *requests, uint32_t count,
                 uint32_t *checkpoints, uint32_t checkpoint_count);
void history_free(struct history *history); // accepts zero

// The model is unedited: its answers are kept for Loc, and checkpoint 0 is measured.
bool history_start(struct history *history, const struct model *model);

// The model has had the edits of the first `edits` requests, the last of them just now: asks that
// one; and, at a checkpoint, all of them, of the model that would be written.
bool history_right_after(struct history *history, const struct model *model, uint32_t edits);
bool history_is_checkpoint(const struct history *history, uint32_t edits);
bool history_state(struct history *history, const struct model *model, uint32_t edits);

// All of this, where the model that is edited is the one that would be written. *state: what a
// checkpoint here measured, or NULL.
bool history_step(struct history *history, const struct model *model, uint32_t edits,
                  const struct marks **state);

// Requests by age: how many edits came behind theirs. Bins begin at 0, 1, 2, 5, 10, 20, 50, ...
struct age_bin {
    uint32_t from, to;   // ages [from, to)
    uint32_t first, end; // requests of that age
};
enum { AGE_BINS_MAX = 32 };
uint32_t marks_by_age(const struct marks *marks, struct age_bin bins[AGE_BINS_MAX]);

// One state as JSON: means, and by age; with requests also each one's scores.
cJSON *marks_json(const struct history *history, const struct marks *state,
                  const struct request *requests);
// All states, the immediate scores among them.
cJSON *history_json(const struct history *history, const struct request *requests);
// The same as a table for people.
void history_print(const struct history *history, FILE *to);
