#include "ops/gemm_coop.h"

enum { TEAMS = 4, SHARED_BYTES = 24 * 1024 }; // subgroups and the most shared memory of a workgroup

uint32_t gemm_coop_tile(uint32_t rows)
{
    return rows <= 16 ? 16 : 64;
}

uint32_t gemm_coop_local(const struct device *dev)
{
    return TEAMS * dev->info.subgroup;
}

bool gemm_coop_fits(const struct device *dev, struct matrix x, struct weight w, uint32_t ldw)
{
    const struct device_info *info = &dev->info;
    return info->matrix_units && op_built(OP_gemm_coop) && info->subgroup >= 32 &&
           gemm_coop_local(dev) <= info->invocations && info->shared_bytes >= SHARED_BYTES &&
           ((x.data | w.data) & 15) == 0 && ((x.stride | x.cols | ldw) & 3) == 0;
}

void gemm_coop(struct cmd *cmd, struct matrix x, struct weight w, uint32_t ldw, fbuf r,
               struct matrix y, float alpha, float beta)
{
    op_gemm_coop(cmd, (struct gemm_coop_args){
                          .x = x.data, .w = w.data, .r = beta != 0 ? r : x.data, .y = y.data,
                          .rows = x.rows, .outs = w.rows, .inner = x.cols, .ldx = x.stride,
                          .ldw = ldw, .ldy = y.stride, .alpha = alpha, .beta = beta,
                          .variant = w.dtype, .tile = gemm_coop_tile(x.rows),
                          .local = gemm_coop_local(cmd->dev)});
}
