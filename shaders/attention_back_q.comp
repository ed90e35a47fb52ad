#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

// ds_j = p_j (dy . v_j - o . dy); dq = scale * sum_j ds_j k_j.
const uint DIMS = 4;
shared float weight[LOCAL];

void main()
{
    uint row = gl_WorkGroupID.x, head = gl_WorkGroupID.y, me = gl_LocalInvocationID.x;
    uint group = head / (a.heads / a.kv_heads), stride = a.kv_heads * a.dim;
    uint query = (row * a.heads + head) * a.dim, count = a.count.v[row];
    uint begin = a.window != 0 && count > a.window ? count - a.window : 0;
    uint base = a.first.v[row] * stride + group * a.dim;
    float product = 0, y[DIMS];
    [[unroll]] for (uint i = 0; i < DIMS; i++) y[i] = 0;
    for (uint d = me; d < a.dim; d += LOCAL) product += a.o.v[query + d] * a.dy.v[query + d];
    product = reduce_sum(product);
    float lse = a.lse.v[row * a.heads + head];
    for (uint chunk = begin; chunk < count; chunk += LOCAL) {
        uint key = chunk + me;
        float w = 0;
        if (key < count) {
            uint at = base + key * stride;
            float score = 0, along = 0;
            for (uint i = 0; i < a.dim; i++) {
                score += a.q.v[query + i] * a.k.v[at + i];
                along += a.dy.v[query + i] * a.v.v[at + i];
            }
            w = exp(score * a.scale - lse) * (along - product);
        }
        weight[me] = w;
        barrier();
        uint keys = min(LOCAL, count - chunk);
        [[unroll]] for (uint i = 0; i < DIMS; i++) {
            uint d = me + i * LOCAL;
            if (d >= a.dim) break;
            float sum = y[i];
            for (uint j = 0; j < keys; j++)
                sum += weight[j] * a.k.v[base + (chunk + j) * stride + d];
            y[i] = sum;
        }
        barrier();
    }
    [[unroll]] for (uint i = 0; i < DIMS; i++) {
        uint d = me + i * LOCAL;
        if (d < a.dim) a.dq.v[query + d] = a.scale * y[i];
    }
    if (me == 0) a.dot.v[row * a.heads + head] = product;
}
