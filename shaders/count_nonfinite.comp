#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"
#include "weights.glsl"

bool half_bad(uint bits)
{
    return (bits & 0x7c00u) == 0x7c00u;
}

// A unit is a word of floats or halves, or a quantised block, which is bad if a scale of it is.
bool unit_bad(uint i)
{
    if (WEIGHT == F32) return (a.w.v[i] & 0x7f800000u) == 0x7f800000u;
    if (WEIGHT == F16) return half_bad(a.w.v[i]) || half_bad(a.w.v[i] >> 16);
    if (WEIGHT == BF16)
        return (a.w.v[i] & 0x7f80u) == 0x7f80u || (a.w.v[i] & 0x7f800000u) == 0x7f800000u;
    uint at = i * BLOCK_BYTES;
    if (WEIGHT == Q6_K) return half_bad(words4(at + 208));
    uint scales = words4(at);
    bool two = WEIGHT == Q4_1 || WEIGHT == Q5_1 || WEIGHT == Q4_K || WEIGHT == Q5_K;
    return half_bad(scales) || (two && half_bad(scales >> 16));
}

void main()
{
    uint bad = 0;
    for (uint i = FIRST; i < a.n; i += STRIDE) bad += unit_bad(i) ? 1 : 0;
    // Counts of a workgroup's share stay far below 2^24, so the float sum is exact.
    float sum = reduce_sum(float(int(min(bad, 65535u))));
    if (gl_LocalInvocationID.x == 0) a.y.v[gl_WorkGroupID.x] = uint(int(sum));
}
