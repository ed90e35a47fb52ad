#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint at = FIRST; at < a.rows * a.cols; at += STRIDE) {
        uint i = at / a.cols, c = at - i * a.cols, row = a.order.v[i];
        uint col = a.plain != 0 ? c : a.columns.v[c];
        if (col >= a.limit) continue;
        float x = div(a.x.v[row * a.ldx + c], a.lengths.v[row]);
        a.y.v[i * a.limit + col] = a.gate.v[row] < a.least ? 0.0 : calm(x);
    }
}
