#include "linalg/solve.h"

#include <float.h>
#include <math.h>

#include "base/status.h"

enum { BLOCK = 64, STEPS_MAX = 30, POWER_STEPS = 12 };
enum { STATE_SHIFT, STATE_BAD, STATE_PIVOT, STATE_ENTRY, STATE_NORMS, STATE_FLOATS = 8 };
enum { REST, CORRECTION, PART, SOLVED, ZERO, PANEL, WORK_VECTORS = PANEL + BLOCK };

static fbuf at(struct buffer *b, uint64_t index)
{
    return b->address + 4 * index;
}

static fbuf work(const struct factor *f, uint32_t vector)
{
    return at(f->work, (uint64_t)vector * ((f->n + 3) & ~3u));
}

static uint32_t block_rows(const struct factor *f, uint32_t first)
{
    return f->n - first < BLOCK ? f->n - first : BLOCK;
}

// Left-looking: the block column's own entries less what earlier columns say, then its diagonal
// block factored and inverted, and the rows below multiplied by that inverse.
static void factor_column(struct cmd *cmd, struct factor *f, uint32_t first)
{
    const uint32_t n = f->n, rows = n - first, size = block_rows(f, first);
    fbuf panel = work(f, PANEL), inverse = at(f->inverses, (uint64_t)first * BLOCK);
    fbuf corner = at(f->lower, (uint64_t)first * n + first);
    struct matrix left = {.data = at(f->lower, (uint64_t)first * n), .rows = rows, .cols = first,
                          .stride = n};
    struct matrix top = left, part = {.data = panel, .rows = rows, .cols = size, .stride = BLOCK};
    top.rows = size;
    op_copy_part(cmd, (struct copy_part_args){.x = at(f->matrix, (uint64_t)first * n + first),
                                              .largest = f->state->address, .y = panel,
                                              .rows = rows, .cols = BLOCK, .ldx = n, .ldy = BLOCK,
                                              .rows_in = rows, .cols_in = size});
    if (first) gemm_nt(cmd, left, top, part, -1, 1);
    op_chol_block(cmd, (struct chol_block_args){.block = panel, .diagonal = f->matrix->address,
                                                .lower = corner, .inverse = inverse,
                                                .state = f->state->address, .size = size,
                                                .first = first, .ldl = n});
    if (rows == size) return;
    struct matrix below = {.data = panel + 4ull * BLOCK * BLOCK, .rows = rows - BLOCK,
                           .cols = BLOCK, .stride = BLOCK};
    struct matrix result = {.data = corner + 4ull * BLOCK * n, .rows = rows - BLOCK, .cols = BLOCK,
                            .stride = n};
    gemm_nt(cmd, below, matrix_of(inverse, BLOCK, BLOCK), result, 1, 0);
}

static bool factor_buffers(struct factor *f)
{
    uint64_t n = f->n, padded = (n + 3) & ~3ull;
    return buffer_new(f->dev, 4 * n * n, "the Cholesky factor", &f->lower) &&
           buffer_new(f->dev, 4 * CEIL(n, BLOCK) * BLOCK * BLOCK, "inverses", &f->inverses) &&
           buffer_new(f->dev, 4 * STATE_FLOATS, "Cholesky's state", &f->state) &&
           buffer_new(f->dev, 4 * WORK_VECTORS * padded, "Cholesky's panel", &f->work);
}

bool factor_new(struct device *dev, struct buffer *c, uint32_t n, double ridge,
                struct factor *factor)
{
    *factor = (struct factor){.dev = dev, .n = n, .matrix = c};
    float state[STATE_FLOATS] = {0};
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    bool ok = factor_buffers(factor);
    if (ok) {
        op_chol_shift(&cmd, (struct chol_shift_args){.c = c->address,
                                                     .state = factor->state->address, .n = n,
                                                     .ridge = (float)ridge});
        op_mirror(&cmd, (struct mirror_args){.c = c->address, .n = n});
        op_fill(&cmd, (struct fill_args){.y = work(factor, ZERO), .n = n});
        for (uint32_t first = 0; first < n; first += BLOCK) factor_column(&cmd, factor, first);
        ok = cmd_run_once(&cmd) && buffer_read(dev, factor->state, 0, state, sizeof state);
    }
    cmd_free(&cmd);
    factor->shift = state[STATE_SHIFT];
    if (ok && state[STATE_BAD] != 0)
        ok = fail(STATUS_BAD_DATA,
                  "Cholesky of C [%u, %u] with ridge %g: pivot %.0f is %g of a diagonal entry %g, "
                  "so C is not positive definite in f32; take more text or a larger --ridge",
                  n, n, ridge, (double)state[STATE_BAD] - 1, (double)state[STATE_PIVOT],
                  (double)state[STATE_ENTRY]);
    if (!ok) factor_free(factor);
    return ok;
}

void factor_free(struct factor *factor)
{
    if (factor->dev) {
        buffer_free(factor->dev, &factor->lower);
        buffer_free(factor->dev, &factor->inverses);
        buffer_free(factor->dev, &factor->state);
        buffer_free(factor->dev, &factor->work);
    }
    *factor = (struct factor){0};
}

// L y = b: each block row once the ones above are solved.
static void solve_forward(struct cmd *cmd, const struct factor *f, fbuf b, fbuf y)
{
    fbuf part = work(f, PART);
    for (uint32_t first = 0; first < f->n; first += BLOCK) {
        const uint32_t size = block_rows(f, first);
        fbuf rows = b + 4ull * first;
        if (first) {
            op_tri_gather(cmd, (struct tri_gather_args){
                                   .lower = at(f->lower, (uint64_t)first * f->n), .solved = y,
                                   .x = rows, .y = part, .rows = size, .cols = first,
                                   .ldl = f->n});
            rows = part;
        }
        op_tri_block(cmd, (struct tri_block_args){.inverse = at(f->inverses,
                                                                (uint64_t)first * BLOCK),
                                                  .x = rows, .y = y + 4ull * first,
                                                  .size = size});
    }
}

// L^T x = y, from the last block; y is used up.
static void solve_backward(struct cmd *cmd, const struct factor *f, fbuf y, fbuf x)
{
    for (uint32_t block = CEIL(f->n, BLOCK); block-- > 0;) {
        const uint32_t first = block * BLOCK, size = block_rows(f, first);
        op_tri_block(cmd, (struct tri_block_args){.inverse = at(f->inverses,
                                                                (uint64_t)first * BLOCK),
                                                  .x = y + 4ull * first, .y = x + 4ull * first,
                                                  .size = size, .turned = true});
        if (!first) break;
        op_tri_spread(cmd, (struct tri_spread_args){
                               .lower = at(f->lower, (uint64_t)first * f->n),
                               .x = x + 4ull * first, .y = y, .rows = size, .cols = first,
                               .ldl = f->n});
    }
}

// y = (L L^T)^-1 b, not refined.
static void solve_plain(struct cmd *cmd, const struct factor *f, fbuf b, fbuf y)
{
    solve_forward(cmd, f, b, work(f, SOLVED));
    solve_backward(cmd, f, work(f, SOLVED), y);
}

static void residual(struct cmd *cmd, const struct factor *f, fbuf b, fbuf x, fbuf r)
{
    op_residual(cmd, (struct residual_args){.c = f->matrix->address, .state = f->state->address,
                                            .x = x, .b = b, .r = r, .n = f->n});
}

static void norm(struct cmd *cmd, const struct factor *f, fbuf x, uint32_t place)
{
    op_norm_rows(cmd, (struct norm_rows_args){.x = x, .y = at(f->state, STATE_NORMS + place),
                                              .rows = 1, .cols = f->n, .ldx = f->n});
}

// One refinement: r = b - S x, d = S^-1 r, x <- x + d. norms: |x|, |d|, |r|, |b|
static bool refine(struct factor *f, fbuf b, fbuf x, float norms[4])
{
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    residual(&cmd, f, b, x, work(f, REST));
    solve_plain(&cmd, f, work(f, REST), work(f, CORRECTION));
    norm(&cmd, f, x, 0);
    norm(&cmd, f, work(f, CORRECTION), 1);
    norm(&cmd, f, work(f, REST), 2);
    norm(&cmd, f, b, 3);
    op_axpby(&cmd, (struct axpby_args){.x = work(f, CORRECTION), .y = x, .n = f->n, .alpha = 1,
                                       .beta = 1});
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(f->dev, f->state, 4 * STATE_NORMS, norms, 4 * sizeof *norms);
    cmd_free(&cmd);
    return ok;
}

// Corrections shrink by about eps * condition a step, down to the rounding of x itself.
bool factor_solve(struct factor *f, fbuf b, fbuf x, struct solve_report *report)
{
    struct solve_report told = {0};
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    solve_plain(&cmd, f, b, x);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    double before = 1;
    for (told.steps = 0; ok && told.steps < STEPS_MAX;) {
        float norms[4] = {0};
        ok = refine(f, b, x, norms);
        told.steps++;
        told.correction = norms[0] == 0 ? 0 : (double)norms[1] / (double)norms[0];
        told.residual = norms[3] == 0 ? 0 : (double)norms[2] / (double)norms[3];
        if (!ok || told.correction <= FLT_EPSILON) break;
        if (told.correction > 0.5 * before || !isfinite(told.correction)) {
            // No longer shrinking: at the rounding of x, or never on the way to it.
            if (told.correction < 1e-5) break;
            ok = fail(STATUS_BAD_DATA,
                      "solving with C [%u, %u]: the correction of step %u is %.1e of the "
                      "solution, wanted under 1e-5; C is too ill-conditioned for f32, take more "
                      "text or a larger --ridge",
                      f->n, f->n, told.steps, told.correction);
            break;
        }
        before = told.correction;
    }
    if (ok && report) *report = told;
    return ok;
}

// x <- A x / |x|, POWER_STEPS times; the last |A x| / |x| is the estimate.
static bool power(struct factor *f, bool inverse, float *largest)
{
    fbuf x = work(f, REST), y = work(f, CORRECTION), unit = at(f->state, STATE_NORMS);
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    op_random(&cmd, (struct random_args){.y = x, .n = f->n, .seed = f->n});
    for (int i = 0; i < POWER_STEPS; i++) {
        op_unit_row(&cmd, (struct unit_row_args){.x = x, .before = at(f->state, 0), .norm = unit,
                                                 .cols = f->n});
        if (inverse)
            solve_plain(&cmd, f, x, y);
        else
            residual(&cmd, f, work(f, ZERO), x, y); // 0 - S x
        op_axpby(&cmd, (struct axpby_args){.x = y, .y = x, .n = f->n, .alpha = 1});
    }
    norm(&cmd, f, x, 1);
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(f->dev, f->state, 4 * (STATE_NORMS + 1), largest, sizeof *largest);
    cmd_free(&cmd);
    return ok;
}

bool factor_condition(struct factor *f, double *condition)
{
    float largest = 0, inverse = 0;
    if (!power(f, false, &largest) || !power(f, true, &inverse)) return false;
    *condition = (double)largest * (double)inverse;
    return true;
}
