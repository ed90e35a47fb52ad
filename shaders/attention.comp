#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"
#include "attend.glsl"

// The running maximum and sum make it one pass over the cache.
shared float weight[KEYS];

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
        uint at[4];
        vec4 score = vec4(0);
        for (uint i = 0; i < 4; i++) at[i] = base + min(chunk + me + i * LOCAL, count - 1) * stride;
        for (uint d = 0; d < quads(); d++) {
            vec4 q = four(a.q, query, d);
            for (uint i = 0; i < 4; i++) score[i] = dot4(score[i], q, four(a.k, at[i], d));
        }
        for (uint i = 0; i < 4; i++)
            score[i] = chunk + me + i * LOCAL < count ? score[i] * a.scale : -3.0e38;
        float larger =
            max(top, reduce_max(max(max(score.x, score.y), max(score.z, score.w))));
        float shrink = exp(top - larger), sum = 0;
        for (uint i = 0; i < 4; i++) {
            float w = chunk + me + i * LOCAL < count ? exp(score[i] - larger) : 0.0;
            weight[me + i * LOCAL] = w;
            sum += w;
        }
        total = total * shrink + reduce_sum(sum);
        top = larger;
        y *= shrink;
        uint keys = min(KEYS, count - chunk);
        if (group < groups())
            for (uint j = group; j < keys; j += groups())
                y += weight[j] * four(a.v, base + (chunk + j) * stride, quad);
        barrier();
    }
    y = groups_sum(y);
    if (me < quads())
        for (uint i = 0; i < 4; i++) a.o.v[query + 4 * me + i] = y[i] / total;
    if (me == 0) a.lse.v[row * a.heads + head] = top + log(total);
}
