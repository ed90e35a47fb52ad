#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
layout(local_size_x = 64) in;

// A workgroup has a stretch of its own, of which its threads take neighbouring quads, four at a
// time: what both the caches of a CPU and the wide loads of a GPU like best.
void main()
{
    uint quads = a.n / 4, stretch = (quads + a.groups - 1) / a.groups;
    uint begin = gl_WorkGroupID.x * stretch, end = min(begin + stretch, quads);
    uint i = begin + gl_LocalInvocationID.x;
    vbuf x = vbuf(uvec2(a.x));
#if VARIANT == 1
    vec4 s = vec4(0), t = vec4(0);
    for (; i + 192 < end; i += 256) {
        s += x.v[i] + x.v[i + 64];
        t += x.v[i + 128] + x.v[i + 192];
    }
    for (; i < end; i += 64) s += x.v[i];
    s += t;
    a.y.v[gl_GlobalInvocationID.x] = s.x + s.y + s.z + s.w; // no dot(), as in probe_fma.comp
#else
    vbuf y = vbuf(uvec2(a.y));
    for (; i + 192 < end; i += 256) {
        vec4 p = x.v[i], q = x.v[i + 64], r = x.v[i + 128], s = x.v[i + 192];
        y.v[i] = p;
        y.v[i + 64] = q;
        y.v[i + 128] = r;
        y.v[i + 192] = s;
    }
    for (; i < end; i += 64) y.v[i] = x.v[i];
#endif
}
