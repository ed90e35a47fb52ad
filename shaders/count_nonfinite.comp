#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"
layout(constant_id = 0) const uint WEIGHT = 0;
#include "weights.glsl"

void main()
{
    uint bad = 0;
    for (uint i = FIRST * 4; i < a.n; i += STRIDE * 4) {
        uvec4 bits = floatBitsToUint(weight4(i)) & 0x7f800000u;
        for (uint j = 0; j < 4 && i + j < a.n; j++) bad += bits[j] == 0x7f800000u ? 1 : 0;
    }
    // Counts of a workgroup's share stay far below 2^24, so the float sum is exact.
    float sum = reduce_sum(float(int(min(bad, 65535u))));
    if (gl_LocalInvocationID.x == 0) a.y.v[gl_WorkGroupID.x] = uint(int(sum));
}
