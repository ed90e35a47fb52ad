// Weights as the model file stores them, one at a time: GGML's block formats. The same bytes for
// float and double.
#pragma once
#include "check/twin_real.h"
#include "io/weights.h"

static uint32_t word_of(const uint8_t *b)
{
    uint32_t word;
    memcpy(&word, b, sizeof word);
    return word;
}

static uint32_t half_bits(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8;
}

// A finite half.
static real half_value(const uint8_t *b)
{
    uint32_t bits = half_bits(b), exponent = bits >> 10 & 31, m = bits & 1023;
    double x = exponent ? ldexp(1024 + m, (int)exponent - 25) : ldexp(m, -24);
    return (real)(bits & 0x8000 ? -x : x);
}

static real float_value(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// The 6-bit scale and minimum of run j of 32 elements in a block of Q4_K or Q5_K.
static void scale_min(const uint8_t *scales, uint32_t j, real *scale, real *least)
{
    uint32_t s = scales[j & 3], m = scales[4 + (j & 3)], top = scales[4 + j];
    if (j < 4) {
        *scale = count_of(s & 63);
        *least = count_of(m & 63);
    } else {
        *scale = count_of((top & 15) | s >> 6 << 4);
        *least = count_of(top >> 4 | m >> 6 << 4);
    }
}

// Elements i of Q4_K (fifth bits NULL) and Q5_K.
static real value_k(const uint8_t *block, const uint8_t *low, const uint8_t *fifth, uint32_t i)
{
    uint32_t run = i / 32, q = low[run / 2 * 32 + i % 32] >> (run & 1 ? 4 : 0) & 15;
    if (fifth) q |= (uint32_t)(fifth[i % 32] >> run & 1) << 4;
    real scale, least;
    scale_min(block + 4, run, &scale, &least);
    return half_value(block) * scale * count_of(q) - half_value(block + 2) * least;
}

static real value_6k(const uint8_t *block, uint32_t i)
{
    uint32_t half = i / 128, l = i % 128;
    uint32_t low = block[64 * half + l % 64] >> (l < 64 ? 0 : 4) & 15;
    uint32_t high = block[128 + 32 * half + l % 32] >> 2 * (l / 32) & 3;
    real scale = half_value(block + 208) * (real)(int8_t)block[192 + i / 16];
    return scale * (count_of(low | high << 4) - 32);
}

// Bits 0 to 3 of element i of a block of 32: byte b holds elements b and b + 16.
static uint32_t nibble(const uint8_t *low, uint32_t i)
{
    return low[i % 16] >> (i < 16 ? 0 : 4) & 15;
}

// Bit 4, of Q5_0 and Q5_1.
static uint32_t fifth_bit(const uint8_t *high, uint32_t i)
{
    return (word_of(high) >> i & 1) << 4;
}

// Element i of weights that start at w.
static real weight_at(ubuf w, uint32_t dtype, uint64_t index)
{
    const struct dtype_info *type = &dtype_table[dtype];
    const uint8_t *b = (const uint8_t *)(uintptr_t)w + index / type->block * type->bytes;
    uint32_t i = (uint32_t)(index % type->block);
    switch ((enum dtype)dtype) {
    case DTYPE_F32: return float_value(word_of(b));
    case DTYPE_F16: return half_value(b);
    case DTYPE_BF16: return float_value(half_bits(b) << 16);
    case DTYPE_Q8_0: return half_value(b) * (real)(int8_t)b[2 + i];
    case DTYPE_Q4_0: return half_value(b) * (count_of(nibble(b + 2, i)) - 8);
    case DTYPE_Q4_1: return half_value(b) * count_of(nibble(b + 4, i)) + half_value(b + 2);
    case DTYPE_Q5_0:
        return half_value(b) * (count_of(nibble(b + 6, i) | fifth_bit(b + 2, i)) - 16);
    case DTYPE_Q5_1:
        return half_value(b) * count_of(nibble(b + 8, i) | fifth_bit(b + 4, i)) + half_value(b + 2);
    case DTYPE_Q4_K: return value_k(b, b + 16, NULL, i);
    case DTYPE_Q5_K: return value_k(b, b + 48, b + 16, i);
    case DTYPE_Q6_K: return value_6k(b, i);
    case DTYPE_COUNT: break;
    }
    return 0;
}

TWIN(embed)
{
    for (uint32_t r = 0; r < a->rows; r++)
        for (uint32_t c = 0; c < a->cols; c++)
            reals(a->y)[(uint64_t)r * a->cols + c] =
                calm(weight_at(a->w, a->type, (uint64_t)words(a->tokens)[r] * a->cols + c));
}

// A float, or the upper half of one, counts as zero.
static bool is_small(uint32_t bits)
{
    return fabs((double)float_value(bits)) < 0x1p-63;
}

// Words of F32, or of two BF16.
TWIN(calm_weights)
{
    for (uint32_t i = 0; i < a->n; i++) {
        uint32_t *word = &words(a->w)[i], low = *word & 0xffff, high = *word & 0xffff0000;
        if (a->type == DTYPE_F32) *word = is_small(*word) ? 0 : *word;
        else *word = (is_small(low << 16) ? 0 : low) | (is_small(high) ? 0 : high);
    }
}

static bool half_bad(const uint8_t *b)
{
    return (half_bits(b) & 0x7c00) == 0x7c00;
}

// A word of floats or halves, or a quantised block, which is bad if a scale of it is.
static bool unit_bad(const uint8_t *w, uint32_t dtype, uint32_t i)
{
    const uint8_t *unit = w + (size_t)i * (dtype <= DTYPE_BF16 ? 4 : dtype_table[dtype].bytes);
    uint32_t word = word_of(unit);
    bool two = dtype == DTYPE_F16 || dtype == DTYPE_Q4_1 || dtype == DTYPE_Q5_1 ||
               dtype == DTYPE_Q4_K || dtype == DTYPE_Q5_K;
    if (dtype == DTYPE_F32) return (word & 0x7f800000) == 0x7f800000;
    if (dtype == DTYPE_BF16)
        return (word & 0x7f80) == 0x7f80 || (word & 0x7f800000) == 0x7f800000;
    if (dtype == DTYPE_Q6_K) return half_bad(unit + 208);
    return half_bad(unit) || (two && half_bad(unit + 2));
}

// Sizes of 2^60 and more, infinity and NaN behind them, by their bits.
TWIN(watch)
{
    uint32_t bad = 0, first = 0, *fault = words(a->fault);
    for (uint32_t i = a->n; i-- > 0;)
        if ((words(a->x)[(uint64_t)i * a->step_] & 0x7fffffff) >= 0x5d800000) {
            bad++;
            first = i;
        }
    if (!bad || fault[FAULT_PLACE]) return;
    fault[FAULT_PLACE] = a->place;
    fault[FAULT_COUNT] = bad;
    fault[FAULT_FIRST] = first;
}

// Units go to workgroups by 64s, in turn; a thread counts to 65535.
TWIN(count_nonfinite)
{
    for (uint32_t group = 0; group < a->groups; group++) {
        uint32_t all = 0;
        for (uint32_t thread = 0; thread < LOCAL; thread++) {
            uint32_t bad = 0;
            for (uint64_t i = group * LOCAL + thread; i < a->n; i += (uint64_t)a->groups * LOCAL)
                bad += unit_bad((const uint8_t *)words(a->w), a->type, (uint32_t)i);
            all += bad < 65535 ? bad : 65535;
        }
        words(a->y)[group] = all;
    }
}
