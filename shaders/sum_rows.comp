#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint col = gl_GlobalInvocationID.x;
    if (col >= a.cols) return;
    float sum = 0;
    for (uint i = 0; i < a.count; i++) sum += a.weight.v[i] * a.x.v[a.index.v[i] * a.cols + col];
    a.y.v[col] = calm(sum);
}
