#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float g = a.g.v[i], u = a.u.v[i], dy = a.dy.v[i];
        float s = 1 / (1 + exp(-g));
        a.du.v[i] = dy * g * s;
        a.dg.v[i] = dy * u * s * (1 + g * (1 - s));
    }
}
