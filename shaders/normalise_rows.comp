#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.rows * a.cols; i += STRIDE) {
        uint row = i / a.cols, col = i - row * a.cols;
        float deviation = sqrt(div(a.spread.v[col], a.over) + a.least);
        float y = div(a.x.v[i] - a.mean.v[col], deviation + a.least);
        if (a.alpha != 0) y *= a.alpha * a.factor.v[row];
        a.y.v[i] = calm(y);
    }
}
