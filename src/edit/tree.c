#include "edit/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ops/ops.h"

enum { PIECE = 1 << 20 }; // floats that are unfolded at a time

uint64_t tree_kept(uint32_t rows, uint32_t cols, bool lower)
{
    return lower ? (uint64_t)rows * (rows + 1) / 2 : (uint64_t)rows * cols;
}

bool tree_new(struct tree *t, struct device *dev, uint32_t rows, uint32_t cols, bool lower)
{
    *t = (struct tree){.dev = dev, .rows = rows, .cols = cols, .lower = lower,
                       .kept = tree_kept(rows, cols, lower)};
    return buffer_new(dev, (uint64_t)rows * cols * sizeof(float), "a sum over text", &t->sum);
}

void tree_free(struct tree *t)
{
    for (uint32_t i = 0; i < t->count; i++) free(t->nodes[i].sum);
    if (t->dev) buffer_free(t->dev, &t->sum);
    *t = (struct tree){0};
}

void tree_leaf(uint32_t leaf, uint32_t batches, uint32_t *first, uint32_t *end)
{
    *first = (uint32_t)((uint64_t)leaf * batches / TREE_LEAVES);
    *end = (uint32_t)((uint64_t)(leaf + 1) * batches / TREE_LEAVES);
}

uint32_t tree_node_at(uint32_t first, uint32_t end)
{
    uint32_t count = 1;
    while (2 * count <= TREE_LEAVES && first % (2 * count) == 0 && first + 2 * count <= end)
        count *= 2;
    return count;
}

bool tree_filled(uint32_t first, uint32_t count, uint32_t batches)
{
    uint32_t begin, end, unused;
    tree_leaf(first, batches, &begin, &unused);
    tree_leaf(first + count - 1, batches, &unused, &end);
    return begin < end;
}

static bool siblings(const struct tree_node *left, uint32_t first, uint32_t count)
{
    return left->count == count && left->first % (2 * count) == 0 && left->first + count == first;
}

// Between a device's [rows, cols] and what is kept of it; zero above the diagonal.
static bool move(struct tree *t, struct buffer *buffer, float *kept, const float *from)
{
    const uint64_t cols = t->cols;
    if (!t->lower)
        return from ? buffer_write(t->dev, buffer, 0, from, t->kept * sizeof *from)
                    : buffer_read(t->dev, buffer, 0, kept, t->kept * sizeof *kept);
    const uint32_t some = cols < PIECE ? (uint32_t)(PIECE / cols) : 1; // rows
    float *piece = mem_new(some * cols, sizeof *piece, "some rows");
    bool ok = piece != NULL;
    for (uint32_t row = 0; ok && row < t->rows; row += some) {
        const uint32_t count = t->rows - row < some ? t->rows - row : some;
        const uint64_t at = row * cols * sizeof *piece, bytes = count * cols * sizeof *piece;
        ok = from || buffer_read(t->dev, buffer, at, piece, bytes);
        for (uint64_t i = 0, wide = row + 1; ok && i < count; i++, wide++) {
            if (from) memcpy(piece + i * cols, from, wide * sizeof *piece);
            else memcpy(kept, piece + i * cols, wide * sizeof *piece);
            if (from) from += wide;
            else kept += wide;
        }
        ok = ok && (!from || buffer_write(t->dev, buffer, at, piece, bytes));
    }
    free(piece);
    return ok;
}

bool tree_load(struct tree *t, const float *kept)
{
    return move(t, t->sum, NULL, kept);
}

// sum += the host's. Addition commutes, so it does not matter which of the two lies where.
static bool join(struct tree *t, const float *host)
{
    const uint64_t n = (uint64_t)t->rows * t->cols;
    struct buffer *other = NULL;
    struct cmd cmd;
    bool ok = buffer_new(t->dev, n * sizeof(float), "another sum over text", &other) &&
              move(t, other, NULL, host);
    cmd_start(&cmd, t->dev, false);
    if (ok) {
        op_axpby(&cmd, (struct axpby_args){.x = other->address, .y = t->sum->address,
                                           .n = (uint)n, .alpha = 1, .beta = 1});
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    buffer_free(t->dev, &other);
    return ok;
}

static bool fetch(struct tree *t, struct tree_node *node)
{
    node->sum = mem_new(t->kept, sizeof *node->sum, "a sum over text");
    return node->sum && move(t, t->sum, node->sum, NULL);
}

bool tree_put(struct tree *t, uint32_t first, uint32_t count, bool filled)
{
    float *host = NULL; // the node's sum where it is not on the device
    bool ok = true;
    while (ok && t->count && siblings(&t->nodes[t->count - 1], first, count)) {
        struct tree_node left = t->nodes[--t->count];
        if (host) { // of two nodes further left; the one between had none
            ok = tree_load(t, host);
            free(host);
            host = NULL;
            filled = true;
        }
        if (filled && left.sum) ok = ok && join(t, left.sum);
        if (filled) free(left.sum);
        else host = left.sum;
        first = left.first;
        count *= 2;
    }
    t->whole = count == TREE_LEAVES && filled;
    struct tree_node *node = &t->nodes[t->count++];
    *node = (struct tree_node){first, count, host};
    return ok && (!filled || t->whole || fetch(t, node));
}

bool tree_fetch(struct tree *t)
{
    bool ok = !t->whole || fetch(t, &t->nodes[0]);
    t->whole = false;
    return ok;
}

bool tree_take(struct tree *t, struct buffer **sum)
{
    bool ok = true;
    if (!t->whole && t->count && t->nodes[0].sum)
        ok = tree_load(t, t->nodes[0].sum);
    else if (!t->whole) {
        struct cmd cmd;
        cmd_start(&cmd, t->dev, false);
        op_fill(&cmd, (struct fill_args){.y = t->sum->address, .n = t->rows * t->cols, .value = 0});
        ok = cmd_run_once(&cmd);
        cmd_free(&cmd);
    }
    if (!ok) return false;
    *sum = t->sum;
    t->sum = NULL;
    return true;
}

uint32_t tree_waiting(uint32_t batches)
{
    struct tree_node nodes[TREE_NODES]; // as tree_put does it
    bool filled[TREE_NODES];
    uint32_t depth = 0, most = 0;
    for (uint32_t leaf = 0; leaf < TREE_LEAVES; leaf++) {
        uint32_t first = leaf, count = 1, begin, end, waiting = 0;
        tree_leaf(leaf, batches, &begin, &end);
        bool has = end > begin;
        while (depth && siblings(&nodes[depth - 1], first, count)) {
            depth--;
            has = has || filled[depth];
            first = nodes[depth].first;
            count *= 2;
        }
        nodes[depth] = (struct tree_node){first, count, NULL};
        filled[depth++] = has && count < TREE_LEAVES;
        for (uint32_t i = 0; i < depth; i++) waiting += filled[i];
        if (waiting > most) most = waiting;
    }
    return most;
}
