#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint id = gl_GlobalInvocationID.x;
    if (id >= a.rows * a.heads) return;
    uint row = id % a.rows, base = id * a.rows;
    float sum = 0;
    for (uint i = 0; i <= row; i++) sum += a.p.v[base + i] * a.ds.v[base + i];
    for (uint i = 0; i < a.rows; i++)
        a.ds.v[base + i] =
            i <= row ? calm(a.scale * a.p.v[base + i] * (a.ds.v[base + i] - sum)) : 0.0;
}
