#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"

void main()
{
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL) sum += a.x.v[i] * a.x.v[i];
    float len = sqrt(reduce_sum(sum));
    bool gone = !(len > a.tol * a.before.v[0] && len > a.least);
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL)
        a.x.v[i] = gone ? 0.0 : calm(div(a.x.v[i], len));
    if (gl_LocalInvocationID.x == 0) a.norm.v[0] = gone ? 0.0 : len;
}
