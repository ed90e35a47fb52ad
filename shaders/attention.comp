#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

// One workgroup a row and head. Keys come in chunks of LOCAL: a thread scores one key, then owns
// components of the output; the running maximum and sum make it one pass over the cache.
const uint DIMS = 4; // components a thread, so dim <= 256
shared float weight[LOCAL];

void main()
{
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y, me = gl_LocalInvocationID.x;
    uint group = head / (a.heads / a.kv_heads), stride = a.kv_heads * a.dim;
    uint query = (row * a.heads + head) * a.dim, count = a.count.v[row];
    uint begin = a.window != 0 && count > a.window ? count - a.window : 0;
    uint base = a.first.v[row] * stride + group * a.dim;
    float top = -3.0e38, total = 0, y[DIMS];
    [[unroll]] for (uint i = 0; i < DIMS; i++) y[i] = 0;
    for (uint chunk = begin; chunk < count; chunk += LOCAL) {
        uint key = chunk + me;
        float score = -3.0e38;
        if (key < count) {
            score = 0;
            uint at = base + key * stride;
            for (uint i = 0; i < a.dim; i++) score += a.q.v[query + i] * a.k.v[at + i];
            score *= a.scale;
        }
        float larger = max(top, reduce_max(score)), shrink = exp(top - larger);
        float w = key < count ? exp(score - larger) : 0.0;
        weight[me] = w;
        total = total * shrink + reduce_sum(w);
        top = larger;
        uint keys = min(LOCAL, count - chunk);
        [[unroll]] for (uint i = 0; i < DIMS; i++) {
            uint d = me + i * LOCAL;
            if (d >= a.dim) break;
            float sum = y[i] * shrink;
            for (uint j = 0; j < keys; j++)
                sum += weight[j] * a.v.v[base + (chunk + j) * stride + d];
            y[i] = sum;
        }
        barrier();
    }
    [[unroll]] for (uint i = 0; i < DIMS; i++) {
        uint d = me + i * LOCAL;
        if (d < a.dim) a.o.v[query + d] = y[i] / total;
    }
    if (me == 0) a.lse.v[row * a.heads + head] = top + log(total);
}
