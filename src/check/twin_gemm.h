// Matrix products: every result is one sum in the order of the inner index, whatever the tile.
#pragma once
#include "check/twin_weights.h"

// x[i, k] lies at i * row + k * col.
struct strides {
    uint64_t row, col;
};

#define PRODUCT_SUM(a, x_at, w_at, i, j, begin, end)                                               \
    product_sum(reals((a)->x) + (i) * (x_at).row, (x_at).col, (a)->w, (a)->variant & 15,           \
                (j) * (w_at).row, (w_at).col, begin, end)
#define STORE(a, at, sum) \
    store(reals((a)->y) + (at), (a)->alpha, sum, (a)->beta, reals((a)->r) + (at))

static real product_sum(const real *x, uint64_t x_step, ubuf w, uint32_t dtype, uint64_t w_first,
                        uint64_t w_step, uint32_t begin, uint32_t end)
{
    real sum = 0;
    for (uint32_t k = begin; k < end; k++)
        sum += x[k * x_step] * weight_at(w, dtype, w_first + k * w_step);
    return sum;
}

static void store(real *y, float alpha, real sum, float beta, const real *r)
{
    real v = (real)alpha * sum;
    if (beta != 0) v += (real)beta * *r;
    *y = calm(v);
}

// Of a lower triangle the device makes all of each tile that the diagonal crosses.
static bool is_made(uint32_t shape, uint32_t i, uint32_t tile, uint32_t j, uint32_t wide)
{
    return shape != SHAPE_LOWER || j / wide * wide < i / tile * tile + tile;
}

static uint32_t least_of(uint32_t x, uint32_t y)
{
    return x < y ? x : y;
}

TWIN(gemm_nt)
{
    const struct strides x = {a->ldx, 1}, w = {a->ldw, 1};
    for (uint32_t i = 0; i < a->rows; i++)
        for (uint32_t j = 0; j < a->outs; j++)
            if (is_made(a->shape, i, a->tile, j, a->wide))
                STORE(a, (uint64_t)i * a->ldy + j, PRODUCT_SUM(a, x, w, i, j, 0, a->inner));
}

// Part z of a sum has `span` terms.
TWIN(gemm_nn)
{
    const struct strides x = {a->ldx, 1}, w = {1, a->ldw};
    for (uint32_t z = 0; z * a->span < a->inner; z++)
        for (uint32_t i = 0; i < a->rows; i++) {
            const uint64_t row = (uint64_t)z * a->rows + i;
            uint32_t begin = z * a->span, end = least_of(begin + a->span, a->inner);
            if (a->shape == SHAPE_LEFT) end = least_of(end, i / a->tile * a->tile + a->tile);
            for (uint32_t j = 0; j < a->outs; j++)
                STORE(a, row * a->ldy + j, PRODUCT_SUM(a, x, w, i, j, begin, end));
        }
}

TWIN(gemm_tn)
{
    const struct strides x = {1, a->ldx}, w = {1, a->ldw};
    for (uint32_t i = 0; i < a->rows; i++) {
        uint32_t begin = a->shape == SHAPE_LEFT ? i / a->tile * a->tile : 0;
        for (uint32_t j = 0; j < a->outs; j++)
            if (is_made(a->shape, i, a->tile, j, a->wide))
                STORE(a, (uint64_t)i * a->ldy + j, PRODUCT_SUM(a, x, w, i, j, begin, a->inner));
    }
}
