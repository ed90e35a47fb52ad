#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "scale.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= a.n) return;
    float x = a.norms.v[a.order.v[i]];
    a.sigma.v[i] = x < a.least ? 0.0 : div(x, unit_scale(a.largest.v[0]));
}
