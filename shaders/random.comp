#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// Rounds of the 32-bit finaliser of MurmurHash3 over index and seed.
uint mixed(uint x)
{
    x = (x ^ x >> 16) * 0x85ebca6bu;
    x = (x ^ x >> 13) * 0xc2b2ae35u;
    return x ^ x >> 16;
}

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE)
        a.y.v[i] = float(int(mixed(i + mixed(a.seed)) >> 8)) / 16777216.0 - 0.5;
}
