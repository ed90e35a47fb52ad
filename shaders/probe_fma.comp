#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// Eight chains hide the latency of a multiply-add; they stay in registers, written out since not
// every driver unrolls. m and c come from outside, so that nothing is known beforehand.
#if VARIANT == 1
#define STEP(x) x = fma(x, vec4(a.m), vec4(a.c));
#else
#define STEP(x) x = x * a.m + a.c;
#endif
#define STEP1 STEP(x) STEP(y)
#define STEP4 STEP1 STEP1 STEP1 STEP1

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i >= a.n) return;
    vec4 x = vec4(0, 1, 2, 3) + float(int(i & 7)), y = x + 4.0;
    for (uint round_ = 0; round_ < a.rounds; round_++) { STEP4 STEP4 STEP4 STEP4 }
    x += y;
    a.y.v[i] = x.x + x.y + x.z + x.w; // no dot(), which strict numbers refuse
}
