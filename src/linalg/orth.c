#include "linalg/orth.h"

#include <assert.h>

enum { TRIANGLE = ORTH_PANEL * ORTH_PANEL };

// A row whose rest after the first pass is no longer than this was rounding noise: a few eps of a
// dot product. The second pass meets unit rows; losing nine tenths again says noise, too
// (Giraud, Langou: twice is enough).
static const float NOISE = 4 * 1.2e-7f, AGAIN = 0.1f;

bool orth_new(struct device *dev, uint32_t rows, struct orth *orth)
{
    *orth = (struct orth){.dev = dev, .rows = rows, .noise = NOISE};
    const uint64_t floats = 2ull * TRIANGLE + 1ull * ORTH_PANEL * (rows + 4);
    if (buffer_new(dev, 4ull * rows, "row norms", &orth->norms) &&
        buffer_new(dev, 4 * floats, "an orthonormalisation panel", &orth->panels))
        return true;
    orth_free(orth);
    return false;
}

void orth_free(struct orth *orth)
{
    if (orth->dev) {
        buffer_free(orth->dev, &orth->norms);
        buffer_free(orth->dev, &orth->panels);
    }
    *orth = (struct orth){0};
}

static struct matrix part(struct matrix m, uint32_t row, uint32_t col, uint32_t rows, uint32_t cols)
{
    return (struct matrix){.data = m.data + 4 * ((uint64_t)row * m.stride + col),
                           .rows = rows,
                           .cols = cols,
                           .stride = m.stride};
}

// Modified Gram-Schmidt inside a panel: x = t * (its orthonormal rows), t lower triangular.
static void panel_sweep(struct cmd *cmd, struct matrix x, fbuf norms, fbuf t, float noise,
                        float least)
{
    op_fill(cmd, (struct fill_args){.y = t, .n = TRIANGLE});
    for (uint32_t j = 0; j < x.rows; j++) {
        fbuf row = part(x, j, 0, 1, x.cols).data;
        op_unit_row(cmd, (struct unit_row_args){.x = row, .before = norms + 4 * j,
                                                .norm = t + 4 * (j * (ORTH_PANEL + 1)),
                                                .cols = x.cols, .tol = noise, .least = least});
        if (j + 1 == x.rows) break;
        op_sweep_rows(cmd, (struct sweep_rows_args){
                               .q = row, .x = part(x, j + 1, 0, 1, x.cols).data,
                               .coef = t + 4 * ((j + 1) * ORTH_PANEL + j),
                               .rows = x.rows - j - 1, .cols = x.cols, .ldx = x.stride,
                               .ldc = ORTH_PANEL});
    }
}

// s = x q^T, x <- x - s q
static void project(struct cmd *cmd, struct matrix x, struct matrix q, struct matrix s)
{
    gemm_nt(cmd, x, q, s, 1, 0);
    gemm_nn(cmd, s, q, x, -1, 1);
}

// Each panel twice: x = s1 q + t1 x1, x1 = s2 q + t2 x2, so that its rows of L are
// s1 + t1 s2 before the diagonal block and t1 t2 on it.
void orth_rows(struct cmd *cmd, const struct orth *orth, struct matrix q, uint32_t first,
               struct matrix l)
{
    assert(q.rows <= orth->rows);
    fbuf t1 = orth->panels->address, t2 = t1 + 4 * TRIANGLE, s2 = t2 + 4 * TRIANGLE;
    op_norm_rows(cmd, (struct norm_rows_args){.x = q.data, .y = orth->norms->address,
                                              .rows = q.rows, .cols = q.cols, .ldx = q.stride});
    for (uint32_t j = first; j < q.rows; j += ORTH_PANEL) {
        uint32_t rows = q.rows - j < ORTH_PANEL ? q.rows - j : ORTH_PANEL;
        struct matrix x = part(q, j, 0, rows, q.cols), before = part(q, 0, 0, j, q.cols);
        struct matrix scratch = {.data = s2, .rows = rows, .cols = j, .stride = (j + 3) & ~3u};
        struct matrix s = l.data ? part(l, j, 0, rows, j) : scratch;
        struct matrix first_t = {.data = t1, .rows = rows, .cols = rows, .stride = ORTH_PANEL};
        struct matrix second_t = {.data = t2, .rows = rows, .cols = rows, .stride = ORTH_PANEL};
        if (j) project(cmd, x, before, s);
        panel_sweep(cmd, x, orth->norms->address + 4ull * j, t1, orth->noise, 0);
        if (j) project(cmd, x, before, scratch);
        panel_sweep(cmd, x, orth->norms->address + 4ull * j, t2, 0, AGAIN);
        if (!l.data) continue;
        if (j) gemm_nn(cmd, first_t, scratch, s, 1, 1);
        gemm_nn(cmd, first_t, second_t, part(l, j, j, rows, rows), 1, 0);
    }
}
