// Orthonormal bases that grow, and projections onto what they leave free.
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

// V^T: row i is basis vector i. Rows from `rows` to `capacity` are zero, so that products over a
// rounded-up number of rows are right.
struct basis {
    struct device *dev;
    uint32_t dim, rows, capacity;
    struct buffer *vectors; // [capacity, dim]; replaced when it grows
    struct buffer *work;    // coefficients [capacity], remainder [dim], scalars
};

bool basis_new(struct device *dev, uint32_t dim, uint32_t capacity, struct basis *basis);
void basis_free(struct basis *basis); // accepts zero
struct matrix basis_matrix(const struct basis *basis); // [rows, dim]

// Appends what is left of u after Gram-Schmidt twice (METHOD 2), normalised. u: [dim], unchanged.
// *kept = |rest| / |u|; under 1e-6, or once the basis is complete, nothing is added and *kept = 0.
// kept may be NULL. Runs and waits.
bool basis_push(struct basis *basis, fbuf u, float *kept);

// u <- u - V V^T u, `passes` times.  u: [v.cols]  v: [r, u's length]  coef: scratch, [r]
// One pass is O-Edit Eq. 28 as printed (v need not be orthonormal); two give orthogonality to
// rounding when v is (O-Edit Eq. 15). Recorded.
void project_out(struct cmd *cmd, struct matrix v, fbuf u, fbuf coef, uint32_t passes);

// u <- V V^T u, `passes` times: two leave nothing outside of an orthonormal v's span. Recorded.
void project_onto(struct cmd *cmd, struct matrix v, fbuf u, fbuf coef, uint32_t passes);

// u <- u + V coef.  coef: [r]  Recorded.
void project_add(struct cmd *cmd, struct matrix v, fbuf u, fbuf coef);

// G <- G - (G V) V^T.  g: [q, d]  v: [r, d]  coef: scratch, [q, r rounded up
// to a multiple of 4] (O-Edit Eq. 26). Recorded.
void project_rows(struct cmd *cmd, struct matrix g, struct matrix v, fbuf coef, uint32_t passes);

// The same once, of a share only: G <- G - share (G V) V^T.
void project_share(struct cmd *cmd, struct matrix g, struct matrix v, fbuf coef, float share);

// Replaces the rows of g [q, d] by an orthonormal basis of their span, in their order (O-Edit
// Eq. 15 needs it after Eq. 26). A row that depends on earlier ones becomes zero; *rank counts the
// others (may be NULL). Rows before `first` are taken to be orthonormal or zero. Runs and waits.
bool basis_orthonormalise(struct device *dev, struct matrix g, uint32_t first, uint32_t *rank);

// Replaces the rows from `from` on, which must leave g.rows <= g.cols, by random ones orthonormal
// to each other and to the rows before. Runs and waits.
bool basis_complete(struct device *dev, struct matrix g, uint32_t from);
