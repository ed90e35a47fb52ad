#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"
#include "softmax.glsl"

void main()
{
    uint row = gl_WorkGroupID.x;
    float lse = row_lse(a.logits, row * a.cols, a.cols);
    if (gl_LocalInvocationID.x != 0) return;
    a.lse.v[row] = lse;
    a.loss.v[row] = lse - a.logits.v[row * a.cols + a.target.v[row]];
}
