// Weights as the model file stores them, unpacked in registers. Needs `WEIGHT` (dtype of
// io/weights.h) and `UNALIGNED` as constants and the address `a.w`.
const uint F32 = 0, F16 = 1, BF16 = 2, Q8_0 = 3, Q4_0 = 4, Q4_1 = 5, Q5_0 = 6, Q5_1 = 7, Q4_K = 8,
           Q5_K = 9, Q6_K = 10;

// The word at any even byte offset; blocks of some types are only 2-byte aligned.
uint word_at(uint offset)
{
    uint i = offset >> 2, low = a.w.v[i];
    return (offset & 2) == 0 ? low : low >> 16 | a.w.v[i + 1] << 16;
}

uint byte_at(uint offset)
{
    return a.w.v[offset >> 2] >> 8 * (offset & 3) & 255;
}

// Bytes 0..3 of a word, unsigned and signed, as floats (through int: exact on every driver).
vec4 bytes4(uint word)
{
    return vec4(ivec4(word & 255, word >> 8 & 255, word >> 16 & 255, word >> 24));
}

vec4 signed4(uint word)
{
    return vec4(bitfieldExtract(int(word), 0, 8), bitfieldExtract(int(word), 8, 8),
                bitfieldExtract(int(word), 16, 8), bitfieldExtract(int(word), 24, 8));
}

float half_at(uint offset)
{
    return unpackHalf2x16(word_at(offset)).x;
}

// Bit `shift` of four neighbouring bytes becomes 16 in each byte.
uint high4(uint word, uint shift)
{
    return (word >> shift & 0x01010101u) << 4;
}

// Bits 0..3 spread to bit 4 of bytes 0..3.
uint spread4(uint bits)
{
    return (bits & 1) << 4 | (bits & 2) << 11 | (bits & 4) << 18 | (bits & 8) << 25;
}

// 6-bit scale and minimum number j (0..7) of a K block whose 12 bytes of scales start at `at`.
vec2 scale_min(uint at, uint j)
{
    uint scale, low;
    if (j < 4) {
        scale = byte_at(at + j) & 63;
        low = byte_at(at + j + 4) & 63;
    } else {
        uint both = byte_at(at + j + 4);
        scale = (both & 15) | byte_at(at + j - 4) >> 6 << 4;
        low = both >> 4 | byte_at(at + j) >> 6 << 4;
    }
    return vec2(int(scale), int(low));
}

// Blocks of 32: element i of the low nibbles is in byte i, element i + 16 in the high nibble.
vec4 block32(uint index)
{
    uint in32 = index & 31, quad = in32 & 15, block = index >> 5, shift = in32 < 16 ? 0 : 4;
    if (WEIGHT == Q8_0) {
        uint at = block * 34;
        return half_at(at) * signed4(word_at(at + 2 + in32));
    }
    if (WEIGHT == Q4_0) {
        uint at = block * 18;
        return half_at(at) * (bytes4(word_at(at + 2 + quad) >> shift & 0x0f0f0f0fu) - 8.0);
    }
    if (WEIGHT == Q4_1) {
        uint at = block * 20;
        vec2 scale = unpackHalf2x16(a.w.v[at >> 2]);
        return scale.x * bytes4(a.w.v[(at + 4 + quad) >> 2] >> shift & 0x0f0f0f0fu) + scale.y;
    }
    bool offset5 = WEIGHT == Q5_0;
    uint at = block * (offset5 ? 22 : 24), bits_at = at + (offset5 ? 2 : 4);
    uint high = spread4(word_at(bits_at) >> in32);
    vec4 q = bytes4((word_at(bits_at + 4 + quad) >> shift & 0x0f0f0f0fu) | high);
    if (offset5) return half_at(at) * (q - 16.0);
    return half_at(at) * q + half_at(at + 2);
}

vec4 block256(uint index)
{
    uint in256 = index & 255, block = index >> 8;
    if (WEIGHT == Q6_K) {
        // Halves of 128: ql[64], then qh[32] with two bits for each quarter of 32.
        uint at = block * 210, part = in256 >> 7, in128 = in256 & 127, quarter = in128 >> 5;
        uint low = word_at(at + part * 64 + (in128 & 63)) >> (quarter < 2 ? 0 : 4) & 0x0f0f0f0fu;
        uint high = word_at(at + 128 + part * 32 + (in128 & 31)) >> 2 * quarter & 0x03030303u;
        uint scale = byte_at(at + 192 + (in256 >> 4));
        return half_at(at + 208) * float(bitfieldExtract(int(scale), 0, 8)) *
               (bytes4(low | high << 4) - 32.0);
    }
    // Q4_K, Q5_K: pairs of 32 share 32 bytes, low nibbles first.
    uint at = block * (WEIGHT == Q4_K ? 144 : 176), j = in256 >> 5, l = in256 & 31;
    vec2 outer = unpackHalf2x16(a.w.v[at >> 2]), inner = scale_min(at + 4, j);
    uint quants = at + (WEIGHT == Q4_K ? 16 : 48) + (j >> 1) * 32 + l;
    uint q = a.w.v[quants >> 2] >> 4 * (j & 1) & 0x0f0f0f0fu;
    if (WEIGHT == Q5_K) q |= high4(a.w.v[(at + 16 + l) >> 2], j);
    return outer.x * inner.x * bytes4(q) - outer.y * inner.y;
}

// Four neighbours from element `index` on (a multiple of 4).
vec4 weight4(uint index)
{
    if (WEIGHT == F32) return vbuf(uvec2(a.w)).v[index >> 2];
    if (WEIGHT == F16)
        return vec4(unpackHalf2x16(a.w.v[index >> 1]), unpackHalf2x16(a.w.v[(index >> 1) + 1]));
    if (WEIGHT == BF16) {
        uint low = a.w.v[index >> 1], high = a.w.v[(index >> 1) + 1];
        return uintBitsToFloat(uvec4(low << 16, low & 0xffff0000u, high << 16, high & 0xffff0000u));
    }
    return WEIGHT < Q4_K ? block32(index) : block256(index);
}
