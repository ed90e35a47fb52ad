#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint me = gl_LocalInvocationID.x;
    if (me >= a.size) return;
    float sum = 0;
    for (uint k = 0; k < a.size; k++)
        sum += a.inverse.v[a.turned != 0 ? k * 64 + me : me * 64 + k] * a.x.v[k];
    a.y.v[me] = calm(sum);
}
