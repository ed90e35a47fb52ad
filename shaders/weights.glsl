// Weights as the model file stores them, unpacked in registers. Needs VARIANT, whose bits 0..3 are
// the dtype of io/weights.h, and the address `a.w`. Every packed type is runs of 16 bytes of quants
// under one scale and offset: weight = scale * (quant - BIAS) + offset.
const uint WEIGHT = VARIANT & 15;
const uint F32 = 0, F16 = 1, BF16 = 2, Q8_0 = 3, Q4_0 = 4, Q4_1 = 5, Q5_0 = 6, Q5_1 = 7, Q4_K = 8,
           Q5_K = 9, Q6_K = 10;

#include "wide.glsl"

#ifdef WIDE
// The 64 bits that start `bits` < 64 up in (low, high).
uint64_t funnel(uint64_t low, uint64_t high, uint bits)
{
    return low >> bits | high << 1 << (63 - bits);
}

// Bytes from any even offset on.
uvec2 words8(uint offset)
{
    longbuf w = longbuf(uvec2(a.w));
    uint i = offset >> 3;
    return unpackUint2x32(funnel(w.v[i], w.v[i + 1], 8 * (offset & 7)));
}

uvec4 words16(uint offset)
{
    longbuf w = longbuf(uvec2(a.w));
    uint i = offset >> 3, bits = 8 * (offset & 7);
    uint64_t middle = w.v[i + 1];
    return uvec4(unpackUint2x32(funnel(w.v[i], middle, bits)),
                 unpackUint2x32(funnel(middle, w.v[i + 2], bits)));
}
#else
uvec2 words8(uint offset)
{
    uint i = offset >> 2, bits = 8 * (offset & 2);
    uint first = a.w.v[i], second = a.w.v[i + 1], third = a.w.v[i + 2];
    return uvec2(first, second) >> bits | uvec2(second, third) << 1 << (31 - bits);
}

uvec4 words16(uint offset)
{
    uint i = offset >> 2, bits = 8 * (offset & 2);
    uvec4 low = uvec4(a.w.v[i], a.w.v[i + 1], a.w.v[i + 2], a.w.v[i + 3]);
    return low >> bits | uvec4(low.yzw, a.w.v[i + 4]) << 1 << (31 - bits);
}
#endif

// The word at any even byte offset; blocks of some types are only 2-byte aligned.
uint words4(uint offset)
{
    uint i = offset >> 2, low = a.w.v[i];
    return (offset & 2) == 0 ? low : low >> 16 | a.w.v[i + 1] << 16;
}

uint byte_at(uint offset)
{
    return a.w.v[offset >> 2] >> 8 * (offset & 3) & 255;
}

// Two finite halves as floats, by integers: drivers may flush denormal halves (exponent 0), which
// count m 2^-24 = (1 + m / 1024) 2^-14 - 2^-14.
vec2 halves(uint word)
{
    uvec2 half_ = uvec2(word & 0xffffu, word >> 16), bits = (half_ & 0x7fffu) << 13;
    bvec2 denormal = lessThan(bits, uvec2(0x800000u));
    vec2 value = uintBitsToFloat(bits + mix(uvec2(112u << 23), uvec2(113u << 23), denormal));
    value -= mix(vec2(0), vec2(6.103515625e-5), denormal);
    return uintBitsToFloat(floatBitsToUint(value) | (half_ & 0x8000u) << 16);
}

float half_at(uint offset)
{
    return halves(a.w.v[offset >> 2] >> 8 * (offset & 2)).x;
}

// Bits 0..3 spread to bit 4 of bytes 0..3.
uint spread4(uint bits)
{
    return (bits & 1) << 4 | (bits & 2) << 11 | (bits & 4) << 18 | (bits & 8) << 25;
}

// 6-bit scale and minimum number j (0..7) of a K block whose 12 bytes of scales start at `at`.
vec2 scale_min(uint at, uint j)
{
    uint low = byte_at(at + (j & 3)), high = byte_at(at + 4 + (j & 3)), top = byte_at(at + 4 + j);
    uint scale = j < 4 ? low & 63 : (top & 15) | low >> 6 << 4;
    uint least = j < 4 ? high & 63 : top >> 4 | high >> 6 << 4;
    return vec2(int(scale), int(least));
}

const bool BLOCK256 = WEIGHT >= Q4_K;
const uint BLOCK_BYTES = WEIGHT == Q8_0 ? 34 : WEIGHT == Q4_0 ? 18 : WEIGHT == Q4_1 ? 20
                       : WEIGHT == Q5_0 ? 22 : WEIGHT == Q5_1 ? 24 : WEIGHT == Q4_K ? 144
                       : WEIGHT == Q5_K ? 176 : 210;

// Byte at which element `index` lies in its block.
uint block_at(uint index)
{
    return (index >> (BLOCK256 ? 8 : 5)) * BLOCK_BYTES;
}

// Scale and offset of element `index` and the 15 behind it, if it is a multiple of 16.
vec2 scale_at(uint index)
{
    uint at = block_at(index);
    if (WEIGHT == Q8_0 || WEIGHT == Q4_0 || WEIGHT == Q5_0) return vec2(half_at(at), 0);
    if (WEIGHT == Q4_1 || WEIGHT == Q5_1) return halves(a.w.v[at >> 2]);
    if (WEIGHT == Q6_K) {
        int scale = bitfieldExtract(int(byte_at(at + 192 + (index >> 4 & 15))), 0, 8);
        return vec2(half_at(at + 208) * float(scale), 0);
    }
    vec2 outer = halves(a.w.v[at >> 2]), inner = scale_min(at + 4, index >> 5 & 7);
    return vec2(outer.x * inner.x, -(outer.y * inner.y));
}

// Where the low bits (all of Q8_0) of element `index` are, and by how much they are shifted.
// Blocks of 32: byte i holds elements i and i + 16. K blocks: see ggml's block_q4_K, block_q6_K.
uint low_at(uint index)
{
    uint at = block_at(index);
    if (WEIGHT == Q8_0) return at + 2 + (index & 31);
    if (WEIGHT == Q4_0) return at + 2 + (index & 15);
    if (WEIGHT == Q4_1) return at + 4 + (index & 15);
    if (WEIGHT == Q5_0) return at + 6 + (index & 15);
    if (WEIGHT == Q5_1) return at + 8 + (index & 15);
    if (WEIGHT == Q6_K) return at + (index >> 7 & 1) * 64 + (index & 63);
    return at + (WEIGHT == Q4_K ? 16 : 48) + (index >> 6 & 3) * 32 + (index & 31);
}

uint low_shift(uint index)
{
    if (WEIGHT == Q8_0) return 0;
    if (WEIGHT == Q6_K) return (index & 64) == 0 ? 0 : 4;
    return (index & (BLOCK256 ? 32 : 16)) == 0 ? 0 : 4;
}

// The fifth and sixth bits: where their bytes are, and how to bring them to bits 4 and 5.
uint high_at(uint index)
{
    if (WEIGHT == Q6_K) return block_at(index) + 128 + (index >> 7 & 1) * 32 + (index & 31);
    return block_at(index) + 16 + (index & 31); // Q5_K
}

uvec4 high_bits(uvec4 words, uint index)
{
    if (WEIGHT == Q6_K) return (words >> (index >> 4 & 6) & 0x03030303u) << 4;
    return (words >> (index >> 5 & 7) & 0x01010101u) << 4;
}

const uint LOW = WEIGHT == Q8_0 ? 0xffffffffu : 0x0f0f0f0fu;
const bool HIGH_BYTES = WEIGHT == Q5_K || WEIGHT == Q6_K, HIGH_WORD = WEIGHT == Q5_0 || WEIGHT == Q5_1;

// Bit 4 of the quants from element `index` on, in words of four (Q5_0, Q5_1).
uvec4 high_word(uint index)
{
    uint bits = words4(block_at(index) + (WEIGHT == Q5_0 ? 2 : 4)) >> (index & 31);
    return uvec4(spread4(bits), spread4(bits >> 4), spread4(bits >> 8), spread4(bits >> 12));
}

// A byte a quant, from element `index` on: 4 (index a multiple of 4), 8 (of 8), 16 (of 16).
uint quants4(uint index)
{
    uint q = words4(low_at(index)) >> low_shift(index) & LOW;
    if (HIGH_WORD) q |= high_word(index).x;
    if (HIGH_BYTES) q |= high_bits(uvec4(words4(high_at(index))), index).x;
    return q;
}

uvec2 quants8(uint index)
{
    uvec2 q = words8(low_at(index)) >> low_shift(index) & LOW;
    if (HIGH_WORD) q |= high_word(index).xy;
    if (HIGH_BYTES) q |= high_bits(uvec4(words8(high_at(index)), 0, 0), index).xy;
    return q;
}

uvec4 quants16(uint index)
{
    uvec4 q = words16(low_at(index)) >> low_shift(index) & LOW;
    if (HIGH_WORD) q |= high_word(index);
    if (HIGH_BYTES) q |= high_bits(words16(high_at(index)), index);
    return q;
}

// The weights of four quants. Bytes become floats through int: exact on every driver.
vec4 value4(uint word, vec2 scale)
{
    int w = int(word);
    if (WEIGHT == Q8_0)
        return scale.x * vec4(bitfieldExtract(w, 0, 8), bitfieldExtract(w, 8, 8),
                              bitfieldExtract(w, 16, 8), w >> 24);
    vec4 q = vec4(w & 255, w >> 8 & 255, w >> 16 & 255, w >> 24);
    if (WEIGHT == Q4_0) return scale.x * (q - 8.0);
    if (WEIGHT == Q5_0) return scale.x * (q - 16.0);
    if (WEIGHT == Q6_K) return scale.x * (q - 32.0);
    return scale.x * q + scale.y;
}

// Four F16 or BF16 in two words.
vec4 halves4(uvec2 words)
{
    if (WEIGHT == F16) return vec4(halves(words.x), halves(words.y));
    return uintBitsToFloat(uvec4(words.x << 16, words.x & 0xffff0000u, words.y << 16,
                                 words.y & 0xffff0000u));
}

// Four neighbours from element `index` on (a multiple of 4).
vec4 weight4(uint index)
{
    if (WEIGHT == F32) return load4(fbuf(uvec2(a.w)), index);
    if (WEIGHT == F16 || WEIGHT == BF16) return halves4(load2(a.w, index >> 1));
    return value4(quants4(index), scale_at(index));
}
