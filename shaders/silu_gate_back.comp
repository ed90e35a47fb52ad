#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;
#include "wide.glsl"

void main()
{
    for (uint i = 4 * FIRST; i < a.n; i += 4 * STRIDE) {
        vec4 g = load4(a.g, i), u = load4(a.u, i), dy = load4(a.dy, i);
        vec4 s = div(vec4(1), 1 + exp(-g));
        store4(a.du, i, calm(dy * g * s));
        store4(a.dg, i, calm(dy * u * s * (1 + g * (1 - s))));
    }
}
