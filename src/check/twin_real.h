// Numbers of the twins: `real` is float and rounds as strict shaders do, or double (TWIN_DOUBLE).
// This file and twin_*.h that follow it are parts of twin_float.c and twin_double.c.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "check/numbers.h"
#include "check/twin.h"

#ifdef TWIN_DOUBLE
typedef double real;
#define R(number) number

static real calm(real x)
{
    return x;
}

static real root(real x)
{
    return sqrt(x);
}

static real power(real x) // of e
{
    return exp(x);
}

static real logarithm(real x)
{
    return log(x);
}

static real quotient(real x, real y)
{
    return x / y;
}
#else
typedef float real;
#define R(number) number##f

// op.glsl: what is stored is zero or at least 2^-63.
static real calm(real x)
{
    return fabsf(x) < 0x1p-63f ? 0 : x;
}

static real root(real x)
{
    return strict_sqrt(x);
}

static real power(real x)
{
    return strict_exp(x);
}

static real logarithm(real x)
{
    return strict_log(x);
}

static real quotient(real x, real y)
{
    return strict_div(x, y);
}
#endif

// An operator: TWIN(fill) { ... a->y ... }, a its arguments.
#define TWIN(name)                                                                                 \
    static void name##_of(const struct name##_args *a);                                            \
    static void twin_##name(const void *args)                                                      \
    {                                                                                              \
        name##_of(args);                                                                           \
    }                                                                                              \
    static void name##_of(const struct name##_args *a)

static real *reals(fbuf address)
{
    return (real *)(uintptr_t)address;
}

static uint32_t *words(ubuf address)
{
    return (uint32_t *)(uintptr_t)address;
}

static real count_of(uint32_t n)
{
    return (real)(int32_t)n;
}

static real size_of(real x)
{
    return x < 0 ? -x : x;
}

static real larger(real x, real y)
{
    return x < y ? y : x;
}

static real smaller(real x, real y)
{
    return y < x ? y : x;
}

// Sums over a workgroup of LOCAL threads (reduce.glsl): element i belongs to thread i % LOCAL,
// which adds its own in order; then eight sums of eight, then their sum.
enum { LOCAL = 64 };

static real group_sum(const real part[LOCAL])
{
    real all = 0;
    for (int i = 0; i < LOCAL; i += 8) {
        real eight = part[i];
        for (int j = 1; j < 8; j++) eight += part[i + j];
        all = i ? all + eight : eight;
    }
    return all;
}

static real dot_by_group(const real *x, const real *y, uint32_t n)
{
    real part[LOCAL] = {0};
    for (uint32_t i = 0; i < n; i++) part[i % LOCAL] += x[i] * y[i];
    return group_sum(part);
}

static real sum_by_group(const real *x, uint32_t n)
{
    real part[LOCAL] = {0};
    for (uint32_t i = 0; i < n; i++) part[i % LOCAL] += x[i];
    return group_sum(part);
}
