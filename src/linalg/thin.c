#include "linalg/thin.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/status.h"

// Places in work, `capacity` floats each.
enum { FIRST, SECOND, SOLVED, WORK_VECTORS };

static fbuf work(const struct thin *t, uint32_t place)
{
    return t->work->address + 4ull * place * t->basis.capacity;
}

static void inner_free(struct thin *t)
{
    factor_free(&t->factor);
    buffer_free(t->dev, &t->inner);
    buffer_free(t->dev, &t->work);
}

// M of the basis's capacity: what there was of it [rows, rows], and shift I beyond. What is not in
// use stays shift I under the updates, as the coefficients of x are zero there.
static bool inner_new(struct thin *t, uint32_t rows)
{
    const uint64_t n = t->basis.capacity;
    float *m = mem_new(n * n, sizeof *m, "products of vectors");
    float *before = mem_new((uint64_t)rows * rows, sizeof *before, "products of vectors");
    bool ok = m && before &&
              (!rows || buffer_read(t->dev, t->inner, 0, before, 4ull * rows * rows));
    inner_free(t);
    for (uint64_t i = 0; ok && i < n * n; i++) {
        const uint64_t r = i / n, c = i % n;
        m[i] = r < rows && c < rows ? before[r * rows + c] : r == c ? (float)t->shift : 0;
    }
    ok = ok && buffer_from(t->dev, m, 4 * n * n, "products of vectors", &t->inner) &&
         buffer_new(t->dev, 4 * WORK_VECTORS * n, "coefficients", &t->work) &&
         factor_new(t->dev, t->inner, (uint32_t)n, 0, &t->factor);
    free(m);
    free(before);
    return ok;
}

bool thin_new(struct device *dev, uint32_t n, double shift, uint32_t capacity, struct thin *t)
{
    *t = (struct thin){.dev = dev, .shift = shift};
    bool ok = basis_new(dev, n, capacity, &t->basis) && inner_new(t, 0);
    if (!ok) thin_free(t);
    return ok;
}

void thin_free(struct thin *t)
{
    if (t->dev) inner_free(t);
    basis_free(&t->basis);
    *t = (struct thin){0};
}

bool thin_push(struct thin *t, fbuf x)
{
    const uint32_t capacity = t->basis.capacity;
    if (!basis_push(&t->basis, x, NULL) ||
        (t->basis.capacity > capacity && !inner_new(t, capacity)))
        return false;
    float square = 0;
    struct cmd cmd;
    cmd_start(&cmd, t->dev, false);
    op_dot_rows(&cmd, (struct dot_rows_args){.x = t->basis.vectors->address, .w = x,
                                             .y = work(t, FIRST), .rows = t->basis.capacity,
                                             .cols = t->basis.dim});
    op_dot_rows(&cmd, (struct dot_rows_args){.x = x, .w = x, .y = work(t, SECOND), .rows = 1,
                                             .cols = t->basis.dim});
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(t->dev, t->work, 4ull * t->basis.capacity, &square, sizeof square);
    cmd_free(&cmd);
    if (ok && !isfinite(square))
        ok = fail(STATUS_BAD_DATA, "a vector of a sum has the square %g, wanted a finite one",
                  (double)square);
    if (ok) t->mass += (double)square;
    return ok && factor_update(&t->factor, work(t, FIRST), 1);
}

bool thin_solve(struct thin *t, fbuf b, fbuf y)
{
    const uint32_t n = t->basis.dim, capacity = t->basis.capacity;
    const struct matrix q = basis_matrix(&t->basis);
    struct cmd cmd;
    cmd_start(&cmd, t->dev, false);
    // y = b - Q^T c, c = Q b by Gram-Schmidt twice: what lies outside of the span.
    op_axpby(&cmd, (struct axpby_args){.x = b, .y = y, .n = n, .alpha = 1});
    op_fill(&cmd, (struct fill_args){.y = work(t, FIRST), .n = WORK_VECTORS * capacity});
    project_out(&cmd, q, y, work(t, FIRST), 1);
    project_out(&cmd, q, y, work(t, SECOND), 1);
    op_axpby(&cmd, (struct axpby_args){.x = work(t, SECOND), .y = work(t, FIRST), .n = capacity,
                                       .alpha = 1, .beta = 1});
    bool ok = cmd_run_once(&cmd) &&
              (!q.rows || factor_solve(&t->factor, work(t, FIRST), work(t, SOLVED), NULL));
    cmd_free(&cmd);
    // S^-1 b = Q^T M^-1 c + y / shift
    cmd_start(&cmd, t->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = y, .y = y, .n = n, .alpha = (float)(1 / t->shift)});
    if (ok) project_add(&cmd, q, y, work(t, SOLVED));
    ok = ok && cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}
