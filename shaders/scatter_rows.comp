#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.rows * a.cols; i += STRIDE) {
        uint row = i / a.cols;
        a.y.v[a.slot.v[row] * a.cols + (i - row * a.cols)] = a.x.v[i];
    }
}
