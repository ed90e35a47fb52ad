#include "linalg/solve.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/status.h"

enum { BLOCK = 64, STEPS_MAX = 60, POWER_STEPS = 12, PATIENCE = 10, ADVICE = 128 };
enum { STATE_SHIFT, STATE_BAD, STATE_PIVOT, STATE_ENTRY, STATE_NORMS, STATE_FLOATS = 8 };
enum { REST, CORRECTION, PART, SOLVED, ZERO, PANEL, WORK_VECTORS = PANEL + BLOCK };

#define CONDITION_GOAL 1e5 // of the ridge in messages: with room to the 1e6 that is always solved
#define CONDITION_MOST 1e7 // of more, the rounding of C to f32 alone leaves nothing of a solution

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

// A ridge with which the condition is about CONDITION_GOAL, for messages: what f has now, and
// (largest eigenvalue) / goal / mean(diag C), with room; or none, where C is not finite.
static const char *advice(struct factor *f, char *text, size_t size)
{
    float largest = 0, mean = 0;
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    op_chol_shift(&cmd, (struct chol_shift_args){.c = f->matrix->address, .state = work(f, PART),
                                                 .n = f->n, .ridge = 1});
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(f->dev, f->work, work(f, PART) - f->work->address, &mean, sizeof mean) &&
              power(f, false, &largest);
    cmd_free(&cmd);
    double wanted = 2 * (double)largest / CONDITION_GOAL / (double)mean;
    double now = (double)f->shift / (double)mean;
    if (!ok || !(isfinite(wanted) && wanted > 0))
        snprintf(text, size, "it is zero or not finite, so the text or the model is at fault");
    else
        snprintf(text, size, "take more text (%u tokens or more) or a larger --ridge (%.1e or "
                             "more)", 2 * f->n, now > 0.5 * wanted ? 10 * now : wanted);
    return text;
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
    if (ok && state[STATE_BAD] != 0) {
        char text[ADVICE];
        ok = fail(STATUS_BAD_DATA,
                  "Cholesky of C [%u, %u] with ridge %g: pivot %.0f is %g of a diagonal entry %g, "
                  "so C is not positive definite in f32; %s",
                  n, n, ridge, (double)state[STATE_BAD] - 1, (double)state[STATE_PIVOT],
                  (double)state[STATE_ENTRY], advice(factor, text, sizeof text));
    }
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

bool factor_update(struct factor *f, fbuf v, double scale)
{
    const uint32_t n = f->n;
    fbuf x = work(f, REST), turn = work(f, PANEL);
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = v, .y = x, .n = n, .alpha = (float)sqrt(scale)});
    op_outer(&cmd, (struct outer_args){.u = x, .v = x, .w = f->matrix->address, .rows = n,
                                       .cols = n, .alpha = 1});
    for (uint32_t first = 0; first < n; first += BLOCK) {
        const uint32_t size = block_rows(f, first), below = n - first - size;
        fbuf corner = at(f->lower, (uint64_t)first * n + first);
        op_chol_turn(&cmd, (struct chol_turn_args){
                               .lower = corner, .x = x + 4ull * first, .turn = turn,
                               .inverse = at(f->inverses, (uint64_t)first * BLOCK), .size = size,
                               .ldl = n});
        if (below)
            op_chol_turn_rows(&cmd, (struct chol_turn_rows_args){
                                        .lower = corner + 4ull * size * n,
                                        .x = x + 4ull * (first + size), .turn = turn,
                                        .rows = below, .size = size, .ldl = n});
    }
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
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

static bool unsolvable(struct factor *f, const struct solve_report *told)
{
    double condition = 0;
    char text[ADVICE];
    if (!factor_condition(f, &condition)) return false;
    return fail(STATUS_BAD_DATA,
                "solving with C [%u, %u], of condition %.1e or more: the correction of step %u is "
                "%.1e of the solution, wanted under 1e-6; %s",
                f->n, f->n, condition, told->steps, told->correction,
                advice(f, text, sizeof text));
}

static void dot(struct cmd *cmd, const struct factor *f, fbuf x, fbuf y, fbuf result)
{
    op_dot_rows(cmd, (struct dot_rows_args){.x = x, .w = y, .y = result, .rows = 1,
                                            .cols = f->n});
}

// x += alpha p (0: not yet); r = b - S x, z = (L L^T)^-1 r. norms as in refine;
// products: r . z and z . (r before)
static bool conjugate_look(struct factor *f, fbuf b, fbuf x, double alpha, float norms[4],
                           float products[2])
{
    fbuf p = work(f, PANEL), scalars = work(f, PANEL + 2), z = work(f, CORRECTION);
    fbuf before = work(f, PANEL + 3);
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    if (alpha != 0)
        op_axpby(&cmd, (struct axpby_args){.x = p, .y = x, .n = f->n, .alpha = (float)alpha,
                                           .beta = 1});
    op_axpby(&cmd, (struct axpby_args){.x = work(f, REST), .y = before, .n = f->n, .alpha = 1});
    residual(&cmd, f, b, x, work(f, REST));
    solve_plain(&cmd, f, work(f, REST), z);
    norm(&cmd, f, x, 0);
    norm(&cmd, f, z, 1);
    norm(&cmd, f, work(f, REST), 2);
    norm(&cmd, f, b, 3);
    dot(&cmd, f, work(f, REST), z, scalars);
    dot(&cmd, f, before, z, scalars + 4);
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(f->dev, f->state, 4 * STATE_NORMS, norms, 4 * sizeof *norms) &&
              buffer_read(f->dev, f->work, scalars - f->work->address, products,
                          2 * sizeof *products);
    cmd_free(&cmd);
    return ok;
}

// p <- z + beta p; *curve = p . S p
static bool conjugate_turn(struct factor *f, double beta, double *curve)
{
    fbuf p = work(f, PANEL), q = work(f, PANEL + 1), scalars = work(f, PANEL + 2);
    float product = 0;
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    op_axpby(&cmd, (struct axpby_args){.x = work(f, CORRECTION), .y = p, .n = f->n, .alpha = 1,
                                       .beta = (float)beta});
    residual(&cmd, f, work(f, ZERO), p, q); // 0 - S p
    dot(&cmd, f, p, q, scalars);
    bool ok = cmd_run_once(&cmd) &&
              buffer_read(f->dev, f->work, scalars - f->work->address, &product, sizeof product);
    cmd_free(&cmd);
    *curve = -(double)product;
    return ok;
}

// Where the factor is too rough for refinement to converge it is still a good preconditioner:
// conjugate gradients from x on, with residuals computed anew in twice the precision (Golub and
// Van Loan, Matrix Computations, 11.5). *converged: the correction came down to 1e-6 of x and then
// to the rounding of x.
static bool conjugate(struct factor *f, fbuf b, fbuf x, struct solve_report *told, bool *converged)
{
    double alpha = 0, before = 0, halved = HUGE_VAL;
    bool ok = true;
    *converged = false;
    for (int idle = 0; ok && idle < PATIENCE && told->steps < STEPS_MAX; told->steps++) {
        float norms[4] = {0}, products[2] = {0};
        double curve = 0;
        ok = conjugate_look(f, b, x, alpha, norms, products);
        const double product = (double)products[0], gone = product - (double)products[1];
        told->correction = norms[0] == 0 ? 0 : (double)norms[1] / (double)norms[0];
        told->residual = norms[3] == 0 ? 0 : (double)norms[2] / (double)norms[3];
        *converged = ok && told->correction < 1e-6;
        if (!ok || told->correction <= FLT_EPSILON || !(product > 0) || !isfinite(product)) break;
        idle = told->correction < 0.5 * halved ? 0 : idle + 1; // it may rise on the way
        if (idle == 0) halved = told->correction;
        // Polak and Ribiere's beta forgives a product with S that is rounded.
        ok = conjugate_turn(f, before > 0 && gone > 0 ? gone / before : 0, &curve);
        if (!(curve > 0) || !isfinite(curve)) break;
        alpha = product / curve;
        before = product;
    }
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
        if (!(told.correction <= 0.5 * before) || told.steps == STEPS_MAX) {
            // No longer shrinking: at the rounding of x, or not on the way to it.
            bool converged = told.correction < 1e-6;
            if (!converged && isfinite(told.correction))
                ok = conjugate(f, b, x, &told, &converged);
            if (ok && !converged) ok = unsolvable(f, &told);
            break;
        }
        before = told.correction;
    }
    if (ok && report) *report = told;
    return ok;
}

bool factor_condition(struct factor *f, double *condition)
{
    float largest = 0, inverse = 0;
    if (!power(f, false, &largest) || !power(f, true, &inverse)) return false;
    *condition = (double)largest * (double)inverse;
    return true;
}

bool factor_check(struct factor *f, double *condition, struct solve_report *report)
{
    struct buffer *sides = NULL; // b and x
    struct cmd cmd;
    cmd_start(&cmd, f->dev, false);
    bool ok = factor_condition(f, condition) &&
              buffer_new(f->dev, 8ull * ((f->n + 3) & ~3u), "a trial", &sides);
    if (ok) op_random(&cmd, (struct random_args){.y = sides->address, .n = f->n, .seed = 1});
    if (ok && !(*condition <= CONDITION_MOST)) {
        char text[ADVICE];
        ok = fail(STATUS_BAD_DATA,
                  "C [%u, %u] has a condition of about %.1e, wanted at most %.0e in f32; %s", f->n,
                  f->n, *condition, CONDITION_MOST, advice(f, text, sizeof text));
    }
    ok = ok && cmd_run_once(&cmd) &&
         factor_solve(f, sides->address, sides->address + 4ull * ((f->n + 3) & ~3u), report);
    cmd_free(&cmd);
    buffer_free(f->dev, &sides);
    return ok;
}
