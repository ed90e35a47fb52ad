#version 450
#extension GL_GOOGLE_include_directive : require
#include "op.glsl"
#include "tile.glsl"

// A thread owns the columns first, first + local, first + 2 local, first + 3 local.
void main()
{
    uint lane = gl_SubgroupInvocationID % WIDTH, row0 = gl_WorkGroupID.y * ROWS;
    uint step_ = gl_WorkGroupSize.x;
    uint first = gl_WorkGroupID.x * step_ * 4 + gl_LocalInvocationID.x;
    uint from[LOADS], col[4];
    vec4 sum[ROWS];
    [[unroll]] for (uint i = 0; i < LOADS; i++)
        from[i] = min(row0 + i * WIDTH + lane, a.rows - 1);
    [[unroll]] for (uint j = 0; j < 4; j++) col[j] = min(first + j * step_, a.outs - 1);
    [[unroll]] for (uint i = 0; i < ROWS; i++) sum[i] = vec4(0);
    for (uint k = 0; k < a.inner; k += 4) {
        vec4 x[LOADS], w[4];
        [[unroll]] for (uint i = 0; i < LOADS; i++) x[i] = left4(from[i], k);
        [[unroll]] for (uint j = 0; j < 4; j++) w[j] = right4(col[j], k, a.inner);
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            vec4 s = subgroupBroadcast(x[i / WIDTH], i % WIDTH);
            [[unroll]] for (uint l = 0; l < 4; l++)
                sum[i] += s[l] * vec4(w[0][l], w[1][l], w[2][l], w[3][l]);
        }
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        if (row0 + i >= a.rows) return;
        [[unroll]] for (uint j = 0; j < 4; j++) {
            if (first + j * step_ >= a.outs) continue;
            uint at = (row0 + i) * a.ldy + col[j];
            float y = a.alpha * sum[i][j];
            if (a.beta != 0) y += a.beta * a.r.v[at];
            a.y.v[at] = y;
        }
    }
}
