#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

void main()
{
    uint row = gl_WorkGroupID.x;
    float largest = 0;
    for (uint i = gl_LocalInvocationID.x; i < a.cols; i += LOCAL) {
        float x = abs(a.x.v[row * a.cols + i]);
        if (!(x <= 3.4e38)) x = 3.4e38; // NaN too
        largest = max(largest, x);
    }
    largest = reduce_max(largest);
    if (gl_LocalInvocationID.x == 0) a.y.v[row] = largest;
}
