#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "state.def"
#include "reduce.glsl"

// O-Edit Eq. 25, Eq. 27: f = mean_i g(cos_i), cos_i = dots_i / (|b_i| |delta|), and its gradient
// sum_i coef_i b_i + state[out + 1] delta. Zero while delta is zero; a row without length is no
// direction and counts as orthogonal.
void main()
{
    float length2 = a.state.v[STATE_LENGTH2], n = float(int(a.rows)), f = 0, along = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.rows; i += LOCAL) {
        float norm2 = a.norms.v[i], coef = 0;
        if (norm2 > 1e-12 && length2 > 0) {
            float over = div(1, sqrt(norm2 * length2)), c = a.dots.v[i] * over, slope = 1;
            if (a.mode == 0) slope = 2 * c;
            if (a.mode == 1) slope = c < 0 ? -1.0 : 1.0;
            f += a.mode == 0 ? c * c : a.mode == 1 ? abs(c) : c;
            along += slope * c;
            coef = div(a.weight * slope * over, n);
        }
        a.coef.v[i] = calm(coef);
    }
    f = reduce_sum(f);
    along = reduce_sum(along);
    if (gl_LocalInvocationID.x != 0) return;
    a.state.v[a.out_] = div(a.weight * f, n);
    a.state.v[a.out_ + 1] = length2 > 0 ? div(-a.weight * along, n * length2) : 0.0;
}
