#include "linalg/project.h"

#include <assert.h>
#include <math.h>

#include "base/status.h"
#include "linalg/orth.h"

enum { GROUP = 4, SCALARS = 8 }; // rows are counted in fours: vector loads

static const float KEPT_LEAST = 1e-6f; // METHOD 2: a remainder under 1e-6 |u| adds nothing

static uint32_t rounded(uint32_t rows)
{
    return (rows + GROUP - 1) / GROUP * GROUP;
}

static bool basis_buffers(struct basis *b, uint32_t capacity)
{
    struct device *dev = b->dev;
    uint64_t floats = capacity + rounded(b->dim) + SCALARS;
    struct buffer *vectors = NULL, *work = NULL;
    if (!buffer_new(dev, 4ull * capacity * b->dim, "a basis", &vectors) ||
        !buffer_new(dev, 4 * floats, "a basis", &work)) {
        buffer_free(dev, &vectors);
        return false;
    }
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    op_fill(&cmd, (struct fill_args){.y = vectors->address, .n = capacity * b->dim});
    if (b->rows)
        op_axpby(&cmd, (struct axpby_args){.x = b->vectors->address, .y = vectors->address,
                                           .n = b->rows * b->dim, .alpha = 1});
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    buffer_free(dev, ok ? &b->vectors : &vectors);
    buffer_free(dev, ok ? &b->work : &work);
    if (!ok) return false;
    b->vectors = vectors;
    b->work = work;
    b->capacity = capacity;
    return true;
}

bool basis_new(struct device *dev, uint32_t dim, uint32_t capacity, struct basis *basis)
{
    *basis = (struct basis){.dev = dev, .dim = dim};
    return basis_buffers(basis, rounded(capacity ? capacity : 1));
}

void basis_free(struct basis *basis)
{
    if (basis->dev) {
        buffer_free(basis->dev, &basis->vectors);
        buffer_free(basis->dev, &basis->work);
    }
    *basis = (struct basis){0};
}

struct matrix basis_matrix(const struct basis *basis)
{
    return matrix_of(basis->vectors->address, basis->rows, basis->dim);
}

// y <- y + by coef v, over the rows from..to of v.
static void combine_part(struct cmd *cmd, struct matrix coef, struct matrix v, struct matrix y,
                         float by, uint32_t from, uint32_t to)
{
    if (from == to) return;
    coef.data += 4ull * from;
    v.data += 4ull * from * v.stride;
    coef.cols = v.rows = to - from;
    gemm_nn(cmd, coef, v, y, by, 1);
}

// The rows past a multiple of four go separately: only they load slowly.
static void combine(struct cmd *cmd, struct matrix coef, struct matrix v, struct matrix y,
                    float by)
{
    uint32_t most = v.rows / GROUP * GROUP;
    combine_part(cmd, coef, v, y, by, 0, most);
    combine_part(cmd, coef, v, y, by, most, v.rows);
}

void project_add(struct cmd *cmd, struct matrix v, fbuf u, fbuf coef)
{
    combine(cmd, matrix_of(coef, 1, v.rows), v, matrix_of(u, 1, v.cols), 1);
}

void project_onto(struct cmd *cmd, struct matrix v, fbuf u, fbuf coef, uint32_t passes)
{
    assert(v.stride == v.cols);
    for (uint32_t i = 0; i < passes; i++) {
        if (v.rows)
            op_dot_rows(cmd, (struct dot_rows_args){.x = v.data, .w = u, .y = coef,
                                                    .rows = v.rows, .cols = v.cols});
        op_fill(cmd, (struct fill_args){.y = u, .n = v.cols});
        project_add(cmd, v, u, coef);
    }
}

void project_out(struct cmd *cmd, struct matrix v, fbuf u, fbuf coef, uint32_t passes)
{
    assert(v.stride == v.cols);
    if (!v.rows) return;
    for (uint32_t i = 0; i < passes; i++) {
        op_dot_rows(cmd, (struct dot_rows_args){.x = v.data, .w = u, .y = coef, .rows = v.rows,
                                                .cols = v.cols});
        combine(cmd, matrix_of(coef, 1, v.rows), v, matrix_of(u, 1, v.cols), -1);
    }
}

void project_share(struct cmd *cmd, struct matrix g, struct matrix v, fbuf coef, float share)
{
    if (!v.rows || !g.rows) return;
    struct matrix c = matrix_of(coef, g.rows, v.rows);
    c.stride = rounded(v.rows);
    gemm_nt(cmd, g, v, c, 1, 0);
    combine(cmd, c, v, g, -share);
}

void project_rows(struct cmd *cmd, struct matrix g, struct matrix v, fbuf coef, uint32_t passes)
{
    for (uint32_t i = 0; i < passes; i++) project_share(cmd, g, v, coef, 1);
}

bool basis_push(struct basis *b, fbuf u, float *kept)
{
    if (kept) *kept = 0;
    if (b->rows == b->capacity && !basis_buffers(b, rounded(2 * b->capacity))) return false;
    fbuf coef = b->work->address, rest = coef + 4ull * b->capacity;
    fbuf scalars = rest + 4ull * rounded(b->dim), row = b->vectors->address;
    row += 4ull * b->rows * b->dim;
    // Unused rows are zero, so their coefficients are, too.
    struct matrix v = matrix_of(b->vectors->address, rounded(b->rows), b->dim);
    struct cmd cmd;
    cmd_start(&cmd, b->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = u, .y = rest, .n = b->dim, .alpha = 1});
    op_norm_rows(&cmd, (struct norm_rows_args){.x = rest, .y = scalars, .rows = 1,
                                               .cols = b->dim, .ldx = b->dim});
    project_out(&cmd, v, rest, coef, 2);
    op_unit_row(&cmd, (struct unit_row_args){.x = rest, .before = scalars, .norm = scalars + 4,
                                             .cols = b->dim, .tol = KEPT_LEAST});
    op_axpby(&cmd, (struct axpby_args){.x = rest, .y = row, .n = b->dim, .alpha = 1});
    float norms[2] = {0}; // |u|, |rest| or 0
    uint64_t offset = 4ull * (b->capacity + rounded(b->dim));
    bool ok = cmd_run_once(&cmd) && buffer_read(b->dev, b->work, offset, norms, sizeof norms);
    cmd_free(&cmd);
    if (!ok) return false;
    if (!isfinite(norms[0]))
        return fail(STATUS_BAD_DATA, "Gram-Schmidt: vector %u has length %g, wanted a finite one",
                    b->rows, (double)norms[0]);
    if (!(norms[1] > 0)) return true;
    b->rows++;
    if (kept) *kept = norms[1] / norms[0];
    return true;
}

bool basis_orthonormalise(struct device *dev, struct matrix g, uint32_t first, uint32_t *rank)
{
    struct orth orth = {0};
    struct buffer *counts = NULL;
    struct cmd cmd = {0};
    uint32_t found = 0;
    bool ok = orth_new(dev, g.rows, &orth) && buffer_new(dev, 4, "a rank", &counts);
    if (ok) {
        orth.noise = KEPT_LEAST;
        cmd_start(&cmd, dev, false);
        orth_rows(&cmd, &orth, g, first, (struct matrix){0});
        // Rows are now unit or zero.
        op_norm_rows(&cmd, (struct norm_rows_args){.x = g.data, .y = orth.norms->address,
                                                   .rows = g.rows, .cols = g.cols,
                                                   .ldx = g.stride});
        op_count_rows(&cmd, (struct count_rows_args){.x = orth.norms->address,
                                                     .count = counts->address, .n = g.rows,
                                                     .least = 0.5f});
        ok = cmd_run_once(&cmd) && buffer_read(dev, counts, 0, &found, sizeof found);
    }
    if (ok && rank) *rank = found;
    cmd_free(&cmd);
    buffer_free(dev, &counts);
    orth_free(&orth);
    return ok;
}

bool basis_complete(struct device *dev, struct matrix g, uint32_t from)
{
    assert(g.rows <= g.cols && g.stride == g.cols);
    if (from == g.rows) return true;
    struct orth orth = {0};
    struct cmd cmd = {0};
    bool ok = orth_new(dev, g.rows, &orth);
    if (ok) {
        cmd_start(&cmd, dev, false);
        op_random(&cmd, (struct random_args){.y = g.data + 4ull * from * g.cols,
                                             .n = (g.rows - from) * g.cols, .seed = g.cols});
        // Twice, since the last ones find only a small part of themselves free.
        for (int pass = 0; pass < 2; pass++)
            orth_rows(&cmd, &orth, g, from, (struct matrix){0});
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    orth_free(&orth);
    return ok;
}
