#include "base/log.h"
#include "linalg/orth.h"
#include "linalg/project.h"
#include "linalg/svd.h"

// X = L Q for one side; rows padded to `t`, a multiple of four.
struct side {
    struct buffer *q, *l, *vectors; // [t, cols], [t, t], [t, t]: the small problem's vectors
};

static void copy_rows(struct cmd *cmd, struct buffer *x, struct buffer *y, uint32_t rows,
                      uint32_t rows_in, uint32_t cols)
{
    op_copy_part(cmd, (struct copy_part_args){.x = x->address, .largest = x->address,
                                              .y = y->address, .rows = rows, .cols = cols,
                                              .ldx = cols, .ldy = cols, .rows_in = rows_in,
                                              .cols_in = cols});
}

static bool side_new(struct device *dev, struct side *side, uint32_t t, uint32_t cols)
{
    return buffer_new(dev, 4ull * t * cols, "SVD of pairs", &side->q) &&
           buffer_new(dev, 4ull * t * t, "SVD of pairs", &side->l) &&
           buffer_new(dev, 4ull * t * t, "SVD of pairs", &side->vectors);
}

static void side_free(struct device *dev, struct side *side)
{
    buffer_free(dev, &side->q);
    buffer_free(dev, &side->l);
    buffer_free(dev, &side->vectors);
}

static void side_split(struct cmd *cmd, const struct side *side, const struct orth *orth,
                       struct buffer *x, uint32_t t, uint32_t given, uint32_t cols)
{
    copy_rows(cmd, x, side->q, t, given, cols);
    op_fill(cmd, (struct fill_args){.y = side->l->address, .n = t * t});
    orth_rows(cmd, orth, matrix_of(side->q->address, t, cols), 0,
              matrix_of(side->l->address, t, t));
}

static bool split(struct device *dev, struct side sides[2], struct buffer *x, struct buffer *y,
                  uint32_t t, uint32_t d, uint32_t m, struct buffer *core)
{
    const uint32_t padded = CEIL(t, 4) * 4;
    struct orth orth = {0};
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    bool ok = orth_new(dev, padded, &orth);
    if (ok) {
        side_split(&cmd, &sides[0], &orth, x, padded, t, d);
        side_split(&cmd, &sides[1], &orth, y, padded, t, m);
        gemm_tn(&cmd, matrix_of(sides[0].l->address, padded, padded),
                matrix_of(sides[1].l->address, padded, padded),
                matrix_of(core->address, padded, padded), 1, 0, false);
        ok = cmd_run_once(&cmd);
    }
    cmd_free(&cmd);
    orth_free(&orth);
    return ok;
}

// Vectors of the whole from those of the small problem; the ones of zero values come new.
static bool join(struct device *dev, const struct side *side, struct buffer *rows, uint32_t t,
                 uint32_t cols, uint32_t zeros)
{
    if (!rows) return true;
    const uint32_t padded = CEIL(t, 4) * 4;
    struct cmd cmd;
    cmd_start(&cmd, dev, false);
    gemm_nn(&cmd, matrix_of(side->vectors->address, t, padded),
            matrix_of(side->q->address, padded, cols), matrix_of(rows->address, t, cols), 1, 0);
    bool ok = cmd_run_once(&cmd);
    cmd_free(&cmd);
    return ok && basis_complete(dev, matrix_of(rows->address, t, cols), t - zeros);
}

// X = Lx Qx, Y = Ly Qy: X^T Y = Qx^T (Lx^T Ly) Qy. A dependent row leaves a zero row in Q and a
// zero column in L, so that the vectors of values over zero have nothing there.
static bool svd_thin(struct device *dev, struct buffer *x, struct buffer *y, uint32_t t, uint32_t d,
                     uint32_t m, struct buffer *u_rows, struct buffer *sigma,
                     struct buffer *v_rows, struct svd_report *told)
{
    const uint32_t padded = CEIL(t, 4) * 4;
    struct side sides[2] = {0};
    struct buffer *core = NULL, *values = NULL;
    bool ok = side_new(dev, &sides[0], padded, d) && side_new(dev, &sides[1], padded, m) &&
              buffer_new(dev, 4ull * padded * padded, "SVD of pairs", &core) &&
              buffer_new(dev, 4ull * padded, "SVD of pairs", &values) &&
              split(dev, sides, x, y, t, d, m, core) &&
              svd_full(dev, core, padded, padded, sides[0].vectors, values, sides[1].vectors, told);
    if (ok) {
        const uint32_t padding = padded - t; // whose values are zero, too
        told->zeros = told->zeros > padding ? told->zeros - padding : 0;
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        copy_rows(&cmd, values, sigma, 1, 1, t);
        ok = cmd_run_once(&cmd) && join(dev, &sides[0], u_rows, t, d, told->zeros) &&
             join(dev, &sides[1], v_rows, t, m, told->zeros);
        cmd_free(&cmd);
    }
    buffer_free(dev, &core);
    buffer_free(dev, &values);
    side_free(dev, &sides[0]);
    side_free(dev, &sides[1]);
    return ok;
}

bool svd_pairs(struct device *dev, struct buffer *x, struct buffer *y, uint32_t t, uint32_t d,
               uint32_t m, struct buffer *u_rows, struct buffer *sigma, struct buffer *v_rows,
               struct svd_report *report)
{
    const double started = log_clock();
    struct svd_report told = {0};
    bool ok;
    if (t <= (d < m ? d : m)) {
        ok = svd_thin(dev, x, y, t, d, m, u_rows, sigma, v_rows, &told);
    } else { // more pairs than dimensions: the sum is smaller than they are
        struct buffer *sum = NULL;
        struct cmd cmd;
        cmd_start(&cmd, dev, false);
        ok = buffer_new(dev, 4ull * d * m, "the sum of pairs", &sum);
        if (ok)
            gemm_tn(&cmd, matrix_of(x->address, t, d), matrix_of(y->address, t, m),
                    matrix_of(sum->address, d, m), 1, 0, false);
        ok = ok && cmd_run_once(&cmd) &&
             svd_full(dev, sum, d, m, u_rows, sigma, v_rows, &told);
        cmd_free(&cmd);
        buffer_free(dev, &sum);
    }
    told.seconds = log_clock() - started;
    if (ok && report) *report = told;
    return ok;
}
