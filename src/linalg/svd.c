#include "linalg/svd.h"

#include <float.h>
#include <math.h>

#include "base/log.h"
#include "base/status.h"
#include "linalg/jacobi.h"
#include "linalg/orth.h"
#include "linalg/project.h"

// Entries are scaled to at most 2, so that squares of lengths down to this one are normal numbers.
static const float NOTHING = 1e-15f;
enum { LINE = 16 }; // floats of 64 bytes

// The decomposition is done on a wide matrix B [n, m], n <= m: A or A^T. np, mp: n rounded up to
// whole pairs of blocks, m to vectors of four; all padding is zero.
struct svd {
    struct device *dev;
    uint32_t n, m, np, mp;
    bool turned; // B = A^T
    bool right;  // right singular vectors of B are wanted
    uint32_t cols, stride;    // of x: np, + mp for the right vectors
    struct buffer *rows;      // B scaled and sorted by length, then Q: [np, mp]
    struct buffer *lower;     // B as loaded, then L: [np, max(np, mp)]
    struct buffer *x[2];      // [np, stride]
    struct buffer *norms, *lengths, *index, *order; // [np]
    struct buffer *largest;   // max |A|, then maxima of its rows
    struct orth orth;
    struct jacobi jacobi;
};

static void svd_free(struct svd *s)
{
    struct buffer **all[] = {&s->rows,    &s->lower, &s->x[0],  &s->x[1],   &s->norms,
                             &s->lengths, &s->index, &s->order, &s->largest};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) buffer_free(s->dev, all[i]);
    orth_free(&s->orth);
    jacobi_free(&s->jacobi);
}

static bool svd_start(struct svd *s, struct device *dev, uint32_t d, uint32_t m, bool u, bool v)
{
    *s = (struct svd){.dev = dev, .n = d < m ? d : m, .m = d < m ? m : d, .turned = d > m};
    s->right = s->turned ? u : v;
    s->np = CEIL(s->n, JACOBI_PAIR) * JACOBI_PAIR;
    s->mp = CEIL(s->m, 4) * 4;
    s->cols = s->np + (s->right ? s->mp : 0);
    // An odd number of cache lines from row to row: powers of two would share few cache sets.
    s->stride = CEIL(s->cols, LINE) * LINE;
    if (s->stride / LINE % 2 == 0) s->stride += LINE;
    uint64_t wide = s->np > s->mp ? s->np : s->mp, vector = 4ull * s->np;
    return buffer_new(dev, 4ull * s->np * s->mp, "SVD: rows", &s->rows) &&
           buffer_new(dev, 4ull * s->np * wide, "SVD: triangle", &s->lower) &&
           buffer_new(dev, 4ull * s->np * s->stride, "SVD", &s->x[0]) &&
           buffer_new(dev, 4ull * s->np * s->stride, "SVD", &s->x[1]) &&
           buffer_new(dev, vector, "SVD", &s->norms) &&
           buffer_new(dev, vector, "SVD", &s->lengths) &&
           buffer_new(dev, vector, "SVD", &s->index) &&
           buffer_new(dev, vector, "SVD", &s->order) &&
           buffer_new(dev, 4ull * (d + 1), "SVD", &s->largest) &&
           orth_new(dev, s->np, &s->orth) && jacobi_new(dev, s->np, &s->jacobi);
}

// Finds max |A|, which also tells of NaN.
static bool svd_look(struct svd *s, struct buffer *a, uint32_t d, uint32_t m)
{
    struct cmd cmd;
    cmd_start(&cmd, s->dev, false);
    op_largest_rows(&cmd, (struct largest_rows_args){.x = a->address, .rows = d, .cols = m,
                                                     .y = s->largest->address + 4});
    op_largest_rows(&cmd, (struct largest_rows_args){.x = s->largest->address + 4, .rows = 1,
                                                     .cols = d, .y = s->largest->address});
    float largest = 0;
    bool ok = cmd_run_once(&cmd) && buffer_read(s->dev, s->largest, 0, &largest, sizeof largest);
    cmd_free(&cmd);
    if (ok && !(largest < 3.4e38f))
        return fail(STATUS_BAD_DATA,
                    "SVD: the matrix [%u, %u] has an entry that is NaN or infinite", d, m);
    return ok;
}

static void copy(struct cmd *cmd, fbuf x, uint32_t ldx, fbuf y, uint32_t ldy, uint32_t rows,
                 uint32_t cols, bool turned)
{
    op_copy_part(cmd, (struct copy_part_args){.x = x, .largest = x, .y = y, .rows = rows,
                                              .cols = cols, .ldx = ldx, .ldy = ldy,
                                              .rows_in = turned ? cols : rows,
                                              .cols_in = turned ? rows : cols,
                                              .turned = turned});
}

// B, scaled to one, its rows sorted by length; B = L Q; x = [L^T | Q]. With the rows sorted, L^T
// is nearly graded by rows, which is what makes Jacobi on them accurate and quick.
static bool svd_reduce(struct svd *s, struct buffer *a, uint32_t d, uint32_t m)
{
    struct cmd cmd;
    cmd_start(&cmd, s->dev, false);
    fbuf loaded = s->lower->address, rows = s->rows->address, x = s->x[0]->address;
    op_copy_part(&cmd, (struct copy_part_args){.x = a->address, .largest = s->largest->address,
                                               .y = loaded, .rows = s->np, .cols = s->mp, .ldx = m,
                                               .ldy = s->mp, .rows_in = d, .cols_in = m,
                                               .turned = s->turned, .scaled = true});
    op_norm_rows(&cmd, (struct norm_rows_args){.x = loaded, .y = s->norms->address, .rows = s->np,
                                               .cols = s->mp, .ldx = s->mp});
    op_sort_index(&cmd, (struct sort_index_args){.x = s->norms->address,
                                                 .index = s->index->address, .n = s->np});
    op_gather_rows(&cmd, (struct gather_rows_args){.x = loaded, .index = s->index->address,
                                                   .y = rows, .rows = s->np, .cols = s->mp});
    op_fill(&cmd, (struct fill_args){.y = s->lower->address, .n = s->np * s->np});
    orth_rows(&cmd, &s->orth, matrix_of(rows, s->np, s->mp), 0,
              matrix_of(s->lower->address, s->np, s->np));
    copy(&cmd, s->lower->address, s->np, x, s->stride, s->np, s->np, true);
    if (s->right) copy(&cmd, rows, s->mp, x + 4ull * s->np, s->stride, s->np, s->mp, false);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok;
}

// Rows of x, by falling length: diag(sigma) U^T with columns in the order of the sorted rows of B,
// and V^T behind them.
static bool svd_finish(struct svd *s, fbuf x, struct buffer *left, struct buffer *sigma,
                       struct buffer *right, uint32_t found[2])
{
    const struct svd_vectors_args common = {
        .x = x, .lengths = s->norms->address, .gate = s->norms->address,
        .order = s->order->address, .columns = s->index->address, .rows = s->n, .cols = s->np,
        .ldx = s->stride, .limit = s->n, .least = NOTHING};
    struct cmd cmd;
    cmd_start(&cmd, s->dev, false);
    op_norm_rows(&cmd, (struct norm_rows_args){.x = x, .y = s->norms->address, .rows = s->np,
                                               .cols = s->np, .ldx = s->stride});
    op_sort_index(&cmd, (struct sort_index_args){.x = s->norms->address,
                                                 .index = s->order->address, .n = s->np});
    struct svd_vectors_args u = common, v = common;
    u.y = left ? left->address : 0;
    if (left) op_svd_vectors(&cmd, u);
    v.x = x + 4ull * s->np;
    v.lengths = s->lengths->address;
    v.cols = s->mp;
    v.limit = s->m;
    v.plain = true;
    v.y = right ? right->address : 0;
    if (right) {
        op_norm_rows(&cmd, (struct norm_rows_args){.x = v.x, .y = s->lengths->address,
                                                   .rows = s->np, .cols = s->mp,
                                                   .ldx = s->stride});
        op_svd_vectors(&cmd, v);
    }
    op_svd_values(&cmd, (struct svd_values_args){.norms = s->norms->address,
                                                 .order = s->order->address,
                                                 .largest = s->largest->address,
                                                 .sigma = sigma->address, .n = s->n,
                                                 .least = NOTHING});
    op_count_rows(&cmd, (struct count_rows_args){.x = s->norms->address, .n = s->np,
                                                 .count = s->index->address, .least = NOTHING});
    float first = 0; // sigma_0, for the rank
    bool ok = cmd_run_once(&cmd) && buffer_read(s->dev, s->index, 0, &found[0], 4) &&
              buffer_read(s->dev, sigma, 0, &first, sizeof first);
    float least = first * FLT_EPSILON * (float)s->m;
    op_count_rows(&cmd, (struct count_rows_args){.x = sigma->address, .n = s->n,
                                                 .count = s->index->address, .least = least});
    ok = ok && cmd_run_once(&cmd) && buffer_read(s->dev, s->index, 0, &found[1], 4);
    cmd_free(&cmd);
    return ok;
}

bool svd_full(struct device *dev, struct buffer *a, uint32_t d, uint32_t m, struct buffer *u_rows,
              struct buffer *sigma, struct buffer *v_rows, struct svd_report *report)
{
    double started = log_clock();
    struct svd s;
    struct svd_report told = {0};
    uint32_t found[2] = {0}; // singular values over zero, and over rounding
    fbuf x = 0;
    bool ok = svd_start(&s, dev, d, m, u_rows, v_rows) && svd_look(&s, a, d, m) &&
              svd_reduce(&s, a, d, m) &&
              jacobi_run(&s.jacobi, s.x, s.cols, s.stride, s.n, &x, &told.sweeps, &told.cosine);
    // Left vectors of B are short ones, [n, n]; A's own left ones if B = A.
    struct buffer *left = s.turned ? v_rows : u_rows, *right = s.turned ? u_rows : v_rows;
    ok = ok && svd_finish(&s, x, left, sigma, right, found) &&
         (!left || basis_complete(dev, matrix_of(left->address, s.n, s.n), found[0])) &&
         (!right || basis_complete(dev, matrix_of(right->address, s.n, s.m), found[0]));
    told.zeros = s.n - found[0];
    told.rank = found[1];
    told.seconds = log_clock() - started;
    if (ok && report) *report = told;
    svd_free(&s);
    return ok;
}

bool svd_left(struct device *dev, struct buffer *a, uint32_t d, uint32_t m, struct buffer *u_rows,
              struct buffer *sigma, struct svd_report *report)
{
    return svd_full(dev, a, d, m, u_rows, sigma, NULL, report);
}
