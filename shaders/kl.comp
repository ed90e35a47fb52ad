#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"
#include "softmax.glsl"

void main()
{
    uint row = gl_WorkGroupID.x, base = row * a.cols;
    float p_lse = row_lse(a.logits, base, a.cols), q_lse = row_lse(a.base, base, a.cols), sum = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL) {
        float p = a.logits.v[base + i] - p_lse, q = a.base.v[base + i] - q_lse;
        sum += exp(p) * (p - q);
    }
    sum = reduce_sum(sum);
    if (gl_LocalInvocationID.x != 0) return;
    a.lse.v[2 * row] = p_lse;
    a.lse.v[2 * row + 1] = q_lse;
    a.loss.v[row] = sum;
}
