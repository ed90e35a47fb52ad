#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "attend.glsl"

// The running maximum and sum make it one pass over the cache.
shared float score_of[KEYS], weight[KEYS];

void main()
{
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y, me = gl_LocalInvocationID.x;
    uint kv = head / (a.heads / a.kv_heads), stride = a.kv_heads * a.dim;
    uint query = (row * a.heads + head) * a.dim, count = a.count.v[row];
    uint begin = a.window != 0 && count > a.window ? count - a.window : 0;
    uint base = a.first.v[row] * stride + kv * a.dim, quad = me % quads(), group = me / quads();
    float top = -3.0e38, total = 0;
    vec4 y = vec4(0);
    for (uint chunk = begin; chunk < count; chunk += KEYS) {
        uint keys = min(KEYS, count - chunk), used = (keys + LOCAL - 1) / LOCAL; // of the four
        uint at[4];
        vec4 score = vec4(0);
        for (uint i = 0; i < used; i++) at[i] = base + min(chunk + me + i * LOCAL, count - 1) * stride;
        for (uint d = 0; d < quads(); d++) {
            vec4 q = four(a.q, query, d);
            for (uint i = 0; i < used; i++) score[i] = dot4(score[i], q, four(a.k, at[i], d));
        }
        for (uint i = 0; i < used; i++) score_of[me + i * LOCAL] = score[i] * a.scale;
        barrier();
        float larger = top;
        for (uint j = 0; j < keys; j++) larger = max(larger, score_of[j]);
        float shrink = exp(top - larger);
        for (uint i = 0; i < used; i++) weight[me + i * LOCAL] = exp(score_of[me + i * LOCAL] - larger);
        barrier();
        total *= shrink;
        for (uint j = 0; j < keys; j++) total += weight[j];
        top = larger;
        y *= shrink;
        if (group < groups())
            for (uint j = group; j < keys; j += groups())
                y += weight[j] * four(a.v, base + (chunk + j) * stride, quad);
    }
    y = groups_sum(y);
    if (me < quads())
        for (uint i = 0; i < 4; i++) a.o.v[query + 4 * me + i] = y[i] / total;
    if (me == 0) a.lse.v[row * a.heads + head] = top + log(total);
}
