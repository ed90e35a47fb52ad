#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;
#include "weights.glsl"

void main()
{
    uint row = gl_WorkGroupID.x, base = a.tokens.v[row] * a.cols;
    for (uint c = gl_LocalInvocationID.x * 4; c < a.cols; c += 256) {
        vec4 w = calm(weight4(base + c));
        for (uint i = 0; i < 4; i++) a.y.v[row * a.cols + c + i] = w[i];
    }
}
