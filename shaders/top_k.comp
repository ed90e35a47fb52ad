#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "reduce.glsl"

// True if (x, i) comes before (y, j): larger value first, then smaller index.
bool before(float x, uint i, float y, uint j)
{
    return x > y || (x == y && i < j);
}

// Each pass finds the best that comes after the one found before.
void main()
{
    const uint none = 0xffffffffu;
    uint row = gl_WorkGroupID.x, base = row * a.cols, me = gl_LocalInvocationID.x;
    uint before_at = row * a.k + max(a.first, 1) - 1;
    float last = a.values.v[before_at];
    uint last_id = a.ids.v[before_at];
    for (uint pass = a.first; pass < a.first + a.passes; pass++) {
        float best = -3.4e38;
        uint id = none;
        for (uint i = me; i < a.cols; i += LOCAL) {
            float x = a.x.v[base + i];
            bool fresh = pass == 0 || before(last, last_id, x, i);
            if (fresh && before(x, i, best, id)) {
                best = x;
                id = i;
            }
        }
        reduce_f[me] = best;
        reduce_u[me] = id;
        barrier();
        for (uint h = LOCAL / 2; h > 0; h /= 2) {
            if (me < h && before(reduce_f[me + h], reduce_u[me + h], reduce_f[me], reduce_u[me])) {
                reduce_f[me] = reduce_f[me + h];
                reduce_u[me] = reduce_u[me + h];
            }
            barrier();
        }
        last = reduce_f[0];
        last_id = reduce_u[0];
        if (me == 0) {
            a.values.v[row * a.k + pass] = last;
            a.ids.v[row * a.k + pass] = last_id;
        }
        barrier();
    }
}
