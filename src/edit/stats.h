// What a layer's matrix sees in text: C = E[k k^T] and grad G.
#pragma once
#include "edit/corpus.h"
#include "edit/hparams.h"
#include "edit/tree.h"
#include "model/backward.h"

enum { STATS_ROWS = 512 }; // tokens that run together, but for a longer block

// What statistics are of: names the cached file, with or without the model at hand.
struct origin {
    char model[33]; // weights_hash
    uint64_t text;  // corpus id
    uint32_t layer, tokens, dim, ffn;
    bool strict, unkept;
    char source[64]; // the corpus's, for messages
};

bool origin_of(struct origin *origin, const struct model *model, struct weights *weights,
               const struct corpus *corpus, uint32_t layer);

// Leaves [first, end) of the tree in which statistics are summed over batches of text.
struct leaves {
    uint32_t first, end;
};
#define LEAVES_ALL ((struct leaves){0, TREE_LEAVES})

// How many batches a text is cut into; predicting: as grad G takes them.
bool stats_batches(const struct corpus *corpus, bool predicting, uint32_t *count);

// C, the uncentred second moment of the keys of `layer`: mean over all tokens of k k^T (O-Edit
// Eq. 3, App. C.2). c: [ffn, ffn], the lower triangle. Taken from the cache if it is there.
bool stats_moment(struct model *model, struct weights *weights, const struct corpus *corpus,
                  uint32_t layer, struct buffer **c);
// Puts what the cache lacks of several layers, ascending, into it, as many as stats_together says
// in one pass over the text. An unkept corpus's is left to stats_moment.
bool stats_moments(struct model *model, struct weights *weights, const struct corpus *corpus,
                   const uint32_t *layers, uint32_t count);
// Of how many of `count` layers C is summed at once where `waiting` sums of each wait on the host
// (tree_waiting): they fill at most STATS_WAITING bytes there.
#define STATS_WAITING (4ull << 30)
uint32_t stats_together(uint32_t ffn, uint32_t waiting, uint32_t count);

// grad G, the gradient of the summed next-token loss with respect to the down projection of
// `layer` (O-Edit Sec. 3.2.2). g: [dim, ffn]. *loss: the mean loss.
bool stats_gradient(struct model *model, const struct corpus *corpus, uint32_t layer,
                    struct buffer **g, double *loss);

// The sums over some leaves, which make up the whole with the others': C's are [ffn, ffn], scaled
// by 1 / tokens of the whole text, the lower triangle; grad G's [dim, ffn]. *loss: of these leaves.
// layers: [count], ascending, in one pass  trees: [count], zero
bool stats_moment_sum(struct model *model, const struct corpus *corpus, const uint32_t *layers,
                      uint32_t count, struct leaves leaves, struct tree *trees);
bool stats_gradient_sum(struct model *model, const struct corpus *corpus, uint32_t layer,
                        struct leaves leaves, struct tree *tree, double *loss);
// What is made of the whole sums, and put into the cache, where stats_moment and stats_directions
// find it. Of C the upper triangle is filled in.
bool stats_moment_keep(struct device *dev, const struct origin *origin, struct buffer *c);
bool stats_directions_keep(struct device *dev, const struct origin *origin, struct buffer *g,
                           uint32_t count, struct buffer **rows, float *values);

// Left singular vectors of grad G, row i the i-th, and singular values, descending; from the cache
// if they are there. count: how many are wanted; fewer than dim are found by random probes
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
