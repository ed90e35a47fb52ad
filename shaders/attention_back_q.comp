#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "attend.glsl"

// ds_j = p_j (dy . v_j - o . dy); dq = scale * sum_j ds_j k_j.
void main()
{
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y;
    uint kv = head / (a.heads / a.kv_heads), stride = a.kv_heads * a.dim;
    uint query = (row * a.heads + head) * a.dim, count = a.count.v[row];
    uint begin = a.window != 0 && count > a.window ? count - a.window : 0;
    uint base = a.first.v[row] * stride + kv * a.dim;
    float product = dot_at(a.o, query, a.dy, query), lse = a.lse.v[row * a.heads + head];
    for (uint chunk = begin; chunk < count; chunk += ITEMS) {
        uint keys = min(ITEMS, count - chunk), from = base + chunk * stride;
        for (uint j = ME; j < keys; j += LOCAL) {
            float score = 0, along = 0;
            for (uint d = 0; d < quads(); d++) {
                score = dot4(score, four(a.q, query, d), four(a.k, from + j * stride, d));
                along = dot4(along, four(a.dy, query, d), four(a.v, from + j * stride, d));
            }
            weight[j] = exp(score * a.scale - lse) * (along - product);
        }
        barrier();
        for (uint i = ME; i < SHARES * quads(); i += LOCAL) {
            uint share = i / quads(), quad = i % quads();
            vec4 y = chunk == begin ? vec4(0) : part[i];
            for (uint j = share; j < keys; j += SHARES)
                y += weight[j] * four(a.k, from + j * stride, quad);
            part[i] = y;
        }
        barrier();
    }
    for (uint quad = ME; quad < quads(); quad += LOCAL)
        store4(a.dq, query + 4 * quad, calm(a.scale * shares_sum(quad)));
    if (ME == 0) a.dot.v[row * a.heads + head] = product;
}
