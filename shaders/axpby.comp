#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float y = a.alpha * a.x.v[i];
        if (a.beta != 0) y += a.beta * a.y.v[i];
        a.y.v[i] = calm(y);
    }
}
