#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

// With s = 1 / rms: dx_i = s w_i dy_i - x_i s^3 / n * sum_j w_j dy_j x_j.
void main()
{
    uint base = gl_WorkGroupID.x * a.cols;
    float squares = 0, product = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL) {
        float x = a.x.v[base + i];
        squares += x * x;
        product += a.w.v[i] * a.dy.v[base + i] * x;
    }
    float n = float(int(a.cols));
    float scale = 1 / sqrt(reduce_sum(squares) / n + a.eps);
    float back = reduce_sum(product) * scale * scale * scale / n;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL)
        a.dx.v[base + i] += scale * a.w.v[i] * a.dy.v[base + i] - back * a.x.v[base + i];
}
