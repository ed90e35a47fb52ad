#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

// Squares of small gradients fall under the normal range: zero everywhere, then.
float normal(float x)
{
    return abs(x) < 1.17549435e-38 ? 0.0 : x;
}

void main()
{
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float g = a.grad.v[i];
        float m = normal(normal(0.9 * a.m.v[i]) + normal(0.1 * g));
        float v = normal(normal(0.999 * a.v.v[i]) + normal(0.001 * g * g));
        float x = a.x.v[i] - div(a.rate * div(m, a.near_), sqrt(div(v, a.far_)) + 1e-8);
        a.m.v[i] = m;
        a.v.v[i] = v;
        a.x.v[i] = calm(min(max(x, -a.limit), a.limit));
    }
}
