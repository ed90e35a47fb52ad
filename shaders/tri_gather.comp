#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

void main()
{
    uint row = gl_WorkGroupID.x;
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL)
        sum += a.lower.v[row * a.ldl + i] * a.solved.v[i];
    sum = reduce_sum(sum);
    if (gl_LocalInvocationID.x == 0) a.y.v[row] = calm(a.x.v[row] - sum);
}
