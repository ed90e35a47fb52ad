#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "hash.glsl"
layout(local_size_x = 64) in;

// cos 2 pi x = sin(pi (1/2 - 2 |x|)), |x| <= 1/2: Taylor to the 13th power, whose rest is 7e-10.
float cosine_of_turns(float x)
{
    float r = 3.1415927 * (0.5 - 2.0 * abs(x)), z = r * r;
    float p = 1.6059044e-10;
    p = p * z - 2.5052108e-8;
    p = p * z + 2.7557319e-6;
    p = p * z - 1.9841270e-4;
    p = p * z + 8.3333333e-3;
    p = p * z - 0.16666667;
    return p * z * r + r;
}

// Box and Muller: a length from one number in (0, 1], a direction from another in [-1/2, 1/2).
void main()
{
    uint near = mixed(a.seed), far = mixed(a.seed ^ 0x9e3779b9u);
    for (uint i = FIRST; i < a.n; i += STRIDE) {
        float part = float(int(mixed(i + near) >> 8) + 1) / 16777216.0;
        float turns = float(int(mixed(i + far) >> 8)) / 16777216.0 - 0.5;
        a.y.v[i] = calm(sqrt(-2.0 * log(part)) * cosine_of_turns(turns));
    }
}
