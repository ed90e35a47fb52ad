#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "attend.glsl"

// The running maximum and sum make it one pass over the cache.
void main()
{
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y;
    uint kv = head / (a.heads / a.kv_heads), stride = a.kv_heads * a.dim;
    uint query = (row * a.heads + head) * a.dim, count = a.count.v[row];
    uint begin = a.window != 0 && count > a.window ? count - a.window : 0;
    uint base = a.first.v[row] * stride + kv * a.dim;
    float top = -3.0e38, total = 0;
    for (uint chunk = begin; chunk < count; chunk += ITEMS) {
        uint keys = min(ITEMS, count - chunk), from = base + chunk * stride;
        for (uint j = ME; j < keys; j += LOCAL)
            score_of[j] = dot_at(a.q, query, a.k, from + j * stride) * a.scale;
        barrier();
        float larger = top;
        for (uint j = 0; j < keys; j++) larger = max(larger, score_of[j]);
        for (uint j = ME; j < keys; j += LOCAL) weight[j] = exp(score_of[j] - larger);
        barrier();
        float shrink = exp(top - larger);
        total *= shrink;
        for (uint j = 0; j < keys; j++) total += weight[j];
        top = larger;
        for (uint i = ME; i < SHARES * quads(); i += LOCAL) {
            uint share = i / quads(), quad = i % quads();
            vec4 y = chunk == begin ? vec4(0) : part[i] * shrink;
            for (uint j = share; j < keys; j += SHARES)
                y += weight[j] * four(a.v, from + j * stride, quad);
            part[i] = y;
        }
        barrier();
    }
    for (uint quad = ME; quad < quads(); quad += LOCAL)
        store4(a.o, query + 4 * quad, calm(div(shares_sum(quad), vec4(total))));
    if (ME == 0) a.lse.v[row * a.heads + head] = top + log(total);
}
