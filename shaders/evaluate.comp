#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float x = a.x.v[i];
        if (VARIANT == 0) a.y.v[i] = exp(x);
        if (VARIANT == 1) a.y.v[i] = log(x);
        if (VARIANT == 2) a.y.v[i] = sqrt(x);
        if (VARIANT == 3) a.y.v[i] = div(x, a.w.v[i]);
    }
}
