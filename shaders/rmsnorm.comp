#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"
#include "wide.glsl"

void main()
{
    uint base = gl_WorkGroupID.x * a.cols;
    vec4 sum = vec4(0);
    for (uint i = 4 * gl_LocalInvocationID.x; i < a.cols; i += 4 * LOCAL) {
        vec4 x = load4(a.x, base + i);
        sum += x * x;
    }
    float squares = reduce_sum(sum.x + sum.y + sum.z + sum.w);
    float scale = div(1, sqrt(div(squares, float(int(a.cols))) + a.eps));
    for (uint i = 4 * gl_LocalInvocationID.x; i < a.cols; i += 4 * LOCAL)
        store4(a.y, base + i, calm(load4(a.x, base + i) * scale * load4(a.w, i)));
}
