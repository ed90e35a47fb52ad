#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    for (uint i = gl_WorkGroupID.y; i < a.n; i += gl_NumWorkGroups.y)
        for (uint j = FIRST; j < i; j += STRIDE) a.c.v[j * a.n + i] = a.c.v[i * a.n + j];
}
