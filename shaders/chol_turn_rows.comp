#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint row = gl_GlobalInvocationID.x;
    if (row >= a.rows) return;
    float rest = a.x.v[row];
    for (uint j = 0; j < a.size; j++) {
        float c = a.turn.v[2 * j], s = a.turn.v[2 * j + 1], below = a.lower.v[row * a.ldl + j];
        a.lower.v[row * a.ldl + j] = calm(c * below + s * rest);
        rest = calm(c * rest - s * below);
    }
    a.x.v[row] = rest;
}
