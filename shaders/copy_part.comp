#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "scale.glsl"
layout(local_size_x = 64) in;

void main()
{
    float scale = a.scaled != 0 ? unit_scale(a.largest.v[0]) : 1.0;
    for (uint at = FIRST; at < a.rows * a.cols; at += STRIDE) {
        uint i = at / a.cols, j = at - i * a.cols, row = i, col = j;
        if (a.turned != 0) {
            row = j;
            col = i;
        }
        float x = 0;
        if (row < a.rows_in && col < a.cols_in) x = scale * a.x.v[row * a.ldx + col];
        a.y.v[i * a.ldy + j] = calm(x);
    }
}
