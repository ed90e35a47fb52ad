#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint row = gl_WorkGroupID.x, base = row * a.cols, target = a.target.v[row];
    float lse = a.lse.v[row], weight = a.weight.v[row];
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += 64)
        a.logits.v[base + i] =
            calm(weight * (exp(a.logits.v[base + i] - lse) - (i == target ? 1.0 : 0.0)));
}
