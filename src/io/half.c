#include "io/half.h"

#include "base/bits.h"

// value >> shift, rounded to nearest, ties to even; 1 <= shift <= 31.
static uint32_t shift_even(uint32_t value, uint32_t shift)
{
    uint32_t half = 1u << (shift - 1), rest = value & ((half << 1) - 1), whole = value >> shift;
    return whole + (rest > half || (rest == half && (whole & 1)));
}

uint16_t half_from_float(float value)
{
    uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00); // NaN
    if (magnitude >= 0x47800000) return (uint16_t)(sign | 0x7c00);
    uint32_t exponent = magnitude >> 23;
    if (exponent >= 113) // normal: rebias by 127 - 15; a carry out of the mantissa is right as is
        return (uint16_t)(sign | shift_even(magnitude - (112u << 23), 13));
    if (exponent < 102) return (uint16_t)sign; // under half the smallest, 2^-25
    uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_even(mantissa, 126 - exponent));
}

float half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31;
    uint32_t mantissa = half & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | mantissa << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    float small = (float)mantissa * 0x1p-24f; // zero or subnormal: exact
    return sign ? -small : small;
}

uint16_t bfloat_from_float(float value)
{
    uint32_t bits = bits_of(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return (uint16_t)(bits >> 16 | 0x40); // NaN stays NaN
    return (uint16_t)shift_even(bits, 16);
}

float bfloat_to_float(uint16_t bfloat)
{
    return float_of((uint32_t)bfloat << 16);
}
