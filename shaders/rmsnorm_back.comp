#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "reduce.glsl"
#include "wide.glsl"

// With s = 1 / rms: dx_i = s w_i dy_i - x_i s^3 / n * sum_j w_j dy_j x_j.
void main()
{
    uint base = gl_WorkGroupID.x * a.cols;
    vec4 squares = vec4(0), products = vec4(0);
    for (uint i = 4 * gl_LocalInvocationID.x; i < a.cols; i += 4 * LOCAL) {
        vec4 x = load4(a.x, base + i);
        squares += x * x;
        products += load4(a.w, i) * load4(a.dy, base + i) * x;
    }
    float n = float(int(a.cols));
    float square = reduce_sum(squares.x + squares.y + squares.z + squares.w);
    float product = reduce_sum(products.x + products.y + products.z + products.w);
    float scale = div(1, sqrt(div(square, n) + a.eps));
    float back = div(product * scale * scale * scale, n);
    for (uint i = 4 * gl_LocalInvocationID.x; i < a.cols; i += 4 * LOCAL) {
        vec4 dx = scale * load4(a.w, i) * load4(a.dy, base + i) - back * load4(a.x, base + i);
        store4(a.dx, base + i, calm(load4(a.dx, base + i) + dx));
    }
}
