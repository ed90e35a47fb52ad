#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

// For the key of row j: dv = sum_r p_rj dy_r, dk = scale * sum_r ds_rj q_r, over the rows r from j
// to the end of the sequence and the query heads of the group. A thread takes one (r, head).
const uint DIMS = 4;
shared float weight_v[LOCAL], weight_k[LOCAL];

void main()
{
    uint row = gl_WorkGroupID.x, group = gl_WorkGroupID.y, me = gl_LocalInvocationID.x;
    uint share = a.heads / a.kv_heads, stride = a.kv_heads * a.dim;
    uint key = a.slot.v[row] * stride + group * a.dim;
    uint last = a.last.v[row];
    if (a.window != 0) last = min(last, row + a.window); // rows of a sequence are consecutive
    uint work = (last - row) * share;
    float dk[DIMS], dv[DIMS];
    [[unroll]] for (uint i = 0; i < DIMS; i++) dk[i] = dv[i] = 0;
    for (uint chunk = 0; chunk < work; chunk += LOCAL) {
        uint item = chunk + me;
        float p = 0, ds = 0;
        if (item < work) {
            uint at_row = row + item / share, head = group * share + item % share;
            uint query = (at_row * a.heads + head) * a.dim;
            float score = 0, along = 0;
            for (uint i = 0; i < a.dim; i++) {
                score += a.q.v[query + i] * a.k.v[key + i];
                along += a.dy.v[query + i] * a.v.v[key + i];
            }
            p = exp(score * a.scale - a.lse.v[at_row * a.heads + head]);
            ds = p * (along - a.dot.v[at_row * a.heads + head]);
        }
        weight_v[me] = p;
        weight_k[me] = ds;
        barrier();
        uint items = min(LOCAL, work - chunk);
        [[unroll]] for (uint i = 0; i < DIMS; i++) {
            uint d = me + i * LOCAL;
            if (d >= a.dim) break;
            for (uint j = 0; j < items; j++) {
                uint at_row = row + (chunk + j) / share, head = group * share + (chunk + j) % share;
                uint query = (at_row * a.heads + head) * a.dim + d;
                dv[i] += weight_v[j] * a.dy.v[query];
                dk[i] += weight_k[j] * a.q.v[query];
            }
        }
        barrier();
    }
    uint to = (row * a.kv_heads + group) * a.dim;
    [[unroll]] for (uint i = 0; i < DIMS; i++) {
        uint d = me + i * LOCAL;
        if (d >= a.dim) break;
        a.dk.v[to + d] = a.scale * dk[i];
        a.dv.v[to + d] = dv[i];
    }
}
