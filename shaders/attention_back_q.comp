#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "attend.glsl"

// ds_j = p_j (dy . v_j - o . dy); dq = scale * sum_j ds_j k_j.
shared float weight[KEYS];

void main()
{
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y, me = gl_LocalInvocationID.x;
    uint kv = head / (a.heads / a.kv_heads), stride = a.kv_heads * a.dim;
    uint query = (row * a.heads + head) * a.dim, count = a.count.v[row];
    uint begin = a.window != 0 && count > a.window ? count - a.window : 0;
    uint base = a.first.v[row] * stride + kv * a.dim, quad = me % quads(), group = me / quads();
    float product = 0, lse = a.lse.v[row * a.heads + head];
    for (uint d = 0; d < quads(); d++)
        product = dot4(product, four(a.o, query, d), four(a.dy, query, d));
    vec4 y = vec4(0);
    for (uint chunk = begin; chunk < count; chunk += KEYS) {
        uint keys = min(KEYS, count - chunk), used = (keys + LOCAL - 1) / LOCAL; // of the four
        uint at[4];
        vec4 score = vec4(0), along = vec4(0);
        for (uint i = 0; i < used; i++) at[i] = base + min(chunk + me + i * LOCAL, count - 1) * stride;
        for (uint d = 0; d < quads(); d++) {
            vec4 q = four(a.q, query, d), dy = four(a.dy, query, d);
            for (uint i = 0; i < used; i++) {
                score[i] = dot4(score[i], q, four(a.k, at[i], d));
                along[i] = dot4(along[i], dy, four(a.v, at[i], d));
            }
        }
        for (uint i = 0; i < used; i++)
            weight[me + i * LOCAL] = chunk + me + i * LOCAL < count
                                         ? exp(score[i] * a.scale - lse) * (along[i] - product)
                                         : 0.0;
        barrier();
        if (group < groups())
            for (uint j = group; j < keys; j += groups())
                y += weight[j] * four(a.k, base + (chunk + j) * stride, quad);
        barrier();
    }
    y = groups_sum(y);
    if (me < quads())
        for (uint i = 0; i < 4; i++) a.dq.v[query + 4 * me + i] = a.scale * y[i];
    if (me == 0) a.dot.v[row * a.heads + head] = product;
}
