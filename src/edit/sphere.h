// SPHERE (Liu et al., "Energy-Regularized Sequential Model Editing on Hyperspheres", ICLR 2026,
// arXiv 2510.01172): updates are weakened along the directions that W's rows, as points on a
// sphere, lie along. It acts on the side of the keys: dW <- dW (I - alpha U U^T), U [ffn, r].
#pragma once
#include "edit/editor.h"

// U's columns as rows [*count, ffn]: of A, the rows of W with length 1, the eigenvectors of A^T A /
// d whose eigenvalues make up at most the share eta of them all, the largest first, and one more.
// sigma, if not NULL: A's singular values [min(d, ffn)]. An SVD of A; runs and waits.
bool sphere_directions(struct device *dev, const struct tensor *w, double eta,
                       struct buffer **rows, uint32_t *count, float *sigma);

// How many: r = #{k: sum of the first k of sigma^2 <= eta of all} + 1, at most n.
uint32_t sphere_count(const float *sigma, uint32_t n, double eta);

extern const struct guard guard_sphere;
