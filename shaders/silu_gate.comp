#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float g = a.g.v[i];
        a.y.v[i] = g / (1 + exp(-g)) * a.u.v[i];
    }
}
