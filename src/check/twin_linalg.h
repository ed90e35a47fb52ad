// Linear algebra but for products and Jacobi.
#pragma once
#include "check/twin_real.h"

// 2^-e for x in [2^e, 2^(e+1)), held inside the normal range of floats; 1 for zero.
static real unit_scale(real x)
{
    int above = 0; // e + 1
    if (x == 0) return 1;
    frexp((double)x, &above);
    int e = 1 - above;
    return (real)ldexp(1, e < -126 ? -126 : e > 127 ? 127 : e);
}

TWIN(copy_part)
{
    real scale = a->scaled ? unit_scale(reals(a->largest)[0]) : 1;
    for (uint32_t i = 0; i < a->rows; i++)
        for (uint32_t j = 0; j < a->cols; j++) {
            uint32_t row = a->turned ? j : i, col = a->turned ? i : j;
            bool inside = row < a->rows_in && col < a->cols_in;
            reals(a->y)[(uint64_t)i * a->ldy + j] =
                inside ? calm(scale * reals(a->x)[(uint64_t)row * a->ldx + col]) : 0;
        }
}

TWIN(largest_rows)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        real largest = 0;
        for (uint32_t i = 0; i < a->cols; i++) {
            real x = size_of(reals(a->x)[(uint64_t)r * a->cols + i]);
            largest = larger(largest, x <= R(3.4e38) ? x : R(3.4e38)); // NaN too
        }
        reals(a->y)[r] = largest;
    }
}

TWIN(norm_rows)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        const real *x = reals(a->x) + (uint64_t)r * a->ldx;
        reals(a->y)[r] = root(dot_by_group(x, x, a->cols));
    }
}

TWIN(sort_index)
{
    const real *x = reals(a->x);
    for (uint32_t me = 0; me < a->n; me++) {
        uint32_t rank = 0;
        for (uint32_t i = 0; i < a->n; i++) rank += x[i] > x[me] || (x[i] == x[me] && i < me);
        words(a->index)[rank] = me;
    }
}

TWIN(count_rows)
{
    uint32_t count = 0;
    bool bad = false;
    for (uint32_t i = 0; i < a->n; i++) {
        real x = reals(a->x)[i];
        count += x > (real)a->least;
        bad = bad || !(x <= R(3.4e38));
    }
    words(a->count)[0] = bad ? UINT32_MAX : count;
}

// The 32-bit finaliser of MurmurHash3 but for its last round.
static uint32_t mixed(uint32_t x)
{
    x = (x ^ x >> 16) * 0x85ebca6b;
    x = (x ^ x >> 13) * 0xc2b2ae35;
    return x ^ x >> 16;
}

TWIN(random)
{
    for (uint32_t i = 0; i < a->n; i++)
        reals(a->y)[i] = count_of(mixed(i + mixed(a->seed)) >> 8) / R(16777216.0) - R(0.5);
}

TWIN(outer_some)
{
    for (uint32_t i = 0; i < a->rows * a->cols; i++)
        if (mixed(mixed(i + a->seed) ^ a->number) >= a->zeros)
            reals(a->w)[i] += reals(a->u)[i / a->cols] * reals(a->v)[i % a->cols];
}

TWIN(unit_row)
{
    real *x = reals(a->x), len = root(dot_by_group(x, x, a->cols));
    bool gone = !(len > (real)a->tol * reals(a->before)[0] && len > (real)a->least);
    for (uint32_t i = 0; i < a->cols; i++) x[i] = gone ? 0 : calm(quotient(x[i], len));
    reals(a->norm)[0] = gone ? 0 : len;
}

TWIN(sweep_rows)
{
    const real *q = reals(a->q);
    for (uint32_t r = 0; r < a->rows; r++) {
        real *x = reals(a->x) + (uint64_t)r * a->ldx, along = dot_by_group(q, x, a->cols);
        for (uint32_t i = 0; i < a->cols; i++) x[i] = calm(x[i] - along * q[i]);
        reals(a->coef)[(uint64_t)r * a->ldc] = along;
    }
}

TWIN(svd_values)
{
    real scale = unit_scale(reals(a->largest)[0]);
    for (uint32_t i = 0; i < a->n; i++) {
        real x = reals(a->norms)[words(a->order)[i]];
        reals(a->sigma)[i] = x < (real)a->least ? 0 : quotient(x, scale);
    }
}

TWIN(svd_vectors)
{
    for (uint32_t i = 0; i < a->rows; i++)
        for (uint32_t c = 0; c < a->cols; c++) {
            uint32_t row = words(a->order)[i], col = a->plain ? c : words(a->columns)[c];
            if (col >= a->limit) continue;
            real x = quotient(reals(a->x)[(uint64_t)row * a->ldx + c], reals(a->lengths)[row]);
            reals(a->y)[(uint64_t)i * a->limit + col] =
                reals(a->gate)[row] < (real)a->least ? 0 : calm(x);
        }
}

TWIN(chol_shift)
{
    real part[LOCAL] = {0}, *state = reals(a->state);
    for (uint32_t i = 0; i < a->n; i++) part[i % LOCAL] += reals(a->c)[(uint64_t)i * (a->n + 1)];
    state[0] = a->ridge != 0 ? (real)a->ridge * quotient(group_sum(part), count_of(a->n)) : 0;
    state[1] = state[2] = state[3] = 0;
}

TWIN(mirror)
{
    real *c = reals(a->c);
    for (uint64_t i = 0; i < a->n; i++)
        for (uint64_t j = 0; j < i; j++) c[j * a->n + i] = c[i * a->n + j];
}

enum { CHOL = 64 }; // rows of a diagonal block, and floats from row to row

// Right-looking, a column at a time. A bad pivot is reported once and replaced by 1.
static void chol_factor(const struct chol_block_args *a, real l[CHOL][CHOL])
{
    real *state = reals(a->state);
    for (uint32_t j = 0; j < a->size; j++) {
        uint64_t place = (uint64_t)(a->first + j) * (a->ldl + 1);
        real pivot = l[j][j], entry = reals(a->diagonal)[place] + state[0];
        bool good = pivot > R(2.4e-7) * entry && pivot < R(3.4e38);
        if (!good && state[1] == 0) {
            state[1] = count_of(a->first + j + 1);
            state[2] = pivot;
            state[3] = entry;
        }
        l[j][j] = good ? root(pivot) : 1;
        for (uint32_t i = j + 1; i < a->size; i++) l[i][j] = quotient(l[i][j], l[j][j]);
        for (uint32_t i = j + 1; i < a->size; i++)
            for (uint32_t k = j + 1; k <= i; k++) l[i][k] -= l[i][j] * l[k][j];
    }
}

// Column by column by forward substitution.
static void chol_invert(real l[CHOL][CHOL], uint32_t size, real *inverse)
{
    for (uint32_t col = 0; col < CHOL; col++)
        for (uint32_t i = 0; i < CHOL; i++) {
            real x = i == col ? 1 : 0;
            bool inside = i >= col && i < size && col < size;
            for (uint32_t k = col; inside && k < i; k++) x -= l[i][k] * inverse[k * CHOL + col];
            inverse[i * CHOL + col] = inside ? quotient(x, l[i][i]) : 0;
        }
}

TWIN(chol_block)
{
    real l[CHOL][CHOL];
    for (uint32_t i = 0; i < a->size; i++) {
        for (uint32_t j = 0; j <= i; j++) l[i][j] = reals(a->block)[i * CHOL + j];
        l[i][i] += reals(a->state)[0];
    }
    chol_factor(a, l);
    for (uint32_t i = 0; i < a->size; i++)
        for (uint32_t j = 0; j <= i; j++) reals(a->lower)[(uint64_t)i * a->ldl + j] = l[i][j];
    chol_invert(l, a->size, reals(a->inverse));
}

TWIN(chol_turn)
{
    real l[CHOL][CHOL], x[CHOL];
    for (uint32_t i = 0; i < a->size; i++) {
        for (uint32_t j = 0; j <= i; j++) l[i][j] = reals(a->lower)[(uint64_t)i * a->ldl + j];
        x[i] = reals(a->x)[i];
    }
    for (uint32_t j = 0; j < a->size; j++) {
        real p = l[j][j], r = root(p * p + x[j] * x[j]);
        real c = quotient(p, r), s = quotient(x[j], r);
        l[j][j] = r;
        for (uint32_t i = j + 1; i < a->size; i++) {
            real below = l[i][j];
            l[i][j] = calm(c * below + s * x[i]);
            x[i] = calm(c * x[i] - s * below);
        }
        reals(a->turn)[2 * j] = calm(c);
        reals(a->turn)[2 * j + 1] = calm(s);
    }
    for (uint32_t i = 0; i < a->size; i++)
        for (uint32_t j = 0; j <= i; j++) reals(a->lower)[(uint64_t)i * a->ldl + j] = l[i][j];
    chol_invert(l, a->size, reals(a->inverse));
}

TWIN(chol_turn_rows)
{
    for (uint32_t r = 0; r < a->rows; r++) {
        real *row = reals(a->lower) + (uint64_t)r * a->ldl, rest = reals(a->x)[r];
        for (uint32_t j = 0; j < a->size; j++) {
            real c = reals(a->turn)[2 * j], s = reals(a->turn)[2 * j + 1], below = row[j];
            row[j] = calm(c * below + s * rest);
            rest = calm(c * rest - s * below);
        }
        reals(a->x)[r] = rest;
    }
}

TWIN(tri_gather)
{
    for (uint32_t r = 0; r < a->rows; r++)
        reals(a->y)[r] =
            calm(reals(a->x)[r] - dot_by_group(reals(a->lower) + (uint64_t)r * a->ldl,
                                               reals(a->solved), a->cols));
}

TWIN(tri_block)
{
    for (uint32_t i = 0; i < a->size; i++) {
        real sum = 0;
        for (uint32_t k = 0; k < a->size; k++)
            sum += reals(a->inverse)[a->turned ? k * CHOL + i : i * CHOL + k] * reals(a->x)[k];
        reals(a->y)[i] = calm(sum);
    }
}

TWIN(tri_spread)
{
    for (uint32_t col = 0; col < a->cols; col++) {
        real sum = 0;
        for (uint32_t i = 0; i < a->rows; i++)
            sum += reals(a->lower)[(uint64_t)i * a->ldl + col] * reals(a->x)[i];
        reals(a->y)[col] = calm(reals(a->y)[col] - sum);
    }
}

struct two { // a number as the sum of two
    real high, low;
};

static struct two two_add(struct two s, struct two t)
{
    real high = s.high + t.high, back = high - s.high;
    real rest = (s.high - (high - back)) + (t.high - back);
    real low = rest + (s.low + t.low), top = high + low;
    return (struct two){top, low - (top - high)};
}

// Dekker: x * y exactly, by halves of the mantissas.
static struct two two_product(real x, real y)
{
    const real half = sizeof(real) == sizeof(float) ? R(4097.0) : R(134217729.0);
    real p = x * y, cx = half * x, cy = half * y;
    real hx = cx - (cx - x), hy = cy - (cy - y), lx = x - hx, ly = y - hy;
    return (struct two){p, ((hx * hy - p) + hx * ly + lx * hy) + lx * ly};
}

// A thread's share of the terms in order, the first one's with what else there is; then by halves.
TWIN(residual)
{
    const real *x = reals(a->x);
    for (uint32_t r = 0; r < a->n; r++) {
        struct two sum[LOCAL] = {{0, 0}};
        for (uint32_t i = 0; i < a->n; i++)
            sum[i % LOCAL] = two_add(sum[i % LOCAL],
                                     two_product(-reals(a->c)[(uint64_t)r * a->n + i], x[i]));
        sum[0] = two_add(sum[0], two_product(-reals(a->state)[0], x[r]));
        sum[0] = two_add(sum[0], (struct two){reals(a->b)[r], 0});
        for (uint32_t half = LOCAL / 2; half > 0; half /= 2)
            for (uint32_t i = 0; i < half; i++) sum[i] = two_add(sum[i], sum[i + half]);
        reals(a->r)[r] = sum[0].high + sum[0].low;
    }
}
