#include "io/pack.h"

#include <math.h>
#include <string.h>

#include "io/half.h"

static void put_half(uint8_t *to, uint16_t half)
{
    to[0] = (uint8_t)(half & 255);
    to[1] = (uint8_t)(half >> 8);
}

// Writes a scale as a half; what it becomes is what the quants are made for.
static float put_scale(uint8_t *to, float scale)
{
    uint16_t half = half_from_float(scale);
    put_half(to, half);
    return half_to_float(half);
}

// The integer in [0, most] whose value scale * q + offset is nearest to x.
static uint8_t nearest(float x, float scale, float offset, int most)
{
    if (scale == 0) return 0;
    float q = roundf((x - offset) / scale);
    return (uint8_t)(q < 0 ? 0 : q > (float)most ? (float)most : q);
}

struct range {
    float low, high, extreme; // extreme: of the largest size, with its sign
};

static struct range range_of(const float *x, int n)
{
    struct range r = {x[0], x[0], x[0]};
    for (int i = 1; i < n; i++) {
        r.low = fminf(r.low, x[i]);
        r.high = fmaxf(r.high, x[i]);
        if (fabsf(x[i]) > fabsf(r.extreme)) r.extreme = x[i];
    }
    return r;
}

// Low nibbles of 16 elements under high nibbles of the next 16; their fifth bits in a word.
static void put_nibbles(uint8_t *to, uint8_t *fifth, const uint8_t q[32])
{
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
    for (int i = 0; i < 32; i++) bits |= (uint32_t)(q[i] >> 4) << i;
    for (int i = 0; fifth && i < 4; i++) fifth[i] = (uint8_t)(bits >> 8 * i);
}

static void pack_q8_0(const float *x, uint8_t *to)
{
    float scale = put_scale(to, fabsf(range_of(x, 32).extreme) / 127);
    for (int i = 0; i < 32; i++)
        to[2 + i] = (uint8_t)(nearest(x[i], scale, -127 * scale, 254) - 127);
}

// Q4_0, Q5_0: scale * (q - half), the extreme at q = 0 exactly, whatever its sign.
static void pack_centred(enum dtype dtype, const float *x, uint8_t *to)
{
    const int half = dtype == DTYPE_Q4_0 ? 8 : 16;
    uint8_t q[32];
    float scale = put_scale(to, range_of(x, 32).extreme / (float)-half);
    for (int i = 0; i < 32; i++)
        q[i] = nearest(x[i], scale, (float)-half * scale, 2 * half - 1);
    if (dtype == DTYPE_Q4_0)
        put_nibbles(to + 2, NULL, q);
    else
        put_nibbles(to + 6, to + 2, q);
}

// Q4_1, Q5_1: scale * q + least.
static void pack_offset(enum dtype dtype, const float *x, uint8_t *to)
{
    const int most = dtype == DTYPE_Q4_1 ? 15 : 31;
    struct range r = range_of(x, 32);
    uint8_t q[32];
    float least = put_scale(to + 2, r.low);
    float scale = put_scale(to, (r.high - least) / (float)most);
    for (int i = 0; i < 32; i++) q[i] = nearest(x[i], scale, least, most);
    if (dtype == DTYPE_Q4_1)
        put_nibbles(to + 4, NULL, q);
    else
        put_nibbles(to + 8, to + 4, q);
}

// Six bits of scales and of minima for eight sub-blocks in 12 bytes (see tests/ref_quant.c).
static void put_scales(uint8_t to[12], const uint8_t scale[8], const uint8_t least[8])
{
    for (int j = 0; j < 4; j++) {
        to[j] = (uint8_t)(scale[j] | (scale[j + 4] >> 4) << 6);
        to[4 + j] = (uint8_t)(least[j] | (least[j + 4] >> 4) << 6);
        to[8 + j] = (uint8_t)((scale[j + 4] & 15) | (least[j + 4] & 15) << 4);
    }
}

// Q4_K, Q5_K: eight sub-blocks of 32; d * scale * q - dmin * least.
static void pack_k45(enum dtype dtype, const float *x, uint8_t *to)
{
    const bool five = dtype == DTYPE_Q5_K;
    const int most = five ? 31 : 15;
    float scales[8], minima[8], largest = 0, deepest = 0;
    uint8_t scale[8], least[8], *qs = to + (five ? 48 : 16), *high = to + 16;
    for (int j = 0; j < 8; j++) {
        struct range r = range_of(x + 32 * j, 32);
        minima[j] = fmaxf(-r.low, 0);
        scales[j] = (r.high + minima[j]) / (float)most;
        largest = fmaxf(largest, scales[j]);
        deepest = fmaxf(deepest, minima[j]);
    }
    float d = put_scale(to, largest / 63), dmin = put_scale(to + 2, deepest / 63);
    memset(to + 16, 0, five ? 160 : 128);
    for (int j = 0; j < 8; j++) {
        least[j] = nearest(minima[j], dmin, 0, 63);
        // As large as it must be, so that nothing is cut off at the upper end.
        float span = scales[j] * (float)most - minima[j] + dmin * least[j];
        scale[j] = nearest(span / (float)most, d, 0, 63);
        for (int i = 0; i < 32; i++) {
            uint8_t q = nearest(x[32 * j + i], d * scale[j], -dmin * least[j], most);
            qs[j / 2 * 32 + i] |= (uint8_t)((q & 15) << (j % 2 ? 4 : 0));
            if (five) high[i] |= (uint8_t)((q >> 4) << j);
        }
    }
    put_scales(to + 4, scale, least);
}

// Q6_K: sixteen sub-blocks of 16; d * scale * (q - 32), scale signed.
static void pack_k6(const float *x, uint8_t *to)
{
    float scales[16], largest = 0;
    for (int j = 0; j < 16; j++) {
        scales[j] = range_of(x + 16 * j, 16).extreme / -32;
        largest = fmaxf(largest, fabsf(scales[j]));
    }
    memset(to, 0, 192);
    float d = put_scale(to + 208, largest / 127);
    for (int i = 0; i < 256; i++) {
        int j = i / 16, part = i / 128, quarter = i % 128 / 32;
        int scale = (int)nearest(scales[j], d, -127 * d, 254) - 127;
        uint8_t q = nearest(x[i], d * (float)scale, -32 * d * (float)scale, 63);
        to[192 + j] = (uint8_t)scale;
        to[part * 64 + quarter % 2 * 32 + i % 32] |= (uint8_t)((q & 15) << (quarter < 2 ? 0 : 4));
        to[128 + part * 32 + i % 32] |= (uint8_t)((q >> 4) << 2 * quarter);
    }
}

static void pack_block(enum dtype dtype, const float *x, uint8_t *to)
{
    switch (dtype) {
    case DTYPE_F32: memcpy(to, x, sizeof *x); return;
    case DTYPE_F16: put_half(to, half_from_float(*x)); return;
    case DTYPE_BF16: put_half(to, bfloat_from_float(*x)); return;
    case DTYPE_Q8_0: pack_q8_0(x, to); return;
    case DTYPE_Q4_0:
    case DTYPE_Q5_0: pack_centred(dtype, x, to); return;
    case DTYPE_Q4_1:
    case DTYPE_Q5_1: pack_offset(dtype, x, to); return;
    case DTYPE_Q4_K:
    case DTYPE_Q5_K: pack_k45(dtype, x, to); return;
    case DTYPE_Q6_K: pack_k6(x, to); return;
    case DTYPE_COUNT: return;
    }
}

void pack(enum dtype dtype, const float *from, uint64_t count, uint8_t *to)
{
    const struct dtype_info *info = &dtype_table[dtype];
    for (uint64_t i = 0; i < count; i += info->block, to += info->bytes)
        pack_block(dtype, from + i, to);
}

uint64_t pack_holds(enum dtype dtype, const float *from, uint64_t count)
{
    // Every other type's scales are halves of at least a 32nd of the largest element's size, but
    // offsets are as large as elements.
    const float most = dtype == DTYPE_F32 ? INFINITY : dtype == DTYPE_BF16 ? 3.389e38f : 65504;
    for (uint64_t i = 0; i < count; i++)
        if (!(fabsf(from[i]) <= most) || isinf(from[i])) return i;
    return count;
}
