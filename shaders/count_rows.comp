#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

void main()
{
    uint me = gl_LocalInvocationID.x, count = 0, bad = 0;
    for (uint i = me; i < a.n; i += LOCAL) {
        float x = a.x.v[i];
        if (x > a.least) count++;
        if (!(x <= 3.4e38)) bad = 1;
    }
    reduce_u[me] = count;
    reduce_f[me] = bad != 0 ? 1.0 : 0.0;
    barrier();
    if (me != 0) return;
    count = 0;
    for (uint i = 0; i < LOCAL; i++) {
        count += reduce_u[i];
        if (reduce_f[i] != 0) bad = 1;
    }
    a.count.v[0] = bad != 0 ? 0xffffffffu : count;
}
