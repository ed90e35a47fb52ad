#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "hash.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE)
        a.y.v[i] = float(int(mixed(i + mixed(a.seed)) >> 8)) / 16777216.0 - 0.5;
}
