#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// Words of F32, or of two BF16.
void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        uint word = a.w.v[i], low = word << 16, high = word & 0xffff0000u;
        if (VARIANT == 0) a.w.v[i] = floatBitsToUint(calm(uintBitsToFloat(word)));
        else a.w.v[i] = floatBitsToUint(calm(uintBitsToFloat(low))) >> 16 |
                        floatBitsToUint(calm(uintBitsToFloat(high)));
    }
}
