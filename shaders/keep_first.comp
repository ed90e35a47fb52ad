#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "state.def"
layout(local_size_x = 64) in;

void main()
{
    if (a.state.v[STATE_STEP] != 0) return;
    for (uint i = FIRST; i < a.n; i += STRIDE) a.y.v[i] = a.x.v[i];
}
