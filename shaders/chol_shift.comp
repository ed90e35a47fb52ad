#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"

void main()
{
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.n; i += LOCAL) sum += a.c.v[i * (a.n + 1)];
    sum = reduce_sum(sum);
    if (gl_LocalInvocationID.x >= 4) return;
    float shift = a.ridge != 0 ? a.ridge * div(sum, float(int(a.n))) : 0.0;
    a.state.v[gl_LocalInvocationID.x] = gl_LocalInvocationID.x == 0 ? shift : 0.0;
}
