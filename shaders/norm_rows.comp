#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"

void main()
{
    uint row = gl_WorkGroupID.x;
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL) {
        float x = a.x.v[row * a.ldx + i];
        sum += x * x;
    }
    sum = reduce_sum(sum);
    if (gl_LocalInvocationID.x == 0) a.y.v[row] = sqrt(sum);
}
