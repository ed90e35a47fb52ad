#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

// A thread a row: three walks along it, no barriers.
void main()
{
    uint id = gl_GlobalInvocationID.x;
    if (id >= a.rows * a.heads) return;
    uint row = id % a.rows, base = id * a.rows;
    uint first = a.window != 0 && row + 1 > a.window ? row + 1 - a.window : 0;
    float top = -3.0e38, sum = 0;
    for (uint i = first; i <= row; i++) top = max(top, a.s.v[base + i]);
    for (uint i = first; i <= row; i++) {
        float p = exp(a.scale * (a.s.v[base + i] - top));
        a.s.v[base + i] = p;
        sum += p;
    }
    float over = div(1, sum);
    for (uint i = 0; i < a.rows; i++)
        a.s.v[base + i] = i >= first && i <= row ? calm(a.s.v[base + i] * over) : 0.0;
}
