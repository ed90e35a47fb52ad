#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint col = gl_GlobalInvocationID.x;
    if (col >= a.cols) return;
    float sum = 0;
    for (uint i = 0; i < a.rows; i++) sum += a.lower.v[i * a.ldl + col] * a.x.v[i];
    a.y.v[col] = calm(a.y.v[col] - sum);
}
