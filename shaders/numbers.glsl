// Functions that drivers are free to compute as they like: division, square root, exp, log. A shader
// that includes this file is compiled twice: for fast numbers they are the driver's own, for strict
// ones (STRICT) they are made of addition, multiplication and integers, in a fixed order, and so have
// the same bits everywhere. Errors are held by tests/test_numbers.c: div 1.5 ulp, exp 1.25,
// log and sqrt 1 (units in the last place of the result). Denormal arguments count as zero, denormal results are zero.
#ifdef STRICT

const uint SIGN_BIT = 0x80000000u, INFINITE = 0x7f800000u, ONE = 0x3f800000u;

// x * 2^n for a normal x in [1/4, 4): zero below the normal range, infinite above.
float scale_by(float x, int n)
{
    uint bits = floatBitsToUint(x), sign = bits & SIGN_BIT;
    int top = int(bits >> 23 & 255u) + n;
    uint scaled = sign | uint(top) << 23 | (bits & 0x7fffffu);
    return uintBitsToFloat(top <= 0 ? sign : top >= 255 ? sign | INFINITE : scaled);
}

// x = mantissa * 2^exponent, mantissa in [1, 2), for a normal x > 0.
float mantissa(float x, out int exponent)
{
    uint bits = floatBitsToUint(x) & 0x7fffffffu;
    exponent = int(bits >> 23) - 127;
    return uintBitsToFloat((bits & 0x7fffffu) | ONE);
}

// x / y. The reciprocal of y's mantissa starts from a line, 1/17 off at most, and is squared better
// by each of Newton's steps; one more step is spent on the quotient.
float div(float x, float y)
{
    uint x_bits = floatBitsToUint(x) & 0x7fffffffu, y_bits = floatBitsToUint(y) & 0x7fffffffu;
    uint sign = (floatBitsToUint(x) ^ floatBitsToUint(y)) & SIGN_BIT;
    int x_exponent, y_exponent;
    float m = mantissa(x, x_exponent), n = mantissa(y, y_exponent);
    float r = 1.4117647 - 0.47058824 * n; // 24/17 - 8/17 n
    r = r * (2.0 - n * r);
    r = r * (2.0 - n * r);
    r = r * (2.0 - n * r);
    float q = m * r;
    q = q + r * (m - n * q);
    float quotient = scale_by(q, x_exponent - y_exponent);
    bool x_zero = x_bits < 0x800000u, y_zero = y_bits < 0x800000u;
    bool x_high = x_bits >= INFINITE, y_high = y_bits >= INFINITE;
    uint bits = floatBitsToUint(quotient);
    if (x_zero || y_high) bits = 0;
    if (y_zero || x_high) bits = INFINITE;
    if ((x_zero && y_zero) || (x_high && y_high) || x_bits > INFINITE || y_bits > INFINITE)
        bits = 0x7fc00000u;
    return uintBitsToFloat(bits | sign);
}

// The reciprocal root of a mantissa in [1, 4) starts from its halved bits (4% off at most) and is made
// better by Newton; the last step is Heron's for the root itself.
float strict_sqrt(float x)
{
    uint bits = floatBitsToUint(x);
    int exponent;
    float m = mantissa(x, exponent);
    bool odd = (exponent & 1) != 0;
    m = odd ? 2.0 * m : m;
    float r = uintBitsToFloat(0x5f3759dfu - (floatBitsToUint(m) >> 1));
    r = r * (1.5 - 0.5 * m * r * r);
    r = r * (1.5 - 0.5 * m * r * r);
    r = r * (1.5 - 0.5 * m * r * r);
    float s = m * r;
    s = s + 0.5 * r * (m - s * s);
    float root = scale_by(s, (odd ? exponent - 1 : exponent) / 2);
    if ((bits & 0x7fffffffu) < 0x800000u) return uintBitsToFloat(bits & SIGN_BIT);
    if (bits == INFINITE) return x;
    return bits > INFINITE ? uintBitsToFloat(0x7fc00000u) : root;
}

// e^x = 2^n e^r, n the nearest integer to x / log 2, |r| <= log 2 / 2: Taylor to r^7 / 7!, whose
// rest is 6e-9 at most. log 2 in two parts, the first of 12 bits, so that n times it is exact.
float strict_exp(float x)
{
    const float shift = 12582912.0; // 1.5 * 2^23: adding it rounds to an integer
    float held = min(max(x, -104.0), 89.0);
    float n = (held * 1.4426950 + shift) - shift;
    float r = (held - n * 0.693359375) - n * -2.1219444e-4;
    float p = 1.9841270e-4;
    p = p * r + 1.3888889e-3;
    p = p * r + 8.3333333e-3;
    p = p * r + 4.1666667e-2;
    p = p * r + 0.16666667;
    p = p * r + 0.5;
    p = p * (r * r) + r;
    float y = scale_by(1.0 + p, int(n));
    return (floatBitsToUint(x) & 0x7fffffffu) > INFINITE ? uintBitsToFloat(0x7fc00000u) : y;
}

// log x = n log 2 + log(1 + f), 1 + f in [1 / sqrt 2, sqrt 2). With s = f / (2 + f), z = s^2:
// log(1 + f) = f - s (f - R), R = 2 z / 3 + 2 z^2 / 5 + ... to z^5, whose rest is 3e-9 f at most.
float strict_log(float x)
{
    uint bits = floatBitsToUint(x);
    int exponent;
    float m = mantissa(x, exponent);
    bool large = m > 1.4142135;
    float f = (large ? 0.5 * m : m) - 1.0, n = float(large ? exponent + 1 : exponent);
    float s = div(f, 2.0 + f), z = s * s;
    float R = 0.18181818;
    R = R * z + 0.22222222;
    R = R * z + 0.28571429;
    R = R * z + 0.4;
    R = R * z + 0.66666667;
    R = R * z;
    float y = n * 0.693359375 + (f - (s * (f - R) - n * -2.1219444e-4));
    if ((bits & 0x7fffffffu) < 0x800000u) return uintBitsToFloat(SIGN_BIT | INFINITE);
    if (bits == INFINITE) return x;
    return bits > INFINITE ? uintBitsToFloat(0x7fc00000u) : y;
}

vec4 strict_exp(vec4 x)
{
    return vec4(strict_exp(x.x), strict_exp(x.y), strict_exp(x.z), strict_exp(x.w));
}

vec4 div(vec4 x, vec4 y)
{
    return vec4(div(x.x, y.x), div(x.y, y.y), div(x.z, y.z), div(x.w, y.w));
}

#define sqrt strict_sqrt
#define exp strict_exp
#define log strict_log

#else

float div(float x, float y)
{
    return x / y;
}

vec4 div(vec4 x, vec4 y)
{
    return x / y;
}

#endif
