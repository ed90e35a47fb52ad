#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// The rank of a value is the number of values before it.
void main()
{
    uint me = gl_GlobalInvocationID.x, rank = 0;
    if (me >= a.n) return;
    float mine = a.x.v[me];
    for (uint i = 0; i < a.n; i++) {
        float x = a.x.v[i];
        if (x > mine || (x == mine && i < me)) rank++;
    }
    a.index.v[rank] = me;
}
