// AlphaEdit's P: the projector onto the directions in which a text has next to no keys (AlphaEdit,
// sec. 3: eigenvectors of C = E[k k^T] with small eigenvalues).
#pragma once
#include "edit/corpus.h"
#include "edit/hparams.h"
#include "linalg/project.h"

// P is the sum of v v^T over the small eigenvalues, or I less that over the others: whichever are
// fewer are kept, at most half of ffn.
struct null_space {
    uint32_t ffn, count;  // dimensions of the space
    bool inside;          // the rows span it; else what is outside of it
    uint32_t row_count;
    struct buffer *rows;  // [row_count, ffn], orthonormal
    struct buffer *coefficients; // [row_count]
};

// Of the moment C [ffn, ffn] of `layer`, which is overwritten with its mirror image; its spectrum
// comes from the cache if it is there. Says how many dimensions are left. STATUS_USAGE if none are.
bool null_space_new(struct null_space *space, struct model *model, struct weights *weights,
                    const struct hparams *hparams, const struct corpus *corpus, uint32_t layer,
                    struct buffer *moment);
void null_space_free(struct null_space *space, struct device *dev); // accepts zero

// k <- P k.  k: [ffn]  Twice over: what is left of a key that the text knows well is small beside
// it. Recorded.
void null_space_project(struct cmd *cmd, const struct null_space *space, fbuf k);
