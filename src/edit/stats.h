// What a layer's matrix sees in text: C = E[k k^T] and grad G.
#pragma once
#include "edit/corpus.h"
#include "edit/hparams.h"
#include "model/backward.h"

enum { STATS_ROWS = 512 }; // tokens that run together, but for a longer block

// C, the uncentred second moment of the keys of `layer`: mean over all tokens of k k^T (O-Edit
// Eq. 3, App. C.2). c: [ffn, ffn], the lower triangle. Taken from the cache if it is there.
bool stats_moment(struct model *model, struct weights *weights, const struct corpus *corpus,
                  uint32_t layer, struct buffer **c);

// grad G, the gradient of the summed next-token loss with respect to the down projection of
// `layer` (O-Edit Sec. 3.2.2). g: [dim, ffn]. *loss: the mean loss.
bool stats_gradient(struct model *model, const struct corpus *corpus, uint32_t layer,
                    struct buffer **g, double *loss);

// Its left singular vectors, row i the i-th, and singular values, descending; from the cache if
// they are there. count: how many are wanted; fewer than dim are found by random probes
// (linalg/range.h), which says how well; what comes after them is zero.
// rows: [dim, dim]  values: [dim]
bool stats_directions(struct model *model, struct weights *weights, const struct corpus *corpus,
                      uint32_t layer, uint32_t count, struct buffer **rows, float *values);
// What to ask for: q_max where probes are told or pay, dim otherwise.
bool stats_count(const struct model *model, const struct hparams *hparams, uint32_t *count);

// C's eigenvectors, row i the i-th, and eigenvalues, descending; from the cache if they are there.
// c: C [ffn, ffn], whose upper triangle is filled in  rows: [ffn, ffn]  values: [ffn]
bool stats_spectrum(struct model *model, struct weights *weights, const struct corpus *corpus,
                    uint32_t layer, struct buffer *c, struct buffer **rows, float *values);
