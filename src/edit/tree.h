// Sums over text in an order that does not depend on who computes which part of it: TREE_LEAVES
// sums over consecutive batches of text, joined two by two as a binary tree, on the device. A shard
// has the largest whole subtrees of its leaves; joined with the others' they give the undivided
// sum's bits (strict precision).
#pragma once
#include "vk/buffer.h"

enum { TREE_LEAVES = 64, TREE_LEVELS = 6, TREE_NODES = 2 * TREE_LEVELS };

// The sum over leaves [first, first + count): count a power of two that divides first.
struct tree_node {
    uint32_t first, count;
    float *sum; // [kept] on the host; NULL: no text fell into these leaves, or it is on the device
};

// Some consecutive leaves, as few nodes. Zero is an empty one.
struct tree {
    struct device *dev;
    uint32_t rows, cols; // of a sum
    bool lower;          // only its lower triangle is kept, row by row
    uint64_t kept;       // floats of that
    struct buffer *sum; // [rows, cols] the leaf in the making, and the whole tree's sum in the end
    struct tree_node nodes[TREE_NODES];
    uint32_t count;
    bool whole; // the sum over all leaves lies in `sum`
};

bool tree_new(struct tree *tree, struct device *dev, uint32_t rows, uint32_t cols, bool lower);
void tree_free(struct tree *tree);

// Leaf i of `batches` batches: batches [*first, *end), which may be none.
void tree_leaf(uint32_t leaf, uint32_t batches, uint32_t *first, uint32_t *end);

// The largest node that begins with leaf `first` and does not go beyond `end`: its leaves. Called
// from node to node it gives a shard's.
uint32_t tree_node_at(uint32_t first, uint32_t end);
// Whether any of `batches` batches fell into these leaves.
bool tree_filled(uint32_t first, uint32_t count, uint32_t batches);

// A node's sum as it was kept, into tree->sum.  kept: [kept]
bool tree_load(struct tree *tree, const float *kept);

// Puts node [first, first + count) behind those that are there and joins what belongs together. Its
// sum lies in tree->sum, unless it has none (`filled` false); tree->sum is then free again.
bool tree_put(struct tree *tree, uint32_t first, uint32_t count, bool filled);

// The whole tree's sum, which is the caller's from now on; zero where no text fell into it. All
// leaves were put.
bool tree_take(struct tree *tree, struct buffer **sum);
// The same for a shard: every node's sum is on the host afterwards.
bool tree_fetch(struct tree *tree);

// Floats that are kept of a sum.
uint64_t tree_kept(uint32_t rows, uint32_t cols, bool lower);
// How many sums wait on the host at most while so many batches are summed.
uint32_t tree_waiting(uint32_t batches);
