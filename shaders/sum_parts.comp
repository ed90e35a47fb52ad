#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float sum = a.x.v[i];
        if (a.add != 0) sum += a.r.v[i];
        for (uint p = 1; p < a.parts; p++) sum += a.x.v[p * a.n + i];
        a.y.v[i] = calm(sum);
    }
}
