#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "numbers.glsl"
#include "attend.glsl"
shared vec4 part_v[256];

// For the key of row j: dv = sum_r p_rj dy_r, dk = scale * sum_r ds_rj q_r, over the items (r, head):
// rows r from j to the end of the sequence and the query heads of the group.
void main()
{
    uint row = gl_WorkGroupID.x, kv = gl_WorkGroupID.y, share_heads = a.heads / a.kv_heads;
    uint key = (a.slot.v[row] * a.kv_heads + kv) * a.dim, last = a.last.v[row];
    if (a.window != 0) last = min(last, row + a.window); // rows of a sequence are consecutive
    uint work = (last - row) * share_heads;
    for (uint chunk = 0; chunk < work; chunk += ITEMS) {
        uint items = min(ITEMS, work - chunk);
        for (uint j = ME; j < items; j += LOCAL) {
            uint item = chunk + j;
            uint at = (row + item / share_heads) * a.heads + kv * share_heads + item % share_heads;
            float score = 0, along = 0;
            for (uint d = 0; d < quads(); d++) {
                score = dot4(score, four(a.q, at * a.dim, d), four(a.k, key, d));
                along = dot4(along, four(a.dy, at * a.dim, d), four(a.v, key, d));
            }
            float p = exp(score * a.scale - a.lse.v[at]);
            score_of[j] = p;
            weight[j] = p * (along - a.dot.v[at]);
        }
        barrier();
        for (uint i = ME; i < SHARES * quads(); i += LOCAL) {
            uint share = i / quads(), quad = i % quads();
            vec4 dk = chunk == 0 ? vec4(0) : part[i], dv = chunk == 0 ? vec4(0) : part_v[i];
            for (uint j = share; j < items; j += SHARES) {
                uint item = chunk + j;
                uint at = (row + item / share_heads) * a.heads + kv * share_heads +
                          item % share_heads;
                dk += weight[j] * four(a.q, at * a.dim, quad);
                dv += score_of[j] * four(a.dy, at * a.dim, quad);
            }
            part[i] = dk;
            part_v[i] = dv;
        }
        barrier();
    }
    uint to = (row * a.kv_heads + kv) * a.dim;
    for (uint quad = ME; quad < quads(); quad += LOCAL) {
        vec4 dv = part_v[quad];
        for (uint s = 1; s < SHARES; s++) dv += part_v[s * quads() + quad];
        store4(a.dk, to + 4 * quad, calm(a.scale * shares_sum(quad)));
        store4(a.dv, to + 4 * quad, calm(dv));
    }
}
