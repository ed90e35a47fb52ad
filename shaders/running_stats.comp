#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
layout(local_size_x = 64) in;

// Chan, Golub and LeVeque: two sets' means and sums of squares become those of both together.
void main()
{
    uint col = gl_GlobalInvocationID.x;
    if (col >= a.cols) return;
    float n = float(int(a.rows)), sum = 0, spread = 0;
    for (uint r = 0; r < a.rows; r++) sum += a.x.v[r * a.cols + col];
    float mean = div(sum, n);
    for (uint r = 0; r < a.rows; r++) {
        float d = a.x.v[r * a.cols + col] - mean;
        spread += d * d;
    }
    float apart = mean - a.mean.v[col], share = div(n, a.before + n);
    a.mean.v[col] = calm(a.mean.v[col] + share * apart);
    a.spread.v[col] = calm(a.spread.v[col] + spread + a.before * share * (apart * apart));
}
