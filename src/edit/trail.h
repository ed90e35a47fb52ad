// What a run of edits did to one layer, as pairs dW_j = mask_j o (u_j w_j^T) on the host, with the
// keys k_j that they were made for: from a running editor or from a journal. For measures.
#pragma once
#include "edit/sequence.h"
#include "io/journal.h"

struct trail { // edits that count, in their order; matrices by rows
    uint32_t dim, ffn, count;
    size_t u_capacity, w_capacity, k_capacity, number_capacity;
    float *u, *w;      // [count, dim], [count, ffn]
    float *k;          // [count, ffn]; NULL: not known
    uint32_t *numbers; // [count]
    struct mask mask;
};

// Behind an edit, as edit_done is called; one without effect, or of several pairs, adds nothing.
// The key is the one whose value the update is to change: W k_right becomes v* (METHOD 1.2).
bool trail_add(struct trail *trail, const struct editor *editor, const struct edit *edit);

// The pairs of a journal's layer, without keys. Fails with STATUS_USAGE on edits that are not of
// one.
bool trail_read(struct trail *trail, const struct journal *journal, uint32_t layer);

// Its keys again, from the journal's requests and contexts and the unedited model, which edits of
// one layer do not change below it.
bool trail_keys(struct trail *trail, const struct model *model, const struct tokenizer *tokenizer,
                const struct journal *journal, uint32_t layer);

// total: [dim, ffn], new: the sum of all dW_j.  one: [dim, ffn], the caller's: dW_j alone.
bool trail_total(const struct trail *trail, struct device *dev, struct buffer **total);
bool trail_one(const struct trail *trail, struct device *dev, uint32_t j, struct buffer *one);

void trail_free(struct trail *trail); // accepts zero
