#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;
#include "wide.glsl"

void main()
{
    for (uint i = 4 * FIRST; i < a.n; i += 4 * STRIDE) {
        vec4 g = load4(a.g, i);
        store4(a.y, i, calm(div(g, 1 + exp(-g)) * load4(a.u, i)));
    }
}
