#include "check/numbers.h"

#include <math.h>
#include <stdbool.h>

#include "base/bits.h"

static const uint32_t SIGN_BIT = 0x80000000u, INFINITE = 0x7f800000u, ONE = 0x3f800000u,
                      NOT_A_NUMBER = 0x7fc00000u, LEAST = 0x00800000u;

static float scale_by(float x, int32_t n)
{
    uint32_t bits = bits_of(x), sign = bits & SIGN_BIT;
    int32_t top = (int32_t)(bits >> 23 & 255) + n;
    if (top <= 0) return float_of(sign);
    if (top >= 255) return float_of(sign | INFINITE);
    return float_of(sign | (uint32_t)top << 23 | (bits & 0x7fffff));
}

static float mantissa(float x, int32_t *exponent)
{
    uint32_t bits = bits_of(x) & ~SIGN_BIT;
    *exponent = (int32_t)(bits >> 23) - 127;
    return float_of((bits & 0x7fffff) | ONE);
}

float strict_div(float x, float y)
{
    uint32_t x_bits = bits_of(x) & ~SIGN_BIT, y_bits = bits_of(y) & ~SIGN_BIT;
    uint32_t sign = (bits_of(x) ^ bits_of(y)) & SIGN_BIT;
    bool x_zero = x_bits < LEAST, y_zero = y_bits < LEAST;
    bool x_high = x_bits >= INFINITE, y_high = y_bits >= INFINITE;
    if ((x_zero && y_zero) || (x_high && y_high) || x_bits > INFINITE || y_bits > INFINITE)
        return float_of(sign | NOT_A_NUMBER);
    if (y_zero || x_high) return float_of(sign | INFINITE);
    if (x_zero || y_high) return float_of(sign);
    int32_t x_exponent, y_exponent;
    float m = mantissa(x, &x_exponent), n = mantissa(y, &y_exponent);
    float r = 1.4117647f - 0.47058824f * n;
    for (int step = 0; step < 3; step++) r = r * (2.0f - n * r);
    float q = m * r;
    q = q + r * (m - n * q);
    return float_of(bits_of(scale_by(q, x_exponent - y_exponent)) | sign);
}

float strict_sqrt(float x)
{
    uint32_t bits = bits_of(x);
    if ((bits & ~SIGN_BIT) < LEAST) return float_of(bits & SIGN_BIT);
    if (bits == INFINITE) return x;
    if (bits > INFINITE) return float_of(NOT_A_NUMBER);
    int32_t exponent;
    float m = mantissa(x, &exponent);
    if (exponent & 1) {
        m = 2.0f * m;
        exponent--;
    }
    float r = float_of(0x5f3759dfu - (bits_of(m) >> 1));
    for (int step = 0; step < 3; step++) r = r * (1.5f - 0.5f * m * r * r);
    float s = m * r;
    s = s + 0.5f * r * (m - s * s);
    return scale_by(s, exponent / 2);
}

float strict_exp(float x)
{
    const float shift = 12582912.0f;
    if ((bits_of(x) & ~SIGN_BIT) > INFINITE) return float_of(NOT_A_NUMBER);
    float held = fminf(fmaxf(x, -104.0f), 89.0f);
    float n = (held * 1.4426950f + shift) - shift;
    float r = (held - n * 0.693359375f) - n * -2.1219444e-4f;
    float p = 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 0.16666667f;
    p = p * r + 0.5f;
    p = p * (r * r) + r;
    return scale_by(1.0f + p, (int32_t)n);
}

float strict_log(float x)
{
    uint32_t bits = bits_of(x);
    if ((bits & ~SIGN_BIT) < LEAST) return float_of(SIGN_BIT | INFINITE);
    if (bits == INFINITE) return x;
    if (bits > INFINITE) return float_of(NOT_A_NUMBER);
    int32_t exponent;
    float m = mantissa(x, &exponent);
    bool large = m > 1.4142135f;
    float f = (large ? 0.5f * m : m) - 1.0f, n = (float)(large ? exponent + 1 : exponent);
    float s = strict_div(f, 2.0f + f), z = s * s;
    float R = 0.18181818f;
    R = R * z + 0.22222222f;
    R = R * z + 0.28571429f;
    R = R * z + 0.4f;
    R = R * z + 0.66666667f;
    R = R * z;
    return n * 0.693359375f + (f - (s * (f - R) - n * -2.1219444e-4f));
}
