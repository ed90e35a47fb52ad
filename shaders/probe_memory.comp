#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// A workgroup has a stretch of its own, of which its threads take neighbouring quads: what both
// the caches of a CPU and the wide loads of a GPU like best.
void main()
{
    uint quads = a.n / 4, stretch = (quads + a.groups - 1) / a.groups;
    uint begin = gl_WorkGroupID.x * stretch, end = min(begin + stretch, quads);
    vbuf x = vbuf(uvec2(a.x));
#if VARIANT == 1
    vec4 sum = vec4(0);
    for (uint i = begin + gl_LocalInvocationID.x; i < end; i += 64) sum += x.v[i];
    a.y.v[gl_GlobalInvocationID.x] = dot(sum, vec4(1));
#else
    vbuf y = vbuf(uvec2(a.y));
    for (uint i = begin + gl_LocalInvocationID.x; i < end; i += 64) y.v[i] = x.v[i];
#endif
}
