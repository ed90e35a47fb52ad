#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    vbuf x = vbuf(uvec2(a.x));
#if VARIANT == 1
    vec4 sum = vec4(0);
    for (uint i = FIRST; i < a.n / 4; i += STRIDE) sum += x.v[i];
    if (FIRST < a.threads) a.y.v[FIRST] = dot(sum, vec4(1));
#else
    vbuf y = vbuf(uvec2(a.y));
    for (uint i = FIRST; i < a.n / 4; i += STRIDE) y.v[i] = x.v[i];
#endif
}
