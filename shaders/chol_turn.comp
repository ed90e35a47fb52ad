#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;
#include "chol.glsl"

shared float x[SIZE];

// Rotation j turns column j of L and x so that nothing of x is left in row j.
void turn()
{
    for (uint j = 0; j < a.size; j++) {
        float p = l[j * SIZE + j], q = x[j], r = sqrt(p * p + q * q);
        float c = div(p, r), s = div(q, r);
        barrier();
        if (me == j) l[j * SIZE + j] = r;
        if (me > j && me < a.size) {
            float below = l[me * SIZE + j], rest = x[me];
            l[me * SIZE + j] = calm(c * below + s * rest);
            x[me] = calm(c * rest - s * below);
        }
        if (me == 0) {
            a.turn.v[2 * j] = calm(c);
            a.turn.v[2 * j + 1] = calm(s);
        }
        barrier();
    }
}

void main()
{
    if (me < a.size) {
        for (uint j = 0; j <= me; j++) l[me * SIZE + j] = a.lower.v[me * a.ldl + j];
        x[me] = a.x.v[me];
    }
    barrier();
    turn();
    if (me < a.size)
        for (uint j = 0; j <= me; j++) a.lower.v[me * a.ldl + j] = l[me * SIZE + j];
    invert();
}
