// One-sided block Jacobi: blocks of HALF rows meet in pairs (pairs.glsl).
#pragma once
#include "check/twin_weights.h"

enum { HALF = 16, PAIR = 2 * HALF };

// Pair p of a meeting of `count` contestants, the smaller first.
static void pair_of(uint32_t p, uint32_t meeting, uint32_t count, uint32_t pair[2])
{
    uint32_t last = count - 1, i = (meeting + p) % last, j = p ? (meeting + last - p) % last : last;
    pair[0] = i < j ? i : j;
    pair[1] = i < j ? j : i;
}

// Row r of a pair of blocks, as a row of the whole matrix.
static uint64_t pair_row(const uint32_t pair[2], uint32_t r)
{
    return r < HALF ? pair[0] * HALF + r : pair[1] * HALF + r - HALF;
}

TWIN(jacobi_gram)
{
    for (uint32_t p = 0; p < a->blocks / 2; p++) {
        uint32_t pair[2];
        pair_of(p, a->meeting, a->blocks, pair);
        for (uint32_t i = 0; i < PAIR; i++)
            for (uint32_t j = 0; j < PAIR; j++) {
                const real *x = reals(a->x) + pair_row(pair, i) * a->ldx;
                real sum = 0;
                for (uint32_t k = 0; k < a->inner; k++)
                    sum += x[k] * weight_at(a->w, DTYPE_F32, pair_row(pair, j) * a->ldw + k);
                reals(a->y)[(p * PAIR + i) * PAIR + j] = sum;
            }
    }
}

struct turning { // of one pair of blocks: the product of all rotations is unit rows home[i] plus t
    real g[PAIR][PAIR], t[PAIR][PAIR];
    uint32_t home[PAIR];
};

struct rotation { // of rows p < q
    uint32_t p, q;
    real versine, sine; // 1 - cos, sin
    bool swap, turns;   // the rows then change places; g's block becomes diagonal:
    real diagonal[2];
};

static real cosine_between(const struct turning *s, uint32_t i, uint32_t j)
{
    const real nothing = R(1e-30); // square of a length that counts as zero
    real x = s->g[i][i], y = s->g[j][j];
    return x > nothing && y > nothing ? quotient(size_of(s->g[i][j]), root(x) * root(y)) : 0;
}

static struct rotation rotation_find(const struct turning *s, uint32_t p, uint32_t q, real tol)
{
    struct rotation r = {.p = p, .q = q};
    real x = s->g[p][p], y = s->g[q][q], z = s->g[p][q];
    if (!(cosine_between(s, p, q) > R(0.25) * tol)) return r;
    real zeta = quotient(y - x, 2 * z), size = size_of(zeta);
    real u = size > R(1e9) ? quotient(R(0.5), size) : quotient(1, size + root(1 + size * size));
    if (zeta < 0) u = -u;
    real c = quotient(1, root(1 + u * u)), sine = c * u;
    real d[2] = {larger(x - u * z, 0), larger(y + u * z, 0)};
    r.turns = true;
    r.swap = d[0] < d[1];
    r.versine = quotient(sine * sine, 1 + c);
    r.sine = sine;
    r.diagonal[0] = d[r.swap];
    r.diagonal[1] = d[!r.swap];
    return r;
}

// The rotation by rows.
static void rotation_matrix(const struct rotation *r, real m[2][2])
{
    real c = 1 - r->versine, s = r->sine;
    m[r->swap][0] = c;
    m[r->swap][1] = -s;
    m[!r->swap][0] = s;
    m[!r->swap][1] = c;
}

// g <- M g M^T for rotations i (by rows) and j (by columns).
static void rotate_gram(struct turning *s, const struct rotation *i, const struct rotation *j)
{
    const uint32_t row[2] = {i->p, i->q}, col[2] = {j->p, j->q};
    real m[2][2], n[2][2], half[2][2];
    rotation_matrix(i, m);
    rotation_matrix(j, n);
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++)
            half[r][c] = m[r][0] * s->g[row[0]][col[c]] + m[r][1] * s->g[row[1]][col[c]];
    for (int r = 0; r < 2; r++)
        for (int c = 0; c < 2; c++)
            s->g[row[r]][col[c]] = i == j && i->turns ? (r == c ? i->diagonal[r] : 0)
                                                      : half[r][0] * n[c][0] + half[r][1] * n[c][1];
}

static void rotate_rows(struct turning *s, const struct rotation *r)
{
    for (uint32_t j = 0; j < PAIR; j++) {
        real p = s->t[r->p][j], q = s->t[r->q][j];
        real x = p + (s->home[r->p] == j ? 1 : 0), y = q + (s->home[r->q] == j ? 1 : 0);
        p = calm(p - (r->versine * x + r->sine * y));
        q = calm(q + (r->sine * x - r->versine * y));
        s->t[r->p][j] = r->swap ? q : p;
        s->t[r->q][j] = r->swap ? p : q;
    }
    if (!r->swap) return;
    uint32_t old = s->home[r->p];
    s->home[r->p] = s->home[r->q];
    s->home[r->q] = old;
}

// Row i of the product is made a unit row again: e + t with |e + t|^2 = 1 + d.
static void write_row(const struct turning *s, uint32_t i, real *to)
{
    real d = 2 * s->t[i][s->home[i]];
    for (uint32_t j = 0; j < PAIR; j++) d += s->t[i][j] * s->t[i][j];
    real f = quotient(-d, 1 + d + root(1 + d));
    for (uint32_t j = 0; j < PAIR; j++) {
        real x = s->t[i][j];
        to[j] = calm(x + f * (x + (s->home[i] == j ? 1 : 0)));
    }
}

// One sweep over all pairs of the 32 rows.
static void turn_all(struct turning *s, real tol)
{
    for (uint32_t meeting = 0; meeting < PAIR - 1; meeting++) {
        struct rotation r[HALF];
        for (uint32_t i = 0; i < HALF; i++) {
            uint32_t pair[2];
            pair_of(i, meeting, PAIR, pair);
            r[i] = rotation_find(s, pair[0], pair[1], tol);
        }
        for (uint32_t i = 0; i < HALF; i++)
            for (uint32_t j = 0; j < HALF; j++) rotate_gram(s, &r[i], &r[j]);
        for (uint32_t i = 0; i < HALF; i++) rotate_rows(s, &r[i]);
    }
}

TWIN(jacobi_turn)
{
    const real tol = (real)a->tol;
    for (uint32_t p = 0; p < a->pairs; p++) {
        struct turning s = {.home = {0}};
        real worst = 0;
        memcpy(s.g, reals(a->gram) + (uint64_t)p * PAIR * PAIR, sizeof s.g);
        for (uint32_t i = 0; i < PAIR; i++) s.home[i] = i;
        for (uint32_t i = 0; i < PAIR; i++)
            for (uint32_t j = i + 1; j < PAIR; j++) worst = larger(worst, cosine_between(&s, i, j));
        reals(a->worst)[p] = larger(reals(a->worst)[p], worst);
        words(a->busy)[p] = worst > tol;
        if (worst <= tol) continue;
        turn_all(&s, tol);
        for (uint32_t i = 0; i < PAIR; i++) {
            write_row(&s, i, reals(a->turn) + (uint64_t)(p * PAIR + i) * PAIR);
            words(a->home)[p * PAIR + i] = s.home[i];
        }
    }
}

// A pair's rows, `turns` or as they were.
static void apply_pair(const struct jacobi_apply_args *a, uint32_t p, const uint32_t pair[2])
{
    for (uint32_t i = 0; i < PAIR; i++) {
        const real *x = reals(a->x) + (uint64_t)(p * PAIR + i) * a->ldx;
        real *y = reals(a->y) + pair_row(pair, i) * a->ldw;
        bool busy = words(a->busy)[p] != 0;
        uint64_t home = pair_row(pair, busy ? words(a->home)[p * PAIR + i] : i) * a->ldw;
        for (uint32_t c = 0; c < a->outs; c++) {
            real own = weight_at(a->w, DTYPE_F32, home + c), sum = 0;
            for (uint32_t k = 0; busy && k < PAIR; k++)
                sum += x[k] * weight_at(a->w, DTYPE_F32, pair_row(pair, k) * a->ldw + c);
            y[c] = busy ? calm(sum + own) : own;
        }
    }
}

TWIN(jacobi_apply)
{
    for (uint32_t p = 0; p < a->blocks / 2; p++) {
        uint32_t pair[2];
        pair_of(p, a->meeting, a->blocks, pair);
        apply_pair(a, p, pair);
    }
}
