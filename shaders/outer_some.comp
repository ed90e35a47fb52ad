#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "hash.glsl"
layout(local_size_x = 64) in;

// Two rounds: with one, the masks of two numbers would be the same sequence from two places on.
void main()
{
    for (uint i = FIRST; i < a.rows * a.cols; i += STRIDE) {
        uint row = i / a.cols;
        if (mixed(mixed(i + a.seed) ^ a.number) >= a.zeros)
            a.w.v[i] += a.u.v[row] * a.v.v[i - row * a.cols];
    }
}
