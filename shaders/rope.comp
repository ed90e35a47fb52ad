#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

void main()
{
    uint pairs = a.dim / 2;
    for (uint i = FIRST; i < a.rows * a.heads * pairs; i += STRIDE) {
        uint pair = i % pairs, head = i / pairs % a.heads, row = i / pairs / a.heads;
        uint first = a.interleaved != 0 ? 2 * pair : pair;
        uint second = a.interleaved != 0 ? 2 * pair + 1 : pair + pairs;
        uint from = (row * a.heads + head) * a.dim, to = (a.slot.v[row] * a.heads + head) * a.dim;
        uint angle = 2 * (a.pos.v[row] * pairs + pair);
        float c = a.table.v[angle], s = a.sign * a.table.v[angle + 1];
        float x = a.x.v[from + first], y = a.x.v[from + second];
        a.y.v[to + first] = x * c - y * s;
        a.y.v[to + second] = x * s + y * c;
    }
}
