#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

void main()
{
    uint base = gl_WorkGroupID.x * a.cols;
    float sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL) {
        float x = a.x.v[base + i];
        sum += x * x;
    }
    float scale = 1 / sqrt(reduce_sum(sum) / float(int(a.cols)) + a.eps);
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL)
        a.y.v[base + i] = a.x.v[base + i] * scale * a.w.v[i];
}
