#include "ref_quant.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

double ref_half(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent == 0    ? ldexp(fraction, -24)
                  : exponent == 31 ? (fraction ? (double)NAN : (double)INFINITY)
                                   : ldexp(1024 + fraction, exponent - 25);
    return half >> 15 ? -size : size;
}

static double half_at(const uint8_t *data)
{
    return ref_half((uint16_t)(data[0] | data[1] << 8));
}

static double float_at(const uint8_t *data)
{
    float x;
    memcpy(&x, data, sizeof x);
    return (double)x;
}

static double bfloat_at(const uint8_t *data)
{
    const uint8_t wide[4] = {0, 0, data[0], data[1]};
    return float_at(wide);
}

// Blocks of 32: nibble i of 16 bytes is the low half of byte i, nibble i + 16 its high half; the
// fifth bits are a 32-bit word, bit i for element i.
static int nibble(const uint8_t *bytes, int i)
{
    return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4;
}

static int fifth(const uint8_t *bits, int i)
{
    return (bits[i / 8] >> i % 8 & 1) << 4;
}

static double block32_at(enum dtype dtype, const uint8_t *b, int i)
{
    switch (dtype) {
    case DTYPE_Q8_0: return half_at(b) * (int8_t)b[2 + i];                             // d qs[32]
    case DTYPE_Q4_0: return half_at(b) * (nibble(b + 2, i) - 8);                       // d qs[16]
    case DTYPE_Q4_1: return half_at(b) * nibble(b + 4, i) + half_at(b + 2);            // d m qs
    case DTYPE_Q5_0: return half_at(b) * ((nibble(b + 6, i) | fifth(b + 2, i)) - 16);  // d qh qs
    case DTYPE_Q5_1:                                                                   // d m qh qs
        return half_at(b) * (nibble(b + 8, i) | fifth(b + 4, i)) + half_at(b + 2);
    default: assert(0); return 0;
    }
}

// Eight 6-bit scales and eight 6-bit minima in 12 bytes: the low six bits of bytes 0-3 are scales
// 0-3, of bytes 4-7 minima 0-3; bytes 8-11 have the low nibbles of scales (low half) and minima
// (high half) 4-7, whose top two bits are on top of bytes 0-3 and 4-7.
static int scale_at(const uint8_t *s, int j)
{
    return j < 4 ? s[j] & 63 : (s[4 + j] & 15) | (s[j - 4] >> 6) << 4;
}

static int minimum_at(const uint8_t *s, int j)
{
    return j < 4 ? s[4 + j] & 63 : s[4 + j] >> 4 | (s[j] >> 6) << 4;
}

// Q4_K: d dmin scales[12] qs[128]; Q5_K: d dmin scales[12] qh[32] qs[128]. Sub-blocks j of 32; 2n
// is the low, 2n + 1 the high half of qs[32 n ...]; the fifth bit is bit j of qh.
static double block45k_at(enum dtype dtype, const uint8_t *b, int i)
{
    int j = i / 32, l = i % 32, five = dtype == DTYPE_Q5_K;
    const uint8_t *qs = b + (five ? 48 : 16), *scales = b + 4;
    int q = qs[j / 2 * 32 + l] >> (j % 2 ? 4 : 0) & 15;
    if (five) q |= (b[16 + l] >> j & 1) << 4;
    return half_at(b) * scale_at(scales, j) * q - half_at(b + 2) * minimum_at(scales, j);
}

// Q6_K: ql[128] qh[64] scales[16] (signed) d. Halves of 128 elements: quarter q of 32 has its low
// nibbles in ql[(q % 2) * 32 ...] of the half's 64, low halves for q < 2, high ones else; two high
// bits at 2 q of the half's qh[32].
static double block6k_at(const uint8_t *b, int i)
{
    int part = i / 128, quarter = i % 128 / 32, l = i % 32;
    int low = b[part * 64 + quarter % 2 * 32 + l] >> (quarter < 2 ? 0 : 4) & 15;
    int high = b[128 + part * 32 + l] >> 2 * quarter & 3;
    return half_at(b + 208) * (int8_t)b[192 + i / 16] * ((low | high << 4) - 32);
}

void ref_unpack(enum dtype dtype, const uint8_t *data, uint64_t count, double *values)
{
    const struct dtype_info *info = &dtype_table[dtype];
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *block = data + i / info->block * info->bytes;
        int at = (int)(i % info->block);
        if (dtype == DTYPE_F32)
            values[i] = float_at(block);
        else if (dtype == DTYPE_F16)
            values[i] = half_at(block);
        else if (dtype == DTYPE_BF16)
            values[i] = bfloat_at(block);
        else if (dtype == DTYPE_Q6_K)
            values[i] = block6k_at(block, at);
        else
            values[i] = info->block == 32 ? block32_at(dtype, block, at)
                                          : block45k_at(dtype, block, at);
    }
}

// A half between 2^-8 and 2^-6 of either sign.
static void half_put(uint8_t *to, uint64_t *random)
{
    uint64_t r = random_next(random);
    unsigned half = (unsigned)(r & 0x83ff) | (7 + (unsigned)(r >> 20 & 1)) << 10;
    to[0] = half & 255;
    to[1] = (uint8_t)(half >> 8);
}

uint8_t *ref_random_blocks(enum dtype dtype, uint64_t count, uint64_t *random, uint64_t *bytes)
{
    const struct dtype_info *info = &dtype_table[dtype];
    uint64_t blocks = count / info->block, used = blocks * info->bytes;
    *bytes = (used + 3) & ~3ull;
    uint8_t *data = calloc(*bytes + 4, 1);
    if (!data || count % info->block) abort();
    for (uint64_t i = 0; i < used; i++) data[i] = (uint8_t)random_next(random);
    for (uint64_t i = 0; i < blocks; i++) {
        uint8_t *block = data + i * info->bytes;
        float x = (float)(2 * random_unit(random) - 1);
        if (dtype == DTYPE_F32) memcpy(block, &x, 4);
        if (dtype == DTYPE_BF16) memcpy(block, (uint8_t *)&x + 2, 2); // x cut short
        if (dtype == DTYPE_Q6_K) half_put(block + 208, random);
        if (dtype != DTYPE_F32 && dtype != DTYPE_BF16 && dtype != DTYPE_Q6_K)
            half_put(block, random);
        if (dtype == DTYPE_Q4_1 || dtype == DTYPE_Q5_1 || dtype == DTYPE_Q4_K ||
            dtype == DTYPE_Q5_K)
            half_put(block + 2, random);
    }
    return data;
}
