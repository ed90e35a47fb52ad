#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint row = gl_WorkGroupID.x, base = row * a.cols;
    float p_lse = a.lse.v[2 * row], q_lse = a.lse.v[2 * row + 1], loss = a.loss.v[row];
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += 64) {
        float p = a.logits.v[base + i] - p_lse, q = a.base.v[base + i] - q_lse;
        a.logits.v[base + i] = calm(a.weight * exp(p) * (p - q - loss));
    }
}
