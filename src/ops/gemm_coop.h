// gemm_nt on matrix units. Who calls asks gemm_coop_fits first; what is faster is not decided here.
#pragma once
#include "ops/gemm.h"

// Whether the device and this build have it, and the matrices are aligned as it needs.
bool gemm_coop_fits(const struct device *dev, struct matrix x, struct weight w, uint32_t ldw);

// y = alpha * x w^T + beta * r, r spaced as y.  x: [M, K]  w: [N, K], ldw apart  y, r: [M, N]
void gemm_coop(struct cmd *cmd, struct matrix x, struct weight w, uint32_t ldw, fbuf r,
               struct matrix y, float alpha, float beta);

// What gemm_coop gives the operator: rows of a tile (of BUILD), threads of a workgroup.
uint32_t gemm_coop_tile(uint32_t rows);
uint32_t gemm_coop_local(const struct device *dev);
