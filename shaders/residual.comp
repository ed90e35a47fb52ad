#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

shared vec2 sums[LOCAL];

// Sums of two floats, high and low part. `precise` keeps the compiler from fusing or reordering:
// these lines compute rounding errors.
vec2 two_add(vec2 s, vec2 t)
{
    precise float high = s.x + t.x, back = high - s.x;
    precise float rest = (s.x - (high - back)) + (t.x - back);
    precise float low = rest + (s.y + t.y);
    precise float top = high + low;
    precise float left = low - (top - high);
    return vec2(top, left);
}

// Dekker: x * y exactly, as a sum of two floats.
vec2 two_product(float x, float y)
{
    precise float p = x * y, cx = 4097.0 * x, cy = 4097.0 * y;
    precise float hx = cx - (cx - x), hy = cy - (cy - y);
    precise float lx = x - hx, ly = y - hy;
    precise float e = ((hx * hy - p) + hx * ly + lx * hy) + lx * ly;
    return vec2(p, e);
}

void main()
{
    uint row = gl_WorkGroupID.x, me = gl_LocalInvocationID.x;
    vec2 sum = vec2(0);
    for (uint i = me; i < a.n; i += LOCAL)
        sum = two_add(sum, two_product(-a.c.v[row * a.n + i], a.x.v[i]));
    if (me == 0) {
        sum = two_add(sum, two_product(-a.state.v[0], a.x.v[row]));
        sum = two_add(sum, vec2(a.b.v[row], 0));
    }
    sums[me] = sum;
    barrier();
    for (uint half_ = LOCAL / 2; half_ > 0; half_ /= 2) {
        if (me < half_) sums[me] = two_add(sums[me], sums[me + half_]);
        barrier();
    }
    if (me == 0) a.r.v[row] = sums[0].x + sums[0].y;
}
