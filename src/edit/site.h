// One edited layer: its matrix, the statistics of its keys, and what guards keep of its edits.
#pragma once
#include "edit/corpus.h"
#include "edit/hparams.h"
#include "edit/null_space.h"
#include "edit/pairs.h"
#include "linalg/thin.h"

struct site {
    uint32_t layer;
    struct buffer *matrix; // W [dim, ffn] f32, the model's
    uint32_t edits;        // that are in it
    bool measured;         // C was, and had these bits
    uint64_t moment_bits;
    struct buffer *moment; // C [ffn, ffn]; AlphaEdit does without, once it has its null space
    struct factor factor;
    double condition; // of C + shift I, estimated
    struct null_space null_space; // AlphaEdit: of C
    struct thin earlier;          // and l2 I + sum P k (P k)^T over the earlier keys
    // Guards: V, and grad G's left singular vectors as rows, with those in use after Eq. 26.
    struct basis basis, joint; // V; V and G together (the exact projector)
    uint32_t joint_rows;       // of G in joint
    uint32_t freed_rows, freed_against; // rows of G in implicit_, and of V they are freed of
    struct buffer *directions; // [dim, dim]
    uint32_t direction_count;  // with singular values above rounding
    struct buffer *implicit_, *coefficients, *norms_v, *norms_g;
    uint32_t draws;             // of a control's random directions
    struct buffer *principal;   // SPHERE's U as rows [principal_count, ffn]
    uint32_t principal_count;
    struct pairs pairs;         // for a guard with a finish
    struct buffer *unfinished;  // W, while the matrix is finished (edit/finish.h)
};

// C of the site's layer from `all`, factored once: that it can be solved with is known before the
// first edit. The directions of grad G from `part`. Neither where the text is NULL.
// null_space: C is not factored and not kept, but its null space is found (AlphaEdit).
bool site_measure(struct site *site, struct model *model, struct weights *weights,
                  const struct hparams *hparams, bool null_space, const struct corpus *all,
                  const struct corpus *part);
void site_free(struct site *site, struct device *dev); // but what a guard has there
