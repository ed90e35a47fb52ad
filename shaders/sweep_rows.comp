#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

void main()
{
    uint row = gl_WorkGroupID.x;
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL)
        sum += a.q.v[i] * a.x.v[row * a.ldx + i];
    sum = reduce_sum(sum);
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL)
        a.x.v[row * a.ldx + i] = calm(a.x.v[row * a.ldx + i] - sum * a.q.v[i]);
    if (gl_LocalInvocationID.x == 0) a.coef.v[row * a.ldc] = sum;
}
