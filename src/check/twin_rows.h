// Operators on rows of the residual stream and on vectors.
#pragma once
#include "check/twin_real.h"

// Sums of rows in steps of four: element i goes to one of 256 sums, those of a thread are added
// first.
enum { QUADS = 4 * LOCAL };

static real quads_sum(const real part[QUADS])
{
    real of_thread[LOCAL];
    for (int t = 0; t < LOCAL; t++)
        of_thread[t] = part[4 * t] + part[4 * t + 1] + part[4 * t + 2] + part[4 * t + 3];
    return group_sum(of_thread);
}

TWIN(rmsnorm)
{
    const real *w = reals(a->w);
    for (uint32_t r = 0; r < a->rows; r++) {
        const real *x = reals(a->x) + (uint64_t)r * a->cols;
        real *y = reals(a->y) + (uint64_t)r * a->cols, part[QUADS] = {0};
        for (uint32_t i = 0; i < a->cols; i++) part[i % QUADS] += x[i] * x[i];
        real mean = quotient(quads_sum(part), count_of(a->cols));
        real scale = quotient(1, root(mean + (real)a->eps));
        for (uint32_t i = 0; i < a->cols; i++) y[i] = calm(x[i] * scale * w[i]);
    }
}

TWIN(rmsnorm_back)
{
    const real *w = reals(a->w), n = count_of(a->cols);
    for (uint32_t r = 0; r < a->rows; r++) {
        const uint64_t at = (uint64_t)r * a->cols;
        const real *x = reals(a->x) + at, *dy = reals(a->dy) + at;
        real *dx = reals(a->dx) + at, squares[QUADS] = {0}, products[QUADS] = {0};
        for (uint32_t i = 0; i < a->cols; i++) {
            squares[i % QUADS] += x[i] * x[i];
            products[i % QUADS] += w[i] * dy[i] * x[i];
        }
        real scale = quotient(1, root(quotient(quads_sum(squares), n) + (real)a->eps));
        real back = quotient(quads_sum(products) * scale * scale * scale, n);
        for (uint32_t i = 0; i < a->cols; i++)
            dx[i] = calm(dx[i] + (scale * w[i] * dy[i] - back * x[i]));
    }
}

// Turns one head of a row; table: (cos, sin) of each pair, NULL: by no angle.
static void turn_head(const struct rope_args *a, const real *x, const real *table, real *y)
{
    for (uint32_t i = 0; i < a->dim / 2; i++) {
        uint32_t first = a->interleaved ? 2 * i : i;
        uint32_t second = a->interleaved ? 2 * i + 1 : i + a->dim / 2;
        real c = table ? table[2 * i] : 1, s = (real)a->sign * (table ? table[2 * i + 1] : 0);
        real turned = x[first] * c - x[second] * s, other = x[first] * s + x[second] * c;
        y[first] = calm(turned);
        y[second] = calm(other);
    }
}

TWIN(rope)
{
    const uint32_t dim = a->dim, kv = a->kv_heads;
    for (uint32_t r = 0; r < a->rows; r++) {
        const real *table = reals(a->table) + (uint64_t)words(a->pos)[r] * dim;
        const uint64_t slot = words(a->slot)[r];
        for (uint32_t h = 0; h < a->heads; h++) {
            uint64_t at = ((uint64_t)r * a->heads + h) * dim;
            turn_head(a, reals(a->q) + at, table, reals(a->q_out) + at);
        }
        for (uint32_t h = 0; h < kv; h++)
            turn_head(a, reals(a->k) + ((uint64_t)r * kv + h) * dim, table,
                      reals(a->k_out) + (slot * kv + h) * dim);
        for (uint32_t h = 0; h < a->v_heads; h++)
            turn_head(a, reals(a->v) + ((uint64_t)r * kv + h) * dim, NULL,
                      reals(a->v_out) + (slot * kv + h) * dim);
    }
}

TWIN(scatter_rows)
{
    for (uint32_t r = 0; r < a->rows; r++)
        memcpy(reals(a->y) + (uint64_t)words(a->slot)[r] * a->cols,
               reals(a->x) + (uint64_t)r * a->cols, a->cols * sizeof(real));
}

TWIN(gather_rows)
{
    for (uint32_t r = 0; r < a->rows; r++)
        memcpy(reals(a->y) + (uint64_t)r * a->cols,
               reals(a->x) + (uint64_t)words(a->index)[r] * a->cols, a->cols * sizeof(real));
}

TWIN(add_row)
{
    for (uint32_t r = 0; r < a->count; r++)
        for (uint32_t i = 0; i < a->cols; i++)
            reals(a->y)[(uint64_t)words(a->index)[r] * a->cols + i] += reals(a->x)[i];
}

TWIN(sum_rows)
{
    for (uint32_t col = 0; col < a->cols; col++) {
        real sum = 0;
        for (uint32_t i = 0; i < a->count; i++)
            sum += reals(a->weight)[i] * reals(a->x)[(uint64_t)words(a->index)[i] * a->cols + col];
        reals(a->y)[col] = calm(sum);
    }
}

TWIN(outer)
{
    for (uint32_t r = 0; r < a->rows; r++)
        for (uint32_t i = 0; i < a->cols; i++)
            reals(a->w)[(uint64_t)r * a->cols + i] +=
                (real)a->alpha * reals(a->u)[r] * reals(a->v)[i];
}

TWIN(silu_gate)
{
    for (uint32_t i = 0; i < a->n; i++) {
        real g = reals(a->g)[i];
        reals(a->y)[i] = calm(quotient(g, 1 + power(-g)) * reals(a->u)[i]);
    }
}

TWIN(silu_gate_back)
{
    for (uint32_t i = 0; i < a->n; i++) {
        real g = reals(a->g)[i], u = reals(a->u)[i], dy = reals(a->dy)[i];
        real s = quotient(1, 1 + power(-g));
        reals(a->du)[i] = calm(dy * g * s);
        reals(a->dg)[i] = calm(dy * u * s * (1 + g * (1 - s)));
    }
}

TWIN(fill)
{
    for (uint32_t i = 0; i < a->n; i++) reals(a->y)[i] = (real)a->value;
}

TWIN(axpby)
{
    for (uint32_t i = 0; i < a->n; i++) {
        real y = (real)a->alpha * reals(a->x)[i];
        if (a->beta != 0) y += (real)a->beta * reals(a->y)[i];
        reals(a->y)[i] = calm(y);
    }
}

TWIN(dot_rows)
{
    for (uint32_t r = 0; r < a->rows; r++)
        reals(a->y)[r] = dot_by_group(reals(a->x) + (uint64_t)r * a->cols,
                                      reals(a->w) + (uint64_t)r * a->w_step, a->cols);
}

TWIN(sum_parts)
{
    for (uint32_t i = 0; i < a->n; i++) {
        real sum = reals(a->x)[i];
        if (a->add) sum += reals(a->r)[i];
        for (uint32_t p = 1; p < a->parts; p++) sum += reals(a->x)[(uint64_t)p * a->n + i];
        reals(a->y)[i] = calm(sum);
    }
}

TWIN(evaluate)
{
    for (uint32_t i = 0; i < a->n; i++) {
        real x = reals(a->x)[i];
        if (a->function == 0) reals(a->y)[i] = power(x);
        if (a->function == 1) reals(a->y)[i] = logarithm(x);
        if (a->function == 2) reals(a->y)[i] = root(x);
        if (a->function == 3) reals(a->y)[i] = quotient(x, reals(a->w)[i]);
    }
}
