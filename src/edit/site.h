// One edited layer: its matrix, the statistics of its keys, and what guards keep of its edits.
#pragma once
#include "edit/corpus.h"
#include "edit/hparams.h"
#include "edit/pairs.h"
#include "linalg/project.h"
#include "linalg/solve.h"

struct site {
    uint32_t layer;
    struct buffer *matrix; // W [dim, ffn] f32, the model's
    uint32_t edits;        // that are in it
    struct buffer *moment; // C [ffn, ffn]
    struct factor factor;
    double condition; // of C + shift I, estimated
    // AlphaEdit: eigenvectors of C with eigenvalues from null_threshold on, as rows; l2 I, which the
    // factor is of.
    struct buffer *large, *unit, *parts; // [ffn, ffn], [ffn, ffn], [ffn]
    uint32_t large_count;
    // Guards: V, and grad G's left singular vectors as rows, with those in use after Eq. 26.
    struct basis basis, joint; // V; V and G together (the exact projector)
    uint32_t joint_rows;       // of G in joint
    uint32_t freed_rows, freed_against; // rows of G in implicit_, and of V they are freed of
    struct buffer *directions; // [dim, dim]
    uint32_t direction_count;  // with singular values above rounding
    struct buffer *implicit_, *coefficients, *norms_v, *norms_g;
    uint32_t draws;             // of a control's random directions
    struct pairs pairs;         // for a guard with a finish
    struct buffer *unfinished;  // W, while the matrix is finished (edit/finish.h)
};

// C of the site's layer from `all`, factored once: that it can be solved with is known before the
// first edit. The directions of grad G from `part`. Neither where the text is NULL.
// null_space: what is factored is not C but l2 I, and C's large eigenvectors are found (AlphaEdit).
bool site_measure(struct site *site, struct model *model, struct weights *weights,
                  const struct hparams *hparams, bool null_space, const struct corpus *all,
                  const struct corpus *part);
void site_free(struct site *site, struct device *dev); // but what a guard has there
