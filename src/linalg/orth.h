// Blocked Gram-Schmidt on the rows of a matrix: A = L Q, the QR decomposition of A^T.
#pragma once
#include "ops/gemm.h"
#include "vk/buffer.h"

enum { ORTH_PANEL = 32 };

// Device scratch of orth_rows for matrices of at most `rows` rows.
struct orth {
    struct device *dev;
    uint32_t rows;
    float noise; // a row of which no more than this part is new becomes zero; 4 eps at first
    struct buffer *norms;  // of the rows as given: [rows]
    struct buffer *panels; // [2, ORTH_PANEL, ORTH_PANEL] triangles and [ORTH_PANEL, rows]
};

bool orth_new(struct device *dev, uint32_t rows, struct orth *orth);
void orth_free(struct orth *orth); // accepts zero

// Rows first.. of q become orthonormal to each other and to the rows before, which are so already;
// rows that depend on earlier ones become zero. l: [rows, >= rows], lower triangle gets
// L with A = L Q (backward stable row by row), the rest of it stays; l.data = 0: not wanted.
// Recorded. q's rows and stride should be multiples of 4 floats: others work, slowly.
void orth_rows(struct cmd *cmd, const struct orth *orth, struct matrix q, uint32_t first,
               struct matrix l);
