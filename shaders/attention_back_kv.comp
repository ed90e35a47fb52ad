#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "attend.glsl"

// For the key of row j: dv = sum_r p_rj dy_r, dk = scale * sum_r ds_rj q_r, over the rows r from j
// to the end of the sequence and the query heads of the group. A thread takes four (r, head).
shared float weight_v[KEYS], weight_k[KEYS];

void main()
{
    uint row = gl_WorkGroupID.x, kv = gl_WorkGroupID.y, me = gl_LocalInvocationID.x;
    uint share = a.heads / a.kv_heads, quad = me % quads(), group = me / quads();
    uint key = (a.slot.v[row] * a.kv_heads + kv) * a.dim, last = a.last.v[row];
    if (a.window != 0) last = min(last, row + a.window); // rows of a sequence are consecutive
    uint work = (last - row) * share;
    vec4 dk = vec4(0), dv = vec4(0);
    for (uint chunk = 0; chunk < work; chunk += KEYS) {
        uint items = min(KEYS, work - chunk), used = (items + LOCAL - 1) / LOCAL; // of the four
        uint at[4];
        vec4 score = vec4(0), along = vec4(0);
        for (uint i = 0; i < used; i++) {
            uint item = min(chunk + me + i * LOCAL, work - 1);
            at[i] = (row + item / share) * a.heads + kv * share + item % share;
        }
        for (uint d = 0; d < quads(); d++) {
            vec4 k = four(a.k, key, d), v = four(a.v, key, d);
            for (uint i = 0; i < used; i++) {
                score[i] = dot4(score[i], four(a.q, at[i] * a.dim, d), k);
                along[i] = dot4(along[i], four(a.dy, at[i] * a.dim, d), v);
            }
        }
        for (uint i = 0; i < used; i++) {
            bool real = chunk + me + i * LOCAL < work;
            float p = real ? exp(score[i] * a.scale - a.lse.v[at[i]]) : 0.0;
            weight_v[me + i * LOCAL] = p;
            weight_k[me + i * LOCAL] = p * (along[i] - a.dot.v[at[i]]);
        }
        barrier();
        if (group < groups())
            for (uint j = group; j < items; j += groups()) {
                uint item = chunk + j;
                uint from = ((row + item / share) * a.heads + kv * share + item % share) * a.dim;
                dv += weight_v[j] * four(a.dy, from, quad);
                dk += weight_k[j] * four(a.q, from, quad);
            }
        barrier();
    }
    uint to = (row * a.kv_heads + kv) * a.dim + 4 * me;
    dk = groups_sum(dk);
    barrier();
    dv = groups_sum(dv);
    if (me >= quads()) return;
    for (uint i = 0; i < 4; i++) {
        a.dk.v[to + i] = a.scale * dk[i];
        a.dv.v[to + i] = dv[i];
    }
}
